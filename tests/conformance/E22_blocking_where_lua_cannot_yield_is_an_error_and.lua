-- Blocking where Lua cannot yield is an error, and the task survives it.
local rt = require("asyncrt")

print(pcall(table.sort, { 2, 1 }, function(a, b)
  rt.sleep(1)
  return a < b
end))
print(pcall(string.gsub, "a", "a", function()
  coroutine.wrap(function() rt.sleep(1) end)()
end))
rt.sleep(1)
print(rt.now())
print(rt.poll({ rt.always("poll is fine there") }))

--[[ stdout
false cannot block here: attempt to yield across a C-call boundary
false cannot block here: inside a coroutine resumed from a non-yieldable C call
1.0
1 poll is fine there
]]
