-- In a cancelled scope every further blocking call fails; poll does not.
local rt = require("asyncrt")

local function closer(f)
  return setmetatable({}, { __close = f })
end

local c = rt.channel(1)
print(rt.timeout(1, function()
  local _ <close> = closer(function()
    print("poll", rt.poll({ c:send_evt("last words") }))
    c:recv()
    print("NEVER")
  end)
  rt.sleep(9)
end))
print(c:recv())

--[[ stdout
poll 1 true
nil timeout
last words
]]
