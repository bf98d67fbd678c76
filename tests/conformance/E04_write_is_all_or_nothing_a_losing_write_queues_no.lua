-- A write is all or nothing: a losing write queues no byte.
local rt = require("asyncrt")
local testing = require("asyncrt.testing")

local a, b = testing.stream_pair(4)
print(a:write("0123456789")) -- the queue is below the mark: accepted whole
print(rt.select({ w = a:write_evt("LOST"), to = 1 })) -- above it: loses
print(b:read(), a:write("next"), b:read())

--[[ stdout
true
to
0123456789 true next
]]
