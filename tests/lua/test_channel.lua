-- asyncrt: --virtual-time --seed=1
local rt = require("asyncrt")
local harness = require("harness")
local lu = require("luaunit")

local function timed(f, ...)
  local start = rt.now()
  local results = table.pack(f(...))
  return rt.now() - start, table.unpack(results, 1, results.n)
end

TestRendezvous = {}

function TestRendezvous:test_a_send_waits_for_its_recv()
  local ch, sent = rt.channel(), false
  local sender = rt.spawn(function()
    lu.assertTrue(ch:send("v"))
    sent = true
  end)
  rt.sleep(1)
  lu.assertFalse(sent)
  lu.assertEquals(#ch, 0)
  lu.assertEquals(ch:recv(), "v")
  sender:join()
  lu.assertTrue(sent)
end

function TestRendezvous:test_a_recv_waits_for_its_send()
  local ch = rt.channel()
  local receiver = rt.spawn(function() return ch:recv() end)
  rt.sleep(1)
  lu.assertEquals({ timed(ch.send, ch, "v") }, { 0.0, true })
  lu.assertEquals(receiver:await(), "v")
end

function TestRendezvous:test_any_value_but_nil_passes_unchanged()
  local values = { false, true, 0, -0.0, 1.5, math.mininteger, "", "text\0with NUL", {}, print,
    coroutine.create(print), io.stdout, rt.channel(), rt.current() }
  for _, capacity in ipairs({ 0, 1, 300, math.huge }) do
    local ch = rt.channel(capacity)
    for _, value in ipairs(values) do
      rt.spawn(function() ch:send(value) end)
      local got = ch:recv()
      lu.assertTrue(rawequal(got, value))
      lu.assertEquals(math.type(got), math.type(value))
    end
  end
end

function TestRendezvous:test_nil_raises_and_sends_nothing()
  for _, capacity in ipairs({ 0, 1 }) do
    local ch = rt.channel(capacity)
    lu.assertErrorMsgContains("nil cannot be sent", ch.send, ch, nil)
    lu.assertErrorMsgContains("nil cannot be sent", ch.send, ch)
    lu.assertErrorMsgContains("nil cannot be sent", ch.send_evt, ch)
    lu.assertNil(rt.poll({ ch }))
    ch:close()
    lu.assertErrorMsgContains("nil cannot be sent", ch.send, ch, nil)
  end
end

function TestRendezvous:test_arguments_after_the_first_are_ignored()
  local ch = rt.channel(2)
  lu.assertEquals({ ch:send(1, 2, 3) }, { true })
  lu.assertEquals({ ch:recv(7, 8) }, { 1 })
end

function TestRendezvous:test_a_task_can_not_meet_itself()
  local ch = rt.channel()
  lu.assertEquals({ rt.timeout(1, ch.send, ch, 1) }, { nil, "timeout" })
  lu.assertNil(rt.poll({ ch, ch:send_evt(1) }))
  lu.assertEquals({ rt.timeout(1, rt.select, { ch, ch:send_evt(1) }) }, { nil, "timeout" })
end

TestBuffer = {}

function TestBuffer:test_so_many_sends_do_not_wait()
  for _, capacity in ipairs({ 1, 2, 3, 16, 17, 255, 256, 257, 1000 }) do
    local ch = rt.channel(capacity)
    for i = 1, capacity do
      lu.assertEquals(#ch, i - 1)
      lu.assertEquals({ timed(ch.send, ch, i) }, { 0.0, true })
    end
    lu.assertEquals({ timed(rt.timeout, 1, ch.send, ch, "beyond") }, { 1.0, nil, "timeout" })
    lu.assertEquals(#ch, capacity)
    for i = 1, capacity do lu.assertEquals(ch:recv(), i) end
    lu.assertNil(rt.poll({ ch }))
  end
end

function TestBuffer:test_values_stay_in_order_however_the_ring_turns()
  for _, capacity in ipairs({ 1, 3, 7, 255, 256, 257, 500, math.huge }) do
    local ch = rt.channel(capacity)
    local sent, got, state = 0, 0, 12345
    for _ = 1, 3000 do
      state = (state * 1103515245 + 12345) % 2147483648
      if state % 3 ~= 0 and sent - got < capacity then
        sent = sent + 1
        lu.assertTrue(ch:send(sent))
      elseif got < sent then
        got = got + 1
        lu.assertEquals(ch:recv(), got)
      end
      lu.assertEquals(#ch, sent - got)
    end
  end
end

function TestBuffer:test_a_place_that_becomes_free_is_taken_by_the_first_sender()
  local ch, log = rt.channel(1), {}
  ch:send(0)
  for i = 1, 3 do
    rt.spawn(function()
      ch:send(i)
      log[#log + 1] = i
    end)
  end
  rt.yield()
  for i = 0, 3 do
    lu.assertEquals(ch:recv(), i)
    lu.assertEquals(#ch, i < 3 and 1 or 0)
    rt.yield()
  end
  lu.assertEquals(log, { 1, 2, 3 })
end

function TestBuffer:test_math_huge_never_waits()
  local ch = rt.channel(math.huge)
  for i = 1, 5000 do lu.assertEquals({ timed(ch.send, ch, i) }, { 0.0, true }) end
  lu.assertEquals(#ch, 5000)
  for i = 1, 5000 do lu.assertEquals(ch:recv(), i) end
end

function TestBuffer:test_received_values_can_be_collected()
  for _, capacity in ipairs({ 4, 300 }) do
    local ch = rt.channel(capacity)
    local weak = setmetatable({}, { __mode = "v" })
    for i = 1, 4 do
      local value = {}
      weak[i] = value
      ch:send(value)
    end
    for _ = 1, 3 do ch:recv() end
    collectgarbage()
    lu.assertEquals({ weak[1], weak[2], weak[3] }, {})
    lu.assertNotNil(weak[4])
  end
end

function TestBuffer:test_capacity_and_name()
  lu.assertEquals(tostring(rt.channel("jobs")), 'channel "jobs"')
  lu.assertEquals(tostring(rt.channel(3.0, "jobs")), 'channel "jobs"')
  lu.assertStrMatches(tostring(rt.channel()), "channel 0x%x+")
  lu.assertEquals(rt.sync_timeout(0, rt.channel(3.0):send_evt(1)), true)
  for _, bad in ipairs({ -1, 1.5, 0 / 0, -math.huge, 2 ^ 53, 2 ^ 31, {}, true, print }) do
    lu.assertErrorMsgContains("bad argument #1 to ", rt.channel, bad)
  end
  lu.assertErrorMsgContains("bad argument #2 to ", rt.channel, 1, {})
end

TestOrder = {}

function TestOrder:test_receivers_are_served_in_the_order_of_their_waits()
  local ch, log = rt.channel(), {}
  for i = 1, 5 do
    rt.spawn(function()
      local value = ch:recv()
      log[#log + 1] = i .. value
    end)
  end
  rt.yield()
  for _, v in ipairs({ "a", "b", "c", "d", "e" }) do ch:send(v) end
  rt.yield()

  lu.assertEquals(log, { "1a", "2b", "3c", "4d", "5e" })
end

function TestOrder:test_senders_are_served_in_the_order_of_their_waits()
  for _, capacity in ipairs({ 0, 1, 3 }) do
    local ch, got = rt.channel(capacity), {}
    for i = 1, 6 do rt.spawn(function() ch:send(i) end) end
    rt.yield()
    for i = 1, 6 do got[i] = ch:recv() end
    lu.assertEquals(got, { 1, 2, 3, 4, 5, 6 })
    rt.yield()
  end
end

function TestOrder:test_one_that_gives_up_loses_its_place()
  local ways = {
    cancel = function(wait)
      local task = rt.spawn(wait)
      return function() task:cancel() end
    end,
    timeout = function(wait)
      rt.spawn(function() rt.timeout(1, wait) end)
      return function() rt.sleep(1) end
    end,
    select = function(_, event)
      local stop = rt.event()
      rt.spawn(function() rt.select({ event, stop }) end)
      return function() stop:set() end
    end,
    sync_timeout = function(_, event)
      rt.spawn(function() rt.sync_timeout(1, event) end)
      return function() rt.sleep(1) end
    end,
  }
  for name, way in pairs(ways) do
    for _, capacity in ipairs({ 0, 1 }) do
      local ch = rt.channel(capacity)
      local first = rt.spawn(function() return ch:recv() end)
      rt.yield()
      local give_up = way(function() ch:recv() end, ch)
      rt.yield()
      local third = rt.spawn(function() return ch:recv() end)
      rt.yield()
      give_up()
      ch:send("a")
      ch:send("b")
      lu.assertEquals(first:await(), "a", name)
      lu.assertEquals(third:await(), "b", name)

      if capacity == 1 then ch:send(0) end
      rt.spawn(function() ch:send(1) end)
      rt.yield()
      give_up = way(function() ch:send("NEVER") end, ch:send_evt("NEVER"))
      rt.yield()
      rt.spawn(function() ch:send(3) end)
      rt.yield()
      give_up()
      if capacity == 1 then lu.assertEquals(ch:recv(), 0) end
      lu.assertEquals({ ch:recv(), ch:recv() }, { 1, 3 }, name)
      rt.yield()
      lu.assertNil(rt.poll({ ch }))
    end
  end
end

function TestOrder:test_commit_before_a_cancel_delivers()
  local ch, got, after = rt.channel(), nil, nil
  local task = rt.spawn(function()
    got = ch:recv()
    after = table.pack(rt.pcall_all(rt.yield))
  end)
  rt.yield()
  ch:send("v")
  task:cancel()
  task:join()

  lu.assertEquals(got, "v")
  lu.assertFalse(after[1])
end

function TestOrder:test_cancel_before_a_send_loses_nothing()
  local ch = rt.channel(1)
  local task = rt.spawn(function() ch:recv() end)
  rt.yield()
  task:cancel()
  ch:send("v")
  task:join()

  lu.assertEquals(ch:recv(), "v")
end

function TestOrder:test_a_sender_that_is_cancelled_after_its_value_was_taken_has_sent_it()
  local ch, sent = rt.channel(), nil
  local task = rt.spawn(function() sent = ch:send("v") end)
  rt.yield()
  lu.assertEquals(ch:recv(), "v")
  task:cancel()
  task:join()

  lu.assertTrue(sent)
end

TestClose = {}

function TestClose:test_the_buffer_drains_then_nil_and_the_reason()
  local reasons = { false, "eof", 42, {} }
  for _, capacity in ipairs({ 2, 300, math.huge }) do
    for _, reason in ipairs(reasons) do
      local ch = rt.channel(capacity)
      ch:send(1)
      ch:send(2)
      lu.assertTrue(ch:close(reason))
      lu.assertEquals(#ch, 2)
      lu.assertEquals({ ch:recv(), ch:recv() }, { 1, 2 })
      for _ = 1, 2 do lu.assertEquals({ ch:recv() }, { nil, reason }) end
      lu.assertEquals({ rt.select({ ch }) }, { 1, nil, reason })
      lu.assertEquals({ rt.poll({ ch }) }, { 1, nil, reason })
      lu.assertEquals(#ch, 0)
    end
  end
  local ch = rt.channel()
  ch:close()
  lu.assertEquals({ ch:recv() }, { nil, "closed" })
end

function TestClose:test_it_is_idempotent_and_the_first_reason_stays()
  local ch = rt.channel()
  lu.assertFalse(ch:is_closed())
  lu.assertEquals({ ch:close("first"), ch:close("second"), ch:close() }, { true, false, false })
  lu.assertTrue(ch:is_closed())
  lu.assertEquals({ ch:recv() }, { nil, "first" })
end

function TestClose:test_a_send_on_a_closed_one_is_told_at_once()
  for _, capacity in ipairs({ 0, 2 }) do
    local ch = rt.channel(capacity)
    ch:close("reason")
    lu.assertEquals({ timed(ch.send, ch, 1) }, { 0.0, nil, "closed" })
    lu.assertEquals({ rt.select({ out = ch:send_evt(1) }) }, { "out", nil, "closed" })
    lu.assertEquals({ rt.poll({ out = ch:send_evt(1) }) }, { "out", nil, "closed" })
  end
end

function TestClose:test_it_wakes_receivers_then_senders_in_order()
  local ch, log = rt.channel(), {}
  for i = 1, 3 do
    rt.spawn(function()
      local value, reason = ch:recv()
      log[#log + 1] = ("r%d %s %s"):format(i, value, reason)
    end)
  end
  rt.yield()
  ch:close("bye")
  rt.yield()
  lu.assertEquals(log, { "r1 nil bye", "r2 nil bye", "r3 nil bye" })

  ch, log = rt.channel(1), {}
  ch:send(0)
  for i = 1, 3 do
    rt.spawn(function()
      local value, reason = ch:send(i)
      log[#log + 1] = ("s%d %s %s"):format(i, value, reason)
    end)
  end
  rt.yield()
  ch:close("bye")
  rt.yield()
  lu.assertEquals(log, { "s1 nil closed", "s2 nil closed", "s3 nil closed" })
  lu.assertEquals({ ch:recv() }, { 0 })
  lu.assertEquals({ ch:recv() }, { nil, "bye" })
end

function TestClose:test_iter_ends_at_the_close_and_not_at_false()
  local ch = rt.channel(5)
  for _, value in ipairs({ 1, false, 3, false }) do ch:send(value) end
  ch:close("unseen")
  local got = {}
  for value in ch:iter() do got[#got + 1] = value end

  lu.assertEquals(got, { 1, false, 3, false })
  for _ in ch:iter() do error("NEVER") end
end

function TestClose:test_several_loops_share_the_values()
  local ch, got = rt.channel(), {}
  local loops = {}
  for i = 1, 3 do
    loops[i] = rt.spawn(function()
      for value in ch:iter() do got[#got + 1] = value end
    end)
  end
  for i = 1, 30 do ch:send(i) end
  ch:close()
  for _, loop in ipairs(loops) do loop:join() end

  table.sort(got)
  lu.assertEquals(#got, 30)
  for i = 1, 30 do lu.assertEquals(got[i], i) end
end

function TestClose:test_iter_is_left_by_break_and_taken_up_again()
  local ch = rt.channel(3)
  for i = 1, 3 do ch:send(i) end
  for value in ch:iter() do -- luacheck: ignore 512
    lu.assertEquals(value, 1)
    break
  end
  lu.assertEquals(ch:recv(), 2)
end

TestEvents = {}

function TestEvents:test_a_send_event_sends_each_time()
  local ch = rt.channel(3)
  local event = ch:send_evt("again")
  for _ = 1, 3 do lu.assertTrue(rt.sync(event)) end
  lu.assertEquals({ rt.sync_timeout(0, event) }, { nil, "timeout" })
  lu.assertEquals({ ch:recv(), ch:recv(), ch:recv() }, { "again", "again", "again" })
end

function TestEvents:test_a_losing_arm_sends_and_takes_nothing()
  local a, b = rt.channel(), rt.channel()
  local task = rt.spawn(function() return rt.select({ a = a, out = b:send_evt("lost") }) end)
  rt.yield()
  a:send("won")
  lu.assertEquals({ task:await() }, { "a", "won" })
  lu.assertNil(rt.poll({ b }))

  a, b = rt.channel(1), rt.channel(1)
  a:send(1)
  b:send(2)
  local key, value = rt.select({ a = a, b = b })
  lu.assertEquals(value, key == "a" and 1 or 2)
  lu.assertEquals(#a + #b, 1)
end

function TestEvents:test_two_selects_meet()
  for _ = 1, 20 do
    local ch = rt.channel()
    local function both(value) return rt.select({ recv = ch, send = ch:send_evt(value) }) end
    local one, two = rt.spawn(both, "one"), rt.spawn(both, "two")
    local k1, v1 = one:await()
    local k2, v2 = two:await()
    lu.assertNotEquals(k1, k2)
    lu.assertEquals(k1 == "recv" and v1 or v2, k1 == "recv" and "two" or "one")
  end
end

function TestEvents:test_one_channel_in_several_arms()
  local ch = rt.channel()
  local task = rt.spawn(function() return rt.select({ ch, ch, ch }) end)
  rt.yield()
  ch:send("once")
  local key, value = task:await()
  lu.assertTrue(key >= 1 and key <= 3)
  lu.assertEquals(value, "once")
  lu.assertNil(rt.poll({ ch:send_evt("nobody waits") }))
end

-- --- Conservation ---
--
-- Producers send numbered values by every means, consumers receive by every
-- means, some of them time out, are cancelled or lose; the channel is closed at
-- some time. Afterwards each value that was reported as sent was received once,
-- each that was reported as not sent was not, and one whose sender was cancelled
-- at most once: and no waiter is left.

local function random_of(seed)
  local state = seed * 2654435761 % 4294967296
  return function(n)
    state = (state * 1664525 + 1013904223) % 4294967296
    return state // 65536 % n + 1
  end
end

local send_by = {
  function(ch, v) return ch:send(v) end,
  function(ch, v) return rt.sync(ch:send_evt(v)) end,
  function(ch, v) return rt.sync_timeout(0.5, ch:send_evt(v)) end,
  function(ch, v) return select(2, rt.select({ ch:send_evt(v), 0.5 })) end,
  function(ch, v) return select(2, rt.poll({ ch:send_evt(v) })) end,
  function(ch, v) return (rt.timeout(0.5, ch.send, ch, v)) end,
  function(ch, v) return rt.sync(rt.choose(rt.never, ch:send_evt(v):wrap(function(...) return ... end))) end,
  function(ch, v)
    return select(2, rt.select({ rt.choose(ch:send_evt(v), rt.after(0.25)), rt.after(0.5) }))
  end,
}

local recv_by = {
  function(ch) return ch:recv() end,
  function(ch) return rt.sync(ch) end,
  function(ch) return rt.sync_timeout(0.5, ch) end,
  function(ch) return select(2, rt.select({ ch, 0.5 })) end,
  function(ch) return select(2, rt.poll({ ch:recv_evt() })) end,
  function(ch) return (rt.timeout(0.5, ch.recv, ch)) end,
  function(ch) return rt.sync(rt.guard(function() return ch end)) end,
  function(ch) return select(2, rt.select({ ch, ch, rt.with_nack(function() return rt.never end), 0.25 })) end,
}

local function conserve(seed)
  local random = random_of(seed)
  local ch = rt.channel(({ 0, 1, 3, 300 })[random(4)])
  local producers, consumers = random(4), random(4)
  local next_value, pending, sent, refused, got = 0, {}, {}, {}, {}
  local tasks = {}

  local function produce()
    for _ = 1, 12 do
      next_value = next_value + 1
      local value = next_value
      pending[value] = true
      local ok = send_by[random(#send_by)](ch, value)
      pending[value] = nil
      if ok then sent[value] = true else refused[value] = true end
      if random(3) == 1 then rt.sleep(random(4) / 4) end
    end
  end
  local function consume()
    while not (ch:is_closed() and #ch == 0) do
      local value = recv_by[random(#recv_by)](ch)
      if value then got[#got + 1] = value end
      if random(3) == 1 then rt.sleep(random(4) / 4) elseif not value then rt.yield() end
    end
  end

  rt.group({ on_error = "fail" }, function(g)
    for _ = 1, producers do tasks[#tasks + 1] = g:spawn(produce) end
    for _ = 1, consumers do tasks[#tasks + 1] = g:spawn(consume) end
    g:spawn(function()
      for _ = 1, random(3) do
        rt.sleep(random(12) / 4)
        tasks[random(#tasks)]:cancel()
      end
      rt.sleep(random(20) / 4)
      ch:close()
    end)
  end)
  -- What no consumer took, because it was cancelled, is still there.
  while true do
    local _, value = rt.poll({ ch })
    if value == nil then break end
    got[#got + 1] = value
  end

  local seen = {}
  for _, value in ipairs(got) do
    assert(not seen[value], seed .. ": twice: " .. value)
    assert(not refused[value], seed .. ": refused, and received: " .. value)
    assert(sent[value] or pending[value], seed .. ": from nowhere: " .. value)
    seen[value] = true
  end
  for value in pairs(sent) do assert(seen[value], seed .. ": lost: " .. value) end
  assert(#ch == 0)
end

TestConservation = {}

function TestConservation:test_nothing_is_lost_or_doubled()
  for seed = 1, harness.rounds(2000) do conserve(seed) end
end

function TestConservation:test_the_order_of_each_pair_of_tasks_is_kept()
  for capacity = 0, 4 do
    local ch, last = rt.channel(capacity), {}
    rt.group(function(g)
      local producers <close> = rt.group()
      for p = 1, 3 do
        producers:spawn(function()
          for i = 1, 100 do
            ch:send({ p, i })
            if i % 7 == 0 then rt.yield() end
          end
        end)
      end
      g:spawn(function()
        for value in ch:iter() do
          lu.assertEquals(value[2], (last[value[1]] or 0) + 1)
          last[value[1]] = value[2]
        end
      end)
      producers:wait()
      ch:close()
    end)
    lu.assertEquals(last, { 100, 100, 100 })
  end
end

-- --- Interleavings ---
--
-- A model of one channel with one waiting receiver or sender: every sequence of
-- five acts, with or without a turn of the waiter between them, does what the
-- model says.

TestInterleavings = {}

-- "wait" is a receiver; `turn` lets it run.
function TestInterleavings:test_every_order_of_acts_on_a_waiting_receiver()
  local acts = { "send", "close", "cancel", "timeout", "turn" }
  for code = 0, 5 ^ #acts - 1 do
    local ch = rt.channel(9)
    local result
    local task = rt.spawn(function()
      result = table.pack(rt.pcall_all(rt.timeout, 1, ch.recv, ch))
    end)
    rt.yield()
    local expected, sends, closed, c = nil, 0, false, math.tointeger(code)
    for _ = 1, 5 do
      local act = acts[c % #acts + 1]
      c = c // #acts
      if act == "send" then
        local ok = ch:send("v")
        lu.assertEquals(ok, not closed or nil)
        if ok then
          sends = sends + 1
          if not expected then expected, sends = "value", sends - 1 end
        end
      elseif act == "close" then
        ch:close()
        closed = true
        expected = expected or "closed"
      elseif act == "cancel" then
        task:cancel()
        expected = expected or "cancelled"
      elseif act == "timeout" then
        rt.sleep(1)
        expected = expected or "timeout"
      else
        rt.yield()
      end
    end
    if not expected then expected = "timeout" end
    task:join()
    local ok, value, reason = table.unpack(result, 1, 3)
    local actual = not ok and tostring(value) or (value == "v" and "value" or reason)
    lu.assertEquals(actual, expected, code)
    lu.assertEquals(#ch, sends)
  end
end

function TestInterleavings:test_every_order_of_acts_on_a_waiting_sender()
  local acts = { "recv", "close", "cancel", "timeout", "turn" }
  for code = 0, 5 ^ #acts - 1 do
    local ch = rt.channel()
    local result
    local task = rt.spawn(function()
      result = table.pack(rt.pcall_all(rt.timeout, 1, ch.send, ch, "v"))
    end)
    rt.yield()
    local expected, c = nil, math.tointeger(code)
    for _ = 1, 5 do
      local act = acts[c % #acts + 1]
      c = c // #acts
      if act == "recv" then
        local key, value = rt.poll({ ch })
        if not expected then
          lu.assertEquals({ key, value }, { 1, "v" })
          expected = "sent"
        else
          lu.assertNil(value)
        end
      elseif act == "close" then
        ch:close()
        expected = expected or "closed"
      elseif act == "cancel" then
        task:cancel()
        expected = expected or "cancelled"
      elseif act == "timeout" then
        rt.sleep(1)
        expected = expected or "timeout"
      else
        rt.yield()
      end
    end
    if not expected then expected = "timeout" end
    task:join()
    local ok, value, reason = table.unpack(result, 1, 3)
    local actual = not ok and tostring(value) or (value == true and "sent" or reason)
    lu.assertEquals(actual, expected, code)
    lu.assertNil((select(2, rt.poll({ ch }))))
  end
end

TestMany = {}

function TestMany:test_a_thousand_receivers_and_a_close()
  local ch, told = rt.channel(), 0
  for _ = 1, 1000 do
    rt.spawn(function()
      if ch:recv() == nil then told = told + 1 end
    end)
  end
  rt.yield()
  ch:close()
  rt.yield()

  lu.assertEquals(told, 1000)
end

function TestMany:test_a_relay_through_many_tasks()
  local first = rt.channel()
  local source = first
  for _ = 1, 500 do
    local from, to = source, rt.channel()
    rt.spawn(function()
      for value in from:iter() do to:send(value + 1) end
      to:close()
    end)
    source = to
  end
  rt.spawn(function()
    for _ = 1, 5 do first:send(0) end
    first:close()
  end)
  local got = {}
  for value in source:iter() do got[#got + 1] = value end

  lu.assertEquals(got, { 500, 500, 500, 500, 500 })
end

function TestMany:test_memory_stays_flat()
  local ch = rt.channel()
  local echo = rt.spawn(function() for value in ch:iter() do assert(value) end end)
  local function round(n) for i = 1, n do ch:send(i) end end
  round(harness.rounds(1000))
  collectgarbage()
  local before = collectgarbage("count")
  round(harness.rounds(20000))
  collectgarbage()
  lu.assertTrue(collectgarbage("count") - before < 20)
  ch:close()
  echo:join()
end

harness.run()
