-- A plain coroutine dies with a group open: resume still waits for the
-- children.
local rt = require("asyncrt")

local function closer(f)
  return setmetatable({}, { __close = f })
end

local co = coroutine.create(function()
  local g <close> = rt.group()
  g:spawn(function()
    local _ <close> = closer(function()
      rt.shield(5, rt.sleep, 2)
      print("child gone", rt.now())
    end)
    rt.sleep(99)
  end)
  rt.sleep(1)
  error("dies", 0)
end)
print(coroutine.resume(co))
print(rt.now(), coroutine.close(co))
rt.sleep(1)
print(rt.now())

--[[ stdout
child gone 3.0
false dies
3.0 false dies
4.0
]]
