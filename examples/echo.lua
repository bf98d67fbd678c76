-- A TCP echo server: `asyncrt examples/echo.lua [address]`, then
-- `nc 127.0.0.1 7000`.
local net = require("asyncrt.net")

local address = arg[1] or "127.0.0.1:7000"
print("listening on " .. address)
net.serve(address, function(conn)
  for chunk in conn:chunks() do
    assert(conn:write(chunk))
  end
end)
