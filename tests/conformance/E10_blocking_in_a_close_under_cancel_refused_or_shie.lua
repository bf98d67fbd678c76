-- Blocking in a __close under a cancel: refused, or shielded with a limit of
-- its own.
local rt = require("asyncrt")

local function closer(f)
  return setmetatable({}, { __close = f })
end

print(rt.timeout(1, function()
  local _ <close> = closer(function()
    local result = rt.shield(5, function()
      rt.sleep(2)
      return "flushed"
    end)
    print("shielded", result, rt.now())
  end)
  local _ <close> = closer(function()
    print("limit", rt.shield(1, rt.sleep, 60))
  end)
  rt.sleep(9)
end))
print(rt.timeout(1, function()
  local _ <close> = closer(function()
    rt.sleep(1)
    print("NEVER")
  end)
  rt.sleep(9)
end))
print(rt.now())

--[[ stdout
limit nil timeout
shielded flushed 4.0
nil timeout
nil timeout
5.0
]]
