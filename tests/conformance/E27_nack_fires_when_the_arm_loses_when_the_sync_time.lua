-- A nack fires when its arm loses, when the sync times out and when it is
-- cancelled; not when the arm wins.
local rt = require("asyncrt")

local function server_evt(tag)
  return rt.with_nack(function(nack)
    rt.spawn(function()
      nack:wait()
      print(tag, "nack", rt.now())
    end)
    return rt.never
  end)
end

local timer = rt.after(1):wrap(function() return "timer" end)
print(rt.sync(rt.choose(server_evt("lose"), timer)))
print(rt.sync_timeout(1, server_evt("late")))
print(rt.timeout(1, rt.sync, server_evt("cancel")))
print((rt.group(function(g)
  local result = rt.sync(rt.with_nack(function(nack)
    g:spawn(function()
      nack:wait()
      print("NEVER")
    end)
    return rt.always("win")
  end))
  rt.yield()
  g:cancel()
  return result
end)))

--[[ stdout
timer
lose nack 1.0
nil timeout
late nack 2.0
nil timeout
cancel nack 3.0
win
]]
