-- Runs the program that is the first argument as a coroutine; in a task, where
-- there are any.
local there_are_tasks, rt = pcall(require, "asyncrt")

table.move(arg, 1, #arg + 1, 0)
local program = coroutine.create(assert(loadfile(arg[0])))

local function run()
  local ok, err = coroutine.resume(program, table.unpack(arg))
  if not ok then error(err, 0) end
  assert(coroutine.status(program) == "dead", "the program has yielded")
end

if there_are_tasks then
  rt.spawn(function()
    rt.yield()
    run()
  end):await()
else
  run()
end
