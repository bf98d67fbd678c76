-- Waiters are served first in, first out; one that is cancelled or times out
-- gives up its place.
local rt = require("asyncrt")

local c = rt.channel()
local ts = {}
for i = 1, 4 do
  ts[i] = rt.spawn(function()
    local v = i == 2 and select(2, rt.sync_timeout(1, c)) or c:recv()
    print(i, v)
  end)
end
rt.yield()
ts[1]:cancel()
rt.sleep(2)
for i = 1, 2 do
  c:send("m" .. i)
end

--[[ stdout
2 timeout
3 m1
4 m2
]]
