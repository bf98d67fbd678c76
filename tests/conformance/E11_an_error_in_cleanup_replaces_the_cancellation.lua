-- An error in cleanup replaces the cancel.
local rt = require("asyncrt")

local function closer(f)
  return setmetatable({}, { __close = f })
end

print(pcall(rt.timeout, 1, function()
  local _ <close> = closer(function() error("cleanup", 0) end)
  rt.sleep(9)
end))
rt.sleep(1)
print("alive", rt.now())

--[[ stdout
false cleanup
alive 2.0
]]
