-- A losing send does not deliver, a losing recv does not consume.
local rt = require("asyncrt")

local c, d = rt.channel(), rt.channel()
print(rt.select({ p = c:send_evt("x"), to = 1 }))
print(rt.poll({ c }))
rt.spawn(function()
  rt.sleep(1)
  d:send("y")
end)
print(rt.select({ c, d }))
d = rt.channel(1)
d:send("z")
print(rt.select({ c, rt.always("a") }), rt.poll({ d }))

--[[ stdout
to
nil
2 y
2 1 z
]]
