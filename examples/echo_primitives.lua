-- The echo server out of its parts: listen, accept, spawn, read and write. Runs
-- until Ctrl-C:
--   asyncrt examples/echo_primitives.lua [address]
--   nc 127.0.0.1 7000
local net = require("asyncrt.net")
local rt = require("asyncrt")

local function echo(conn)
  local connection <close> = conn -- closed, whichever way this ends
  while true do
    local data, message = connection:read()
    if not data then
      assert(not message, message) -- nil alone is the end
      return
    end
    assert(connection:write(data))
  end
end

local listener <close> = assert(net.listen(arg[1] or "127.0.0.1:7000"))
io.stdout:setvbuf("line")
print("listening on " .. listener:address())

-- An error in one task is logged and does not end the others.
local clients <close> = rt.group({ on_error = "log" })
while true do
  local conn = assert(listener:accept())
  clients:spawn(echo, conn)
end
