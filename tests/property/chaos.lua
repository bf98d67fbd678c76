-- Twelve tasks do at random what tasks can do: send, receive, read, write,
-- acquire, join, select among all of it, under time limits and cancels at
-- random. Whatever the seed, nothing is lost, duplicated, torn or left behind.
--
--   asyncrt --virtual-time --seed=N [--random-order] tests/property/chaos.lua
local rt = require("asyncrt")
local testing = require("asyncrt.testing")

local TASKS = 12
local ROUNDS = 100
local LIMIT = 1e5 -- seconds: what waits longer has been forgotten

local random = math.random

local function pick(list)
  return list[random(#list)]
end

local function chance(percent)
  return random(100) <= percent
end

--- Up to `limit` seconds, often as long as others.
local function some_time(limit)
  return random(0, limit * 10) / 10
end

local function check(condition, format, ...)
  if not condition then error(format:format(...), 2) end
end

--- # Channels: every value that was sent is received once

local channels = {}
local sent, received = {}, {} -- by value
local last_value = 0

local function new_channel(capacity)
  local name = "channel " .. #channels + 1
  channels[#channels + 1] = {
    channel = rt.channel(capacity, name),
    capacity = capacity,
  }
end

local function new_value()
  last_value = last_value + 1
  return { number = last_value }
end

local function note_sent(value, ok)
  check(ok == true, "a send to an open channel gave %s", ok)
  check(not sent[value], "value %d was sent twice", value.number)
  sent[value] = true
end

local function note_received(value)
  check(value, "an open channel gave nil")
  check(not received[value], "value %d was received twice", value.number)
  received[value] = true
end

--- # Streams: what is read is what was written, byte by byte

local streams = {} -- one direction each

local function new_streams(options)
  local a, b = testing.stream_pair(options)
  for _, ends in ipairs({ { a, b }, { b, a } }) do
    streams[#streams + 1] = {
      from = ends[1],
      to = ends[2],
      fails = options.reset ~= nil,
      written = {},
      read = {},
    }
  end
end

local function new_message()
  return ("%d:%s\n"):format(random(1000), ("x"):rep(random(0, 300)))
end

local function note_written(s, message, ok, _, code)
  if ok then
    s.written[#s.written + 1] = message
  else
    check(s.fails and (code == "ECONNRESET" or code == "EPIPE"),
      "a write gave %s", code)
  end
end

local function note_read(s, data, _, code)
  if data then
    s.read[#s.read + 1] = data
  else
    check(s.fails and code == "ECONNRESET", "a read gave %s", code)
  end
end

--- # Permits: never more are held than there are

local semaphore = rt.semaphore(3)
local mutex = rt.mutex()
local held = { [semaphore] = 0, [mutex] = 0 }
local places = { [semaphore] = 3, [mutex] = 1 }

local function hold(lock, permit)
  local _ <close> = permit
  local counted <close> = setmetatable({}, {
    __close = function() held[lock] = held[lock] - 1 end,
  })
  held[lock] = held[lock] + 1
  check(held[lock] <= places[lock], "%d permits are held", held[lock])
  if chance(70) then rt.sleep(some_time(2)) end
  return counted
end

--- # Nacks: one is set if and only if its arm was not chosen

local nacks = {}

local function with_nack(event)
  local entry = { chosen = false }
  nacks[#nacks + 1] = entry
  return rt.with_nack(function(nack)
    entry.nack = nack
    return event:wrap(function(...)
      entry.chosen = true
      return ...
    end)
  end)
end

--- # What a task does in one round
---
--- Each action is a function to call, and one that gives the same as an event.

local actions, events = {}, {}

function actions.send()
  local value = new_value()
  note_sent(value, pick(channels).channel:send(value))
end

function events.send()
  local value = new_value()
  return pick(channels).channel:send_evt(value):wrap(function(ok)
    note_sent(value, ok)
  end)
end

function actions.recv()
  local c = pick(channels)
  note_received((c.channel:recv()))
end

function events.recv()
  local c = pick(channels)
  return c.channel:recv_evt():wrap(function(value) note_received(value) end)
end

--- Runs `f` if no other task uses this side of the stream.
local function alone(s, side, f)
  if s[side] then return rt.yield() end
  local _ <close> = setmetatable({}, {
    __close = function() s[side] = false end,
  })
  s[side] = true
  return f()
end

function actions.write()
  local s, message = pick(streams), new_message()
  alone(s, "writing", function()
    note_written(s, message, s.from:write(message))
  end)
end

function actions.write_in_a_select()
  local s, message = pick(streams), new_message()
  alone(s, "writing", function()
    rt.select({
      s.from:write_evt(message):wrap(function(...)
        note_written(s, message, ...)
      end),
      some_time(3),
    })
  end)
end

--- The ways to read, each with what it takes besides what it returns.
local readings = {
  function(s) return s.to:read_evt(random(200)), "" end,
  function(s) return s.to:read_exact_evt(random(200)), "" end,
  function(s) return s.to:read_line_evt(), "\n" end,
  function(s) return s.to:read_until_evt(":"), "" end,
}

function actions.read()
  local s = pick(streams)
  alone(s, "reading", function()
    local event, more = pick(readings)(s)
    local function note(data, ...) note_read(s, data and data .. more, ...) end
    if chance(50) then
      note(rt.sync(event))
    else
      rt.select({ event:wrap(note), some_time(3) })
    end
  end)
end

function actions.acquire()
  local lock = chance(50) and semaphore or mutex
  hold(lock, lock:acquire())
end

function actions.acquire_in_a_select()
  local lock = chance(50) and semaphore or mutex
  local key, permit = rt.select({ got = lock, late = some_time(1) })
  if key == "got" then hold(lock, permit) end
end

function actions.select()
  local arms = {}
  for i = 1, random(5) do
    local event = chance(50) and events.send() or events.recv()
    if chance(30) then event = with_nack(event) end
    if chance(20) then event = rt.choose(event, rt.never) end
    arms[i] = event
  end
  if chance(30) then arms.late = some_time(3) end
  if chance(30) then
    rt.poll(arms)
  else
    rt.select(arms)
  end
end

function actions.join()
  local child = rt.spawn(rt.sleep, some_time(1))
  if chance(30) then child:cancel() end
  rt.select({ child, some_time(1) })
end

local names = {}
for name in pairs(actions) do names[#names + 1] = name end

--- # The tasks

local victims = {} -- tasks to be cancelled at random

local function act()
  if chance(20) then rt.sleep(some_time(1)) end
  actions[pick(names)]()
end

local function act_in_a_task(group)
  local place = random(TASKS)
  victims[place] = group:spawn(rt.timeout, LIMIT, act)
  victims[place]:join()
end

local function work()
  for _ = 1, ROUNDS do
    local way = random(4)
    if way == 1 then
      rt.timeout(0, act)
    elseif way == 2 then
      rt.timeout(some_time(5), act)
    else
      rt.timeout(some_time(20), rt.group, function(group)
        act_in_a_task(group)
      end)
    end
  end
end

--- Cancels, often in the step in which the wait of the victim has ended.
local function cancel_victims()
  while true do
    rt.sleep(some_time(2))
    for _ = 1, random(3) do
      if chance(50) then rt.poll({ events.recv() }) end
      if chance(50) then rt.poll({ events.send() }) end
    end
    local victim = victims[random(TASKS)]
    if victim then victim:cancel() end
  end
end

--- # What must hold at the end

local function drain(c)
  while true do
    local key, value = rt.poll({ value = c.channel })
    if not key then break end
    note_received(value)
  end
  check(#c.channel == 0, "values are left in a channel")
  -- No receiver was forgotten in the queue, and then no sender.
  local room = 0
  while rt.poll({ c.channel:send_evt(true) }) do room = room + 1 end
  check(room == c.capacity, "a channel takes %d values", room)
  for _ = 1, room do rt.poll({ c.channel }) end
  check(not rt.poll({ c.channel }), "a sender is left in a queue")
end

local function check_values()
  for value in pairs(sent) do
    check(received[value], "value %d was lost", value.number)
  end
  for value in pairs(received) do
    check(sent[value], "value %d came from nowhere", value.number)
  end
end

local function check_stream(s)
  s.from:shutdown()
  local rest, message = s.to:read_all({ max = math.huge })
  check(rest or s.fails, "the rest of a stream: %s", message)
  s.read[#s.read + 1] = rest
  local written, read = table.concat(s.written), table.concat(s.read)
  if s.fails then
    check(written:sub(1, #read) == read, "other bytes were read than written")
  else
    check(written == read, "%d bytes were written, %d read, or others",
      #written, #read)
  end
end

local function check_lock(lock)
  check(held[lock] == 0, "permits are held by nobody")
  local taken = 0
  if lock == mutex then
    check(not mutex:is_locked(), "the mutex is locked by nobody")
    return
  end
  while rt.poll({ lock }) do taken = taken + 1 end
  check(taken == places[lock], "there are %d permits", taken)
end

for _, capacity in ipairs({ 0, 0, 1, 5 }) do new_channel(capacity) end
new_streams({})
new_streams({ high_water = 500, split = true, delay = 0.1, jitter = 1 })
new_streams({ high_water = 100, reset = 0.02, split = true, delay = 0.2 })
table.sort(names)

rt.group(function(group)
  local canceller = rt.spawn(cancel_victims)
  local workers <close> = rt.group()
  for _ = 1, TASKS do workers:spawn(work) end
  workers:wait()
  canceller:cancel()
  group:cancel()
end)

check(#rt.tasks() == 1, "%d tasks are left", #rt.tasks() - 1)
for _, c in ipairs(channels) do drain(c) end
check_values()
for _, s in ipairs(streams) do check_stream(s) end
check_lock(semaphore)
check_lock(mutex)
for _, entry in ipairs(nacks) do
  check(not entry.nack or entry.nack:is_set() ~= entry.chosen,
    "a nack does not tell whether its arm was chosen")
end
for _, s in ipairs(streams) do s.from:close() end
check(rt.stats().timers == 0, "%d timers are left", rt.stats().timers)
check(rt.stats().handles == 0, "%d handles are left", rt.stats().handles)
