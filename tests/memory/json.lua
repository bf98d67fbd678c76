-- component: json
-- Conversions in both directions; a tree that is half converted.
local json = require("asyncrt.json")
if not ... then return end

local text = '{"list":[1,2.5,"three",{"a":{"b":[null,true]}}],"e":[],"name":"x"}'
for _ = 1, 3 do
  local value = json.decode(text)
  assert(value.list[4].a.b[1] == json.null)
  assert(json.encode(value) ==
         '{"e":[],"list":[1,2.5,"three",{"a":{"b":[null,true]}}],"name":"x"}')
end
local wide = {}
for i = 1, 200 do wide["key " .. i] = ("v"):rep(i) end
assert(#json.decode(json.encode(wide, { indent = 1 }))["key 200"] == 200)
local _, message = json.decode("[1,")
assert(message:find("line 1, column 3"))
assert(not pcall(json.encode, { a = { b = { wide, print } } }))
