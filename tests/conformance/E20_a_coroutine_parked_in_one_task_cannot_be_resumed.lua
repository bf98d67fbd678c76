-- A coroutine parked in one task cannot be resumed or closed by another.
local rt = require("asyncrt")

local co = coroutine.create(function()
  rt.sleep(2)
  return "ok"
end)
rt.spawn(function() print(coroutine.resume(co)) end)
rt.sleep(1)
print(coroutine.status(co), coroutine.resume(co))
print(pcall(coroutine.close, co))
rt.sleep(2)
print(coroutine.status(co))

--[[ stdout
normal false cannot resume non-suspended coroutine
false cannot close a normal coroutine
true ok
dead
]]
