-- Select is uniform among the arms that are ready.
local rt = require("asyncrt")

local n = { 0, 0, 0, 0 }
local ready = rt.always()
for _ = 1, 12000 do
  local k = rt.select({ ready, rt.never, ready, ready })
  n[k] = n[k] + 1
end
for _, k in ipairs({ 1, 3, 4 }) do
  print(math.abs(n[k] - 4000) < 250)
end
print(n[2])

--[[ stdout
true
true
true
0
]]
