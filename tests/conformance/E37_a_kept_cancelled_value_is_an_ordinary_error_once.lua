-- A kept cancelled value is an ordinary error once its scope is gone.
local rt = require("asyncrt")

local function closer(f)
  return setmetatable({}, { __close = f })
end

local kept
rt.timeout(1, function()
  local _ <close> = closer(function(_, e) kept = e end)
  rt.sleep(9)
end)
print(pcall(error, kept, 0))
print(rt.spawn(function()
  rt.sleep(1)
  return "fine"
end):join())

--[[ stdout
false cancelled
true fine
]]
