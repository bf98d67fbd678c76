-- No yield out of an open scope.
local rt = require("asyncrt")

local gen = coroutine.wrap(function()
  rt.timeout(5, function() coroutine.yield(1) end)
end)
print((select(2, pcall(gen)):gsub("^.-:%d+: ", "")))
print(pcall(coroutine.yield, 1))
print(coroutine.isyieldable(), select(2, coroutine.running()))
coroutine.wrap(function() print(coroutine.isyieldable()) end)()

--[[ stdout
cannot yield out of an open group/timeout scope
false attempt to yield from outside a coroutine
false true
true
]]
