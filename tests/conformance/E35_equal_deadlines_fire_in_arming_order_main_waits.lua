-- Equal deadlines fire in the order of arming; the main task waits for its
-- tasks, not for daemons.
local rt = require("asyncrt")

for i = 1, 3 do
  rt.spawn(function()
    rt.sleep(1)
    print(i)
  end)
end
rt.group(function(g)
  g:spawn_with({ daemon = true }, function()
    while true do
      rt.sleep(10)
      print("NEVER")
    end
  end)
  g:spawn(rt.sleep, 5)
end)
print(rt.now())

--[[ stdout
1
2
3
5.0
]]
