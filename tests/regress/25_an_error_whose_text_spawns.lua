-- asyncrt: --virtual-time
-- The __tostring of an error that is told at the end of its task could spawn a
-- task that nobody awaited, or open a scope, whose deadline was told to a task
-- that was collected; of a failure in a forgotten group, it could spawn a task
-- into the group that was just being closed.
local rt = require("asyncrt")

local said, child = {}, nil
local function text(f)
  return setmetatable({}, {
    __tostring = function()
      f()
      return "told"
    end,
  })
end

rt.group({ on_error = "log" }, function(g)
  g:spawn(error, text(function()
    for name, f in pairs({ spawn = rt.spawn, deadline = rt.deadline, current = rt.current, sleep = rt.sleep }) do
      said[name] = select(2, pcall(f, name == "spawn" and print or 1))
    end
    assert(rt.dump():find("main"))
    child = g:spawn(rt.sleep, 1) -- a group that is open may be spawned into
  end))
end)
assert(said.spawn == "cannot spawn outside a task")
assert(said.deadline == "not inside a task" and said.current == said.deadline)
assert(said.sleep == "cannot block here: not inside a task")
assert(child:status() == "done" and rt.now() == 1)
collectgarbage()
rt.sleep(5)

local late
rt.spawn(function()
  local _ = rt.group()
  rt.spawn(error, text(function()
    late = rt.spawn(rt.shield, 9, rt.sleep, 2)
  end))
end):join()
assert(late:status() == "done")
assert(#rt.tasks() == 1)
