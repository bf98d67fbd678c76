-- A value that is decoded is encoded, and decoded again, the same.
local json = require("asyncrt.json")

return function(data)
  local value, message, code = json.decode(data)
  if value == nil then
    assert(message:find("^json%.decode: ") and code:find("^E"))
    return
  end
  local text = json.encode(value)
  assert(json.encode(json.decode(text)) == text)
  assert(json.encode(json.decode(json.encode(value, { indent = 1 }))) == text)
end
