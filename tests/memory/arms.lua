-- Kept arms: made, grown, changed, selected among, and collected.
local rt = require("asyncrt")
if not ... then return end

local channels = {}
for i = 1, 12 do channels[i] = rt.channel(i % 2) end
local arms = rt.arms({ limit = 50 })
rt.group(function(g)
  for i = 1, 12 do
    arms[i] = channels[i]
    g:spawn(function()
      rt.sleep(i % 3)
      channels[i]:send(i)
    end)
  end
  local sum = 0
  for _ = 1, 12 do
    local key, value = rt.select(arms)
    assert(key == value)
    sum = sum + value
    arms[key] = nil
  end
  assert(sum == 78 and #arms == 1)
end)
assert(rt.select(arms) == "limit")

-- What was collected has left its queue.
for _ = 1, 3 do rt.poll(rt.arms(channels)) end
collectgarbage()
collectgarbage()
for i = 1, 12 do
  rt.spawn(channels[i].recv, channels[i])
  rt.yield()
  assert(channels[i]:send(i))
end
