-- Run by the host beside it: two tasks that wait for its metronome.
local beat = require("beat")
local rt = require("asyncrt")

rt.group(function(group)
  group:spawn(function() print("beat", beat.wait(2)) end)
  group:spawn(function() print("beat", beat.wait(1)) end)
end)
rt.exit(tonumber(...) or 0)
