-- An echo server of asyncrt: `asyncrt asyncrt.lua PORT`.
local net = require("asyncrt.net")

net.serve("127.0.0.1:" .. arg[1], function(conn)
  for chunk in conn:chunks() do
    if not conn:write(chunk) then return end
  end
end)
