-- asyncrt: --virtual-time
-- tasks() promised the order of spawning and gave that of places in a table,
-- which are taken again, the last one left first.
local rt = require("asyncrt")

local early = { rt.spawn(rt.sleep, 1), rt.spawn(rt.sleep, 1), rt.spawn(rt.sleep, 9) }
early[1]:join()
early[2]:join()
for _ = 1, 4 do rt.spawn(rt.sleep, 9) end

local names = {}
for i, task in ipairs(rt.tasks()) do names[i] = task:name() end
assert(table.concat(names, " ") == "main t3 t4 t5 t6 t7", table.concat(names, " "))
