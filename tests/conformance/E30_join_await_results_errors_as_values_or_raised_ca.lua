-- join and await: results, errors as values or raised, cancelled; a task is an
-- event.
local rt = require("asyncrt")

rt.group({ on_error = function() end }, function(g)
  local a = g:spawn(function()
    rt.sleep(2)
    return 1, nil, 3
  end)
  local b = g:spawn(function()
    rt.sleep(1)
    error("bad", 0)
  end)
  local c = g:spawn(function() rt.sleep(9) end)
  print(rt.select({ a = a, b = b, to = 5 }))
  print(a:join())
  print(pcall(b.await, b))
  c:cancel()
  print(c:join())
  print(a:await())
end)

--[[ stdout
b false bad
true 1 nil 3
false bad
false cancelled
1 nil 3
]]
