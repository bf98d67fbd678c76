-- The event of an alarm: each argument is one, a time in seconds and a text.
--   asyncrt examples/event_alarm.lua 3:eggs 240:tea 0.5:hello
local rt = require("asyncrt")

if not arg[1] then
  io.stderr:write("usage: asyncrt examples/event_alarm.lua SECONDS:TEXT...\n")
  os.exit(2)
end

local start = rt.now()
local alarms, count = {}, 0
for _, word in ipairs(arg) do
  local seconds, text = word:match("^([%d.]+):(.+)$")
  assert(tonumber(seconds), "not SECONDS:TEXT: " .. word)
  alarms[text] = rt.at(start + seconds)
  count = count + 1
end

while count > 0 do
  local text = rt.select(alarms) -- whichever comes first
  print(("%6.2f s  %s"):format(rt.now() - start, text))
  alarms[text] = nil
  count = count - 1
end
