-- asyncrt: --virtual-time
-- What a finalizer does in the middle of a call: it runs wherever memory is
-- asked for, and may call whatever does not wait.
local harness = require("harness")
local lu = require("luaunit")
local rt = require("asyncrt")

-- Calls f(...) while every request for memory runs a finalizer; the first one
-- calls act().
local function amid(act, f, ...)
  local state = { waiting = true }
  local meta = {}
  function meta.__gc()
    if state.waiting and state.inside then
      state.waiting = false
      act()
    end
    if state.waiting then setmetatable({}, meta) end
  end
  local function done(...)
    state.waiting = false
    collectgarbage("incremental", 200, 100, 13)
    return ...
  end
  setmetatable({}, meta)
  collectgarbage("incremental", 200, 400, 40) -- a step is a whole cycle
  collectgarbage("setpause", 0)
  collectgarbage()
  state.inside = true
  return done(f(...))
end

TestFinalizers = {}

function TestFinalizers:test_tasks_may_be_spawned_while_they_are_listed()
  rt.group(function(g)
    for _ = 1, 30 do g:spawn(rt.yield) end

    local list = amid(function()
      for _ = 1, 20 do g:spawn(rt.yield) end
    end, rt.tasks)

    lu.assertEquals(#list, 51)
  end)
end

harness.run()
