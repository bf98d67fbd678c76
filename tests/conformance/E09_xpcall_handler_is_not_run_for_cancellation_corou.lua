-- A handler of xpcall does not run for a cancel, nor does coroutine.resume
-- catch it.
local rt = require("asyncrt")

local function sleep()
  rt.sleep(9)
end

print(rt.timeout(1, function()
  return xpcall(sleep, function(e)
    print("HANDLER")
    return e
  end)
end))
print(rt.timeout(1, function()
  return coroutine.resume(coroutine.create(sleep))
end))

--[[ stdout
nil timeout
nil timeout
]]
