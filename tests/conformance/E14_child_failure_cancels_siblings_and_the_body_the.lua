-- A child's failure cancels its siblings and the body, and the block raises the
-- child's error.
local rt = require("asyncrt")

local function closer(s)
  return setmetatable({}, { __close = function() print("close " .. s) end })
end

print(pcall(function()
  local g <close> = rt.group()
  g:spawn(function()
    local _ <close> = closer("sibling")
    rt.sleep(9)
  end)
  g:spawn(function()
    rt.sleep(1)
    error("boom", 0)
  end)
  local _ <close> = closer("body")
  rt.sleep(99)
  print("NEVER")
end))
print(rt.now())

--[[ stdout
close sibling
close body
false boom
1.0
]]
