-- The event of data: one task serves every client, by waiting for a line from
-- any of them. What is typed comes back in capitals. Runs until Ctrl-C:
--   asyncrt examples/event_data.lua [address]
--   nc 127.0.0.1 7004
local net = require("asyncrt.net")
local rt = require("asyncrt")

local listener <close> = assert(net.listen(arg[1] or "127.0.0.1:7004"))
io.stdout:setvbuf("line")
print("listening on " .. listener:address())

-- The key of an arm may be anything: here it is the connection. An event can be
-- waited for again and again.
local arms = { new = listener }

while true do
  local key, value, message = rt.select(arms)
  if key == "new" then
    local conn = assert(value, message)
    arms[conn] = conn:read_line_evt({ max = 1000 })
  elseif not value then -- the end, or an error of this connection only
    arms[key] = nil
    key:close()
  elseif not rt.poll({ key:write_evt(value:upper() .. "\n") }) then
    arms[key] = nil
    key:reset() -- it does not read, and nobody is to wait for it
  end
end
