-- Of two failures the first is raised, and the block leaves no child running.
local rt = require("asyncrt")

local function closer(f)
  return setmetatable({}, { __close = f })
end

print(pcall(function()
  local g <close> = rt.group()
  g:spawn(function()
    local _ <close> = closer(function()
      rt.shield(5, rt.sleep, 2)
      print("child gone", rt.now())
      error("second", 0)
    end)
    rt.sleep(9)
  end)
  rt.sleep(1)
  error("first", 0)
end))
print(rt.now())

--[[ stdout
child gone 3.0
false first
3.0
]]
