-- asyncrt: --virtual-time
-- The ordered pairs of virtual time could not be yielded across, so a __pairs
-- that waits raised; and what it returns could be iterated over only once.
local rt = require("asyncrt")

local slow = setmetatable({}, {
  __pairs = function()
    rt.sleep(1)
    return next, { 1, 2 }
  end,
})
local sum = 0
for _, value in pairs(slow) do sum = sum + value end
assert(sum == 3 and rt.now() == 1)

local iterate, state, start = pairs({ b = 1, a = 2 })
for _ = 1, 2 do
  local keys = {}
  for key in iterate, state, start do keys[#keys + 1] = key end
  assert(table.concat(keys) == "ab")
end
assert(not pcall(pairs) and pcall(pairs, 1))
