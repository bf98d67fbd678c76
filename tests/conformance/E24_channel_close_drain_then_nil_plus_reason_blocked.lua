-- Closing a channel: it drains, then gives nil and the reason; blocked senders
-- are told.
local rt = require("asyncrt")

local c = rt.channel(2)
c:send(false)
c:send("b")
rt.spawn(function() print("putter", c:send("late")) end)
rt.yield()
c:close("eof")
print(c:recv())
print(c:recv())
print(c:recv())
print(c:send(1))
print((pcall(c.send, c, nil)))
for _ in c:iter() do
  print("NEVER")
end
print(rt.select({ c, rt.never }))

--[[ stdout
false
b
nil eof
nil closed
false
1 nil eof
putter nil closed
]]
