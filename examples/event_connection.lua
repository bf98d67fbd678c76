-- The event of a connection: a listener is one, like any other in a select.
-- Runs until Ctrl-C, or until nobody has come for so many seconds:
--   asyncrt examples/event_connection.lua [address [seconds]]
--   nc 127.0.0.1 7003
local net = require("asyncrt.net")
local rt = require("asyncrt")

local seconds = tonumber(arg[2] or 60)

local listener <close> = assert(net.listen(arg[1] or "127.0.0.1:7003"))
io.stdout:setvbuf("line")
print("listening on " .. listener:address())

local count = 0
while true do
  local key, conn, message = rt.select({
    connection = listener,
    silence = seconds,
  })
  if key == "silence" then break end
  if conn then
    count = count + 1
    conn:write(("hello %s, you are number %d\n"):format(conn:peer(), count))
    conn:close() -- what was written is still sent
  else
    print(message) -- this one cannot be accepted; the next one may
  end
end
print(("%d connections, then none for %g seconds"):format(count, seconds))
