-- An outer cancel while the block waits for its children: it still waits, then
-- the cancel goes on.
local rt = require("asyncrt")

local function closer(f)
  return setmetatable({}, { __close = f })
end

print(rt.timeout(1, function()
  do
    local g <close> = rt.group()
    g:spawn(function()
      local _ <close> = closer(function()
        rt.shield(5, rt.sleep, 3)
        print("cleanup", rt.now())
      end)
      rt.sleep(99)
    end)
  end
  print("NEVER")
end))
print(rt.now())

--[[ stdout
cleanup 4.0
nil timeout
4.0
]]
