-- A losing accept keeps the connection.
local rt = require("asyncrt")
local testing = require("asyncrt.testing")

local l = testing.listener()
print(rt.select({ acc = l, to = 1 }))
local c = l:dial()
print(rt.select({ ready = rt.always("go") }), rt.poll({ rt.never }))
c:write("hi")
local s = l:accept()
print(s:read())

--[[ stdout
to
ready nil
hi
]]
