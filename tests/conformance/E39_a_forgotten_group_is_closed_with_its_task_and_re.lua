-- A forgotten group is closed with its task, and reported.
local rt = require("asyncrt")

local function closer(f)
  return setmetatable({}, { __close = f })
end

local t = rt.spawn(function()
  local g = rt.group()
  g:spawn(function()
    local _ <close> = closer(function() print("stopped", rt.now()) end)
    rt.sleep(50)
  end)
  rt.sleep(1)
  return "r"
end)
print(t:join())

--[[ stdout
stopped 1.0
true r
]]
--[[ stderr contains
scope left open
]]
