-- Nested timeouts: the outermost scope that expired gets the result.
local rt = require("asyncrt")

print("in ", rt.timeout(5, function()
  local _, e = rt.timeout(1, rt.sleep, 9)
  return "inner:" .. e
end))
print("out", rt.timeout(1, function()
  rt.timeout(5, rt.sleep, 9)
  return "NEVER"
end))
print("tie", rt.timeout(1, function()
  rt.timeout(1, rt.sleep, 9)
  return "NEVER"
end))
rt.sleep(1)
print(rt.now())

--[[ stdout
in  inner:timeout
out nil timeout
tie nil timeout
4.0
]]
