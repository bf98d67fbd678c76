-- A TCP echo server. Runs until Ctrl-C:
--   asyncrt examples/echo.lua [address]
--   nc 127.0.0.1 7000
local net = require("asyncrt.net")

local listener = assert(net.listen(arg[1] or "127.0.0.1:7000"))
io.stdout:setvbuf("line")
print("listening on " .. listener:address())

net.serve(listener, function(conn)
  for chunk in conn:chunks() do
    assert(conn:write(chunk))
  end
end, { drain = 1 })
