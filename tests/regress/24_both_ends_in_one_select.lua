-- asyncrt: --virtual-time
-- A task that selected on writing to one end of a pair and on reading from the
-- other was woken twice: the bytes read for the one arm made room for the other,
-- which completed the select in the middle of it. The second time put the task
-- into the run queue twice, and the process crashed.
local rt = require("asyncrt")
local testing = require("asyncrt.testing")

local a, b = testing.stream_pair({ high_water = 10, delay = 1 })
local written, read = 20, 0
a:write(("x"):rep(20))
rt.spawn(rt.sleep, 3)
for _ = 1, 20 do
  local key, result = rt.select({ w = a:write_evt(("x"):rep(20)), r = b:read_evt() })
  if key == "w" then
    assert(result == true)
    written = written + 20
  else
    read = read + #result
  end
end
a:close()
assert(read + #b:read_all() == written)
