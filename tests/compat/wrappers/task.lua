-- Runs the program that is the first argument as the body of a task.
local rt = require("asyncrt")

table.move(arg, 1, #arg + 1, 0)
local program = assert(loadfile(arg[0]))
rt.spawn(function()
  rt.yield() -- not the first step of the task
  program(table.unpack(arg))
end):await()
