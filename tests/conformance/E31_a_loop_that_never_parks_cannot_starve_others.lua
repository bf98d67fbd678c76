-- A loop that never parks cannot starve the other tasks.
local rt = require("asyncrt")

local c, stop = rt.channel(1), false
rt.spawn(function()
  rt.yield()
  stop = true
end)
local n = 0
while not stop do
  c:send(1)
  c:recv()
  n = n + 1
end
print(n > 0 and n <= 300)

--[[ stdout
true
]]
