-- Decodes each line of hexadecimal bytes on standard input, and prints what the
-- value is written as, in the same way, or the code of the error.
local json = require("asyncrt.json")

local function from_hex(text)
  return (text:gsub("%x%x", function(hex)
    return string.char(tonumber(hex, 16))
  end))
end

for line in io.lines() do
  local value, _, code = json.decode(from_hex(line))
  if value == nil then
    print(code)
  else
    print((json.encode(value):gsub(".", function(c)
      return ("%02x"):format(c:byte())
    end)))
  end
end
