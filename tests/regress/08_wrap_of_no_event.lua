-- `event.wrap(f)`, with a dot, makes an event out of no event. That was found
-- only when it was synced, as "attempt to index a boolean value" inside the
-- library.
local rt = require("asyncrt")

local event = rt.choose()
local ok, err = pcall(function()
  local wrapped = event.wrap(print)
  return wrapped
end)
assert(not ok and err:find(":8: calling 'wrap' on bad self", 1, true), err)
