-- A commit beats a later cancel: the value arrives, and the next blocking call
-- is cancelled.
local rt = require("asyncrt")

local c = rt.channel()
local g <close> = rt.group()
local w = g:spawn(function()
  print("got", c:recv())
  rt.sleep(1)
  print("NEVER")
end)
rt.yield()
c:send("v") -- commits first
w:cancel()
print(w:join())

--[[ stdout
got v
false cancelled
]]
