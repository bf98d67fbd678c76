-- asyncrt: --virtual-time
-- A string that is a number is a number to Lua's functions. sync_timeout took
-- it for base events, but for a composite raised "attempt to compare string
-- with number" from inside the library.
local rt = require("asyncrt")

for _, event in ipairs({ rt.never, rt.choose(rt.never) }) do
  for _, seconds in ipairs({ "1", "0", 1, 0 }) do
    local before = rt.now()
    local value, err = rt.sync_timeout(seconds, event)
    assert(value == nil and err == "timeout")
    assert(rt.now() - before == tonumber(seconds))
  end
end
