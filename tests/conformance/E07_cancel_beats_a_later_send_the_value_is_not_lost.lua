-- A cancel beats a later send: the value is not lost.
local rt = require("asyncrt")

local c = rt.channel(1)
local g <close> = rt.group()
local w = g:spawn(function()
  c:recv()
  print("NEVER")
end)
rt.yield()
w:cancel()
c:send("v")
print(w:join())
print(c:recv())

--[[ stdout
false cancelled
v
]]
