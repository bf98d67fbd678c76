-- A wrap runs after the commit and may block; cancelling it does not undo the
-- commit.
local rt = require("asyncrt")

local c = rt.channel(1)
c:send("v")
print(rt.timeout(1, rt.sync, c:recv_evt():wrap(function(v)
  rt.sleep(9)
  return v
end)))
print(rt.poll({ c }))
local function increment(x) return x + 1 end
local function tenfold(x) return x * 10 end
print(rt.sync(rt.always(1):wrap(increment):wrap(tenfold)))

--[[ stdout
nil timeout
nil
20
]]
