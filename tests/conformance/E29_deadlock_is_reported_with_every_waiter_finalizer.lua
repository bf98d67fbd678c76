-- A deadlock is reported with every waiter, closers run, and the run fails.
local rt = require("asyncrt")

local function closer(f)
  return setmetatable({}, { __close = f })
end

local c, e = rt.channel(), rt.event()
rt.spawn(function()
  local _ <close> = closer(function() print("finalizer") end)
  rt.select({ a = rt.channel(), b = e })
end)
c:send(1)

--[[ stdout
finalizer
]]
--[[ stderr contains
deadlock
main
send
event
recv
]]
--[[ exit 3 ]]
