-- asyncrt: --virtual-time
-- A finalizer that changed the arms, or polled them, while a select prepared or
-- attempted them: their arrays were moved or their places taken twice, and the
-- select wrote to what was freed. One that made ready what had been attempted,
-- and was not yet queued up, was missed: the select waited for ever.
local finalizers = require("finalizers")
local rt = require("asyncrt")
local testing = require("asyncrt.testing")

-- Calls f some hundred times with `act` run by a finalizer, once each time, at
-- one of its allocations.
local function during(act, f)
  local due = false
  local _ <close> = finalizers.run(function()
    if not due then return end
    due = false
    act()
  end)
  for _ = 1, 300 do
    due = true
    f()
    due = false
  end
end

-- Arms that make objects when they are prepared: to accept.
local listener = testing.listener()
local channel = rt.channel(1)
local added = 0
local arms = rt.arms()
for i = 1, 4 do
  arms["accept" .. i] = listener
  arms["recv" .. i] = channel:recv_evt()
end
during(function()
  added = added + 1
  for i = 1, 4 do
    arms["accept" .. i] = nil
  end
  if added % 2 == 0 then arms["late" .. added] = channel:recv_evt() end
  for i = 4, 1, -1 do
    arms["accept" .. i] = listener:accept_evt()
  end
  if added % 3 == 0 then rt.poll(arms) end
end, function()
  arms.limit = 1
  assert(rt.select(arms) == "limit")
  arms.limit = nil
  assert(rt.poll(arms) == nil)
  channel:send(1)
  local key, value = rt.select(arms)
  assert((key:find("^recv") or key:find("^late")) and value == 1)
end)
assert(added > 50)

-- Results that take memory: the key is that of the arm that was chosen.
local event = rt.event()
event:set("x")
local first = rt.arms({ a = event })
during(function()
  first.a = nil
  first.b = event
end, function()
  first.b = nil
  first.a = event
  assert(rt.select(first))
end)

-- What a finalizer makes ready between the attempts is not missed.
local watch = rt.watch(0)
local both = rt.arms({ accept = listener, limit = 1 })
local sets = 0
during(function()
  watch:set(1)
  sets = sets + 1
end, function()
  collectgarbage("stop")
  both.watch = watch:changed_evt(watch:version())
  collectgarbage("restart")
  local before = sets
  local key = rt.select(both)
  assert(key == (sets > before and "watch" or "limit"))
end)
assert(sets > 50)
