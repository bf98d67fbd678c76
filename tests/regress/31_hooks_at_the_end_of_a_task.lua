-- A hook saw the thread of an ended task return: an error in it ended the task
-- once more, so that the run stopped before main did; and instruments that were
-- set there were told of a task that was gone.
local rt = require("asyncrt")

local seen = 0

-- Calls `act` when the main function of a task's thread returns.
local function at_return(act)
  debug.sethook(function()
    local returning = debug.getinfo(2, "S")
    if returning.what ~= "C" or debug.getinfo(3, "S") then return end
    seen = seen + 1
    act()
  end, "r")
end

local failing = rt.spawn(function()
  at_return(function() error("from the hook") end)
  return 7
end)
local done, value = failing:join()
assert(done and value == 7)

for _ = 1, 6 do
  rt.spawn(function()
    at_return(function()
      rt.instrument({ after_step = function(task) tostring(task:name()) end })
    end)
  end)
end
rt.sleep(0.001)
assert(#rt.tasks() == 1)
assert(seen == 0)
