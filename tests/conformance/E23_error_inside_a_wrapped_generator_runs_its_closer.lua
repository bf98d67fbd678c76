-- An error inside a wrapped generator runs its closers in place, and they may
-- block.
local rt = require("asyncrt")

local function closer(f)
  return setmetatable({}, { __close = f })
end

local w = coroutine.wrap(function()
  local _ <close> = closer(function(_, e)
    rt.sleep(1)
    print("closed", e, rt.now())
  end)
  coroutine.yield(1)
  error("gen", 0)
end)
print(w())
print(pcall(w))

--[[ stdout
1
closed gen 1.0
false gen
]]
