-- A losing read loses no bytes.
local rt = require("asyncrt")
local testing = require("asyncrt.testing")

local a, b = testing.stream_pair()
rt.spawn(function()
  rt.sleep(2)
  b:write("hello")
  b:write("world")
end)
print(rt.select({ rd = a:read_evt(), to = 1 })) -- the read arm loses
print(rt.select({ rd = a:read_evt(5), never = rt.never }))
print(a:read())

--[[ stdout
to
rd hello
world
]]
