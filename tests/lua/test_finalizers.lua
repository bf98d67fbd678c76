-- asyncrt: --virtual-time
-- What a finalizer does in the middle of a call: it runs wherever memory is
-- asked for, and may call whatever does not wait.
local harness = require("harness")
local lu = require("luaunit")
local rt = require("asyncrt")
local testing = require("asyncrt.testing")

-- Returns start(act), after which a finalizer calls `act` when memory is asked
-- for the `n`th time, and stop(), which tells whether it came to that.
local function interruption(n)
  local meta, pause, act = {}, nil, nil
  function meta.__gc()
    if act then n = n - 1 end
    if n > 0 then setmetatable({}, meta) end
    if n == 0 then act() end
  end
  local function start(f)
    setmetatable({}, meta)
    collectgarbage("incremental", 0, 400, 40) -- a step is a whole cycle
    pause = collectgarbage("setpause", 0)
    collectgarbage()
    act = f
  end
  local function stop()
    local reached = n <= 0
    n = -1
    collectgarbage("incremental", 0, 100, 13)
    collectgarbage("setpause", pause)
    return reached
  end
  return start, stop
end

-- Runs scenario(start) again and again, interrupted at one request for memory
-- after the other that follows start(act).
local function at_every_request(scenario)
  local n = 0
  repeat
    n = n + 1
    local start, stop = interruption(n)
    scenario(start)
  until not stop()
  assert(n > 1, "no memory was asked for")
end

-- Whether it is `task` that runs; a finalizer may run in none.
local function runs(task)
  local inside, current = pcall(rt.current)
  return inside and current == task
end

-- Takes memory, and leaves the collector to what asks next.
local function grow(list)
  list[#list + 1] = true
end

local function closer(f)
  return setmetatable({}, { __close = f })
end

TestFinalizers = {}

function TestFinalizers:test_tasks_may_be_spawned_while_they_are_listed()
  at_every_request(function(start)
    rt.group(function(g)
      for _ = 1, 30 do g:spawn(rt.yield) end
      start(function()
        for _ = 1, 20 do pcall(g.spawn, g, rt.yield) end
      end)

      lu.assertTrue(#rt.tasks() >= 31)
    end)
  end)
end

function TestFinalizers:test_a_task_does_not_end_before_what_was_spawned_in_it()
  at_every_request(function(start)
    local task, spawned, ended
    local function late()
      rt.sleep(1)
      ended = true
    end
    task = rt.spawn(function()
      start(function() spawned = runs(task) and rt.spawn(late) end)
      rt.spawn(rt.yield)
      return 1, 2
    end)

    lu.assertEquals({ task:join() }, { true, 1, 2 })
    lu.assertTrue(ended or not spawned)
  end)
end

function TestFinalizers:test_a_failed_task_does_not_end_before_what_was_spawned_in_it()
  local failure, cleanup = { "failure" }, { "cleanup" }
  at_every_request(function(start)
    local task, spawned, ended
    local function late()
      rt.shield(5, rt.sleep, 1)
      ended = true
    end
    rt.group({ on_error = "collect" }, function(g)
      task = g:spawn(function()
        rt.spawn(error, failure)
        local _ <close> = closer(function()
          start(function() spawned = runs(task) and rt.spawn(late) end)
          error(cleanup)
        end)
        rt.sleep(9)
      end)

      lu.assertEquals({ task:join() }, { false, failure })
      lu.assertTrue(ended or not spawned)
    end)
  end)
end

TestStreams = {}

function TestStreams:test_a_connection_is_accepted_once()
  at_every_request(function(start)
    local listener <close> = testing.listener()
    local first <close> = listener:dial()
    local second <close> = listener:dial()
    local other
    start(function() other = select(2, rt.poll({ listener })) end)
    local one <close> = listener:accept()
    local two <close> = other or select(2, rt.poll({ listener })) or other
    first:write("first")
    second:write("second")

    lu.assertItemsEquals({ one:read(), two:read() }, { "first", "second" })
  end)
end

function TestStreams:test_a_listener_may_be_closed_while_a_connection_is_accepted()
  at_every_request(function(start)
    local listener <close> = testing.listener()
    local client <close> = listener:dial()
    start(function() listener:close() end)
    local server <close>, _, code = listener:accept()

    if server then
      client:write("hello")
      lu.assertEquals(server:read(), "hello")
    else
      lu.assertEquals(code, "ECLOSED")
    end
  end)
end

-- A stream to which a write waits, and its other end.
local function full_pair()
  local a, b = testing.stream_pair(10)
  a:write(("x"):rep(20))
  return a, b
end

function TestStreams:test_a_stream_may_be_closed_while_a_write_is_made_ready_to_wait()
  at_every_request(function(start)
    local a, b = full_pair()
    rt.spawn(function()
      rt.sleep(1)
      a:close()
    end)
    start(function() a:close() end)
    lu.assertNil(a:write({ "y", 1, "z" }))
    b:close()
  end)
end

function TestStreams:test_a_write_does_not_miss_the_room_made_before_it_waits()
  at_every_request(function(start)
    local a, b = full_pair()
    start(function() rt.poll({ b:read_evt() }) end)
    rt.spawn(function()
      rt.sleep(1)
      rt.poll({ b:read_evt() })
    end)
    lu.assertTrue(a:write({ "y", 1, "z" }))
    a:close()
    local rest = b:read_all()
    lu.assertEquals(rest:match("y1z$"), "y1z")
    b:close()
  end)
end

function TestStreams:test_bytes_are_read_once()
  at_every_request(function(start)
    local a, b = testing.stream_pair()
    a:write("one\ntwo\nthree\nfour")
    a:close()
    b:peek(1)
    local got, arms = {}, { b:read_line_evt() }
    start(function()
      local ok, _, line = pcall(rt.poll, arms)
      if ok then got[#got + 1] = line end
    end)
    for line in b:lines() do got[#got + 1] = line end
    b:close()

    table.sort(got)
    lu.assertEquals(table.concat(got, " "), "four one three two")
  end)
end

function TestStreams:test_a_cut_item_at_the_end_is_read_once()
  at_every_request(function(start)
    local a, b = testing.stream_pair()
    a:write(("x"):rep(100))
    a:close()
    b:peek(100)
    local other, arms = nil, { b:read_evt() }
    start(function()
      local ok, _, bytes = pcall(rt.poll, arms)
      other = ok and bytes
    end)
    local bytes, message, code, partial = b:read_exact(200)
    b:close()

    lu.assertNil(bytes)
    if other then
      lu.assertEquals({ #other, message }, { 100 })
    else
      lu.assertEquals({ message:match("^unexpected"), code, #partial }, { "unexpected", "EOF", 100 })
    end
  end)
end

TestBroadcasts = {}

-- The values that a closed subscription, or channel, still has.
local function rest(subscription)
  local values = {}
  for value in subscription:iter() do values[#values + 1] = value end
  return values
end

local function numbers(first, last)
  local list = {}
  for i = first, last do list[#list + 1] = i end
  return list
end

function TestBroadcasts:test_subscriptions_may_be_closed_while_a_value_is_sent()
  for _, policy in ipairs({ "block", "drop", "close" }) do
    at_every_request(function(start)
      local b = rt.broadcast(16 + 1, policy)
      local first, second, third = b:subscribe(), b:subscribe(), b:subscribe()
      for i = 1, 16 do b:send(i) end
      third:recv()
      start(function()
        first:close()
        second:close()
      end)
      b:send(17)
      if policy ~= "block" then b:send(18) end
      b:close()

      local got = rest(third)
      lu.assertEquals(got, numbers(2, policy == "block" and 17 or 18))
      collectgarbage()
    end)
  end
end

function TestBroadcasts:test_a_full_subscription_may_be_closed_while_it_overflows()
  at_every_request(function(start)
    local b = rt.broadcast(1, "close")
    local first, second = b:subscribe(), b:subscribe()
    b:send(1)
    start(function()
      second:close()
      second = nil
    end)
    b:send(2)
    b:send(3)

    lu.assertEquals(rest(first), { 1 })
    lu.assertEquals(b:count(), 0)
    collectgarbage()
  end)
end

function TestBroadcasts:test_what_a_finalizer_sends_meanwhile_is_lost_nowhere()
  at_every_request(function(start)
    local b = rt.broadcast(100)
    local first, second = b:subscribe(), b:subscribe()
    for i = 1, 16 do b:send(i) end
    local event = b:send_evt("more")
    start(function()
      for _ = 1, 50 do rt.poll({ event }) end
    end)
    b:send("last")
    b:close()

    local got = rest(first)
    lu.assertEquals(#got == 17 or #got == 67, true)
    lu.assertEquals(got, rest(second))
  end)
end

function TestBroadcasts:test_a_sender_may_be_cancelled_while_room_is_made()
  at_every_request(function(start)
    local b = rt.broadcast(17)
    local full, slow = b:subscribe(), b:subscribe()
    for i = 1, 16 do b:send(i) end
    slow:recv()
    b:send(17)
    local sender = rt.spawn(function() b:send(18) end)
    rt.yield()
    start(function() sender:cancel() end)
    full:close()
    local ok, err = sender:join()
    b:close()

    lu.assertEquals(rest(slow), numbers(2, ok and 18 or 17))
    lu.assertEquals(err, not ok and "cancelled" or nil)
  end)
end

function TestBroadcasts:test_the_first_reason_stays()
  at_every_request(function(start)
    local b = rt.broadcast(1)
    local subscription, other, list = b:subscribe(), b:subscribe(), {}
    local first
    start(function()
      first = b:close("finalizer")
      other:close("finalizer")
    end)
    grow(list)
    other:close()
    grow(list)
    local second = b:close()

    lu.assertEquals(second, not first)
    lu.assertEquals({ subscription:recv() }, { nil, first and "finalizer" or "closed" })
  end)
end

TestChannels = {}

function TestChannels:test_what_a_finalizer_sends_meanwhile_is_lost_nowhere()
  for _, capacity in ipairs({ 300, 1000, math.huge }) do
    at_every_request(function(start)
      local ch, list, sent = rt.channel(capacity), {}, 0
      local event = ch:send_evt("more")
      for i = 1, 256 do ch:send(i) end
      start(function()
        for _ = 1, 400 do
          local _, ok = rt.poll({ event })
          if ok then sent = sent + 1 end
        end
      end)
      grow(list)
      local _, late = rt.sync_timeout(0, ch:send_evt("last"))
      ch:close()

      local got = rest(ch)
      lu.assertEquals(#got, 256 + sent + (late and 0 or 1))
      for i = 1, 256 do lu.assertEquals(got[i], i) end
    end)
  end
end

function TestChannels:test_the_first_reason_stays()
  at_every_request(function(start)
    local ch, list, first = rt.channel(), {}, nil
    start(function() first = ch:close("finalizer") end)
    grow(list)
    local second = ch:close()

    lu.assertEquals(second, not first)
    lu.assertEquals({ ch:recv() }, { nil, first and "finalizer" or "closed" })
  end)
end

function TestChannels:test_the_first_values_of_an_event_stay()
  at_every_request(function(start)
    local e, first = rt.event(), nil
    start(function() first = e:set("finalizer") end)
    local second = e:set(1, 2)

    lu.assertEquals(second, not first)
    lu.assertEquals({ e:wait() }, first and { "finalizer" } or { 1, 2 })
  end)
end

harness.run()
