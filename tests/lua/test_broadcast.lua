-- asyncrt: --virtual-time --seed=1
local rt = require("asyncrt")
local harness = require("harness")
local lu = require("luaunit")

local function drain(sub)
  local got = {}
  while #sub > 0 do got[#got + 1] = sub:recv() end
  return got
end

-- A task that collects what a new subscription gets.
local function collect(b, got)
  local sub = b:subscribe()
  return rt.spawn(function()
    for value in sub:iter() do got[#got + 1] = value end
  end)
end

TestBroadcast = {}

function TestBroadcast:test_every_subscriber_gets_every_value_in_order()
  local b = rt.broadcast(2)
  local got = { {}, {}, {} }
  local tasks = {}
  for i = 1, 3 do tasks[i] = collect(b, got[i]) end
  for i = 1, 5 do lu.assertEquals({ b:send(i) }, { true }) end
  b:close()
  for i = 1, 3 do tasks[i]:join() end

  for i = 1, 3 do lu.assertEquals(got[i], { 1, 2, 3, 4, 5 }) end
end

function TestBroadcast:test_nobody_need_subscribe()
  local b = rt.broadcast(1)

  for i = 1, 300 do lu.assertTrue(b:send(i)) end
end

function TestBroadcast:test_a_subscriber_gets_what_is_sent_from_then_on()
  local b = rt.broadcast(9)
  b:send("early")
  local first <close> = b:subscribe()
  b:send("a")
  local second <close> = b:subscribe()
  b:send("b")

  lu.assertEquals(drain(first), { "a", "b" })
  lu.assertEquals(drain(second), { "b" })
end

function TestBroadcast:test_false_is_a_value_and_nil_is_none()
  local b = rt.broadcast(2)
  local sub <close> = b:subscribe()
  b:send(false)

  lu.assertEquals({ sub:recv() }, { false })
  lu.assertErrorMsgContains("nil cannot be sent", b.send, b, nil)
  lu.assertErrorMsgContains("nil cannot be sent", b.send_evt, b)
end

function TestBroadcast:test_a_large_buffer_grows_as_it_is_needed()
  for _, capacity in ipairs({ 1000, math.huge }) do
    local b = rt.broadcast(capacity)
    local sub <close> = b:subscribe()
    for i = 1, 10 do b:send(i) end
    for i = 1, 5 do lu.assertEquals(sub:recv(), i) end
    for i = 11, 900 do b:send(i) end

    lu.assertEquals(#sub, 895)
    for i = 6, 900 do lu.assertEquals(sub:recv(), i) end
  end
end

TestBlock = {}

function TestBlock:test_a_send_waits_for_the_slowest()
  local b = rt.broadcast(1)
  local fast, slow = b:subscribe(), b:subscribe()
  local sent = 0
  local t = rt.spawn(function()
    for i = 1, 3 do
      b:send(i)
      sent = i
    end
  end)
  rt.yield()
  lu.assertEquals(sent, 1)
  lu.assertEquals(fast:recv(), 1)
  rt.yield()
  lu.assertEquals({ sent, #fast }, { 1, 0 })
  lu.assertEquals(slow:recv(), 1)
  rt.yield()
  lu.assertEquals({ sent, #fast, #slow }, { 2, 1, 1 })

  lu.assertEquals({ fast:recv(), slow:recv() }, { 2, 2 })
  t:join()
  lu.assertEquals(sent, 3)
end

function TestBlock:test_senders_take_turns()
  local b = rt.broadcast(1)
  local sub <close> = b:subscribe()
  local tasks = {}
  for i = 1, 4 do tasks[i] = rt.spawn(b.send, b, i) end
  local got = {}
  for i = 1, 4 do
    rt.yield()
    got[i] = sub:recv()
  end

  lu.assertEquals(got, { 1, 2, 3, 4 })
  for i = 1, 4 do lu.assertEquals({ tasks[i]:join() }, { true, true }) end
end

function TestBlock:test_a_cancelled_send_reaches_nobody()
  local b = rt.broadcast(1)
  local free, full = b:subscribe(), b:subscribe()
  b:send("first")
  lu.assertEquals(free:recv(), "first")
  lu.assertEquals({ rt.timeout(1, b.send, b, "lost") }, { nil, "timeout" })

  lu.assertEquals({ #free, #full }, { 0, 1 })
  lu.assertEquals(full:recv(), "first")
  b:send("second")
  lu.assertEquals({ free:recv(), full:recv() }, { "second", "second" })
end

function TestBlock:test_a_send_that_loses_reaches_nobody()
  local b = rt.broadcast(1)
  local sub <close> = b:subscribe()
  b:send("first")

  lu.assertEquals(rt.select({ send = b:send_evt("lost"), t = 1 }), "t")
  lu.assertEquals(drain(sub), { "first" })
  lu.assertEquals({ rt.select({ send = b:send_evt("second"), t = 1 }) },
    { "send", true })
  lu.assertEquals(drain(sub), { "second" })
end

function TestBlock:test_leaving_lets_the_senders_go_on()
  local b = rt.broadcast(1)
  local slow, other = b:subscribe(), b:subscribe()
  local t = rt.spawn(function()
    for i = 1, 3 do b:send(i) end
  end)
  rt.yield()
  lu.assertEquals(other:recv(), 1)
  slow:close()
  rt.yield()
  lu.assertEquals(other:recv(), 2)
  lu.assertEquals(other:recv(), 3)
  t:join()

  lu.assertEquals(drain(slow), { 1 })
  lu.assertEquals({ slow:recv() }, { nil, "closed" })
end

function TestBlock:test_the_last_one_leaving_lets_every_sender_go_on()
  local b = rt.broadcast(1)
  local sub = b:subscribe()
  local tasks = {}
  for i = 1, 4 do tasks[i] = rt.spawn(b.send, b, i) end
  rt.yield()
  sub:close()

  for i = 1, 4 do lu.assertEquals({ tasks[i]:join() }, { true, true }) end
end

function TestBlock:test_one_task_that_waits_for_two_gets_both_in_turn()
  local b = rt.broadcast(1)
  local one, two = b:subscribe(), b:subscribe()
  local t = rt.spawn(function()
    local key, value = rt.select({ one = one, two = two })
    local other = key == "one" and two or one
    return value, other:recv()
  end)
  rt.yield()
  b:send("v")

  lu.assertEquals({ t:join() }, { true, "v", "v" })
end

function TestBlock:test_a_select_can_send_and_receive_on_one()
  local b = rt.broadcast(1)
  local sub <close> = b:subscribe()
  b:send(1)
  local keys = {}
  for _ = 1, 20 do
    local key, value = rt.select({ send = b:send_evt(2), recv = sub })
    keys[#keys + 1] = key
    lu.assertTrue(key == "send" and value == true or value == 1 or value == 2)
  end

  lu.assertEquals(keys[1], "recv")
  lu.assertEquals(keys[2], "send")
  lu.assertEquals(keys[20], "send")
end

TestDrop = {}

function TestDrop:test_a_full_subscriber_misses_the_value()
  local b = rt.broadcast(2, "drop")
  local slow, fast = b:subscribe(), b:subscribe()
  for i = 1, 4 do
    lu.assertTrue(b:send(i))
    lu.assertEquals(fast:recv(), i)
  end

  lu.assertEquals(drain(slow), { 1, 2 })
  lu.assertEquals({ slow:dropped(), fast:dropped() }, { 2, 0 })
  b:send(5)
  lu.assertEquals(slow:recv(), 5)
end

function TestDrop:test_a_waiting_subscriber_misses_nothing()
  local b = rt.broadcast(1, "drop")
  local got = {}
  local t = collect(b, got)
  for i = 1, 3 do
    rt.yield()
    b:send(i)
  end
  rt.yield()
  b:close()
  t:join()

  lu.assertEquals(got, { 1, 2, 3 })
end

TestClose = {}

function TestClose:test_a_full_subscriber_is_closed()
  local b = rt.broadcast(1, "close")
  local slow, fast = b:subscribe(), b:subscribe()
  for i = 1, 2 do
    lu.assertTrue(b:send(i))
    lu.assertEquals(fast:recv(), i)
  end

  lu.assertTrue(slow:is_closed())
  lu.assertEquals(b:count(), 1)
  lu.assertEquals({ slow:recv() }, { 1 })
  lu.assertEquals({ slow:recv() }, { nil, "overflow" })
  lu.assertFalse(fast:is_closed())
end

TestEnding = {}

function TestEnding:test_closing_it_ends_every_subscription_after_its_values()
  local b = rt.broadcast(4)
  local sub = b:subscribe()
  b:send(1)
  b:send(2)

  lu.assertTrue(b:close("done"))
  lu.assertFalse(b:close("again"))
  lu.assertTrue(b:is_closed() and sub:is_closed())
  lu.assertEquals(drain(sub), { 1, 2 })
  lu.assertEquals({ sub:recv() }, { nil, "done" })
  lu.assertEquals({ b:send(3) }, { nil, "closed" })
  lu.assertEquals({ b:subscribe():recv() }, { nil, "done" })
end

function TestEnding:test_closing_it_wakes_all_who_wait()
  local b = rt.broadcast(1)
  local full, empty = b:subscribe(), b:subscribe()
  b:send(1)
  empty:recv()
  local sender = rt.spawn(b.send, b, 2)
  local receiver = rt.spawn(empty.recv, empty)
  rt.yield()
  b:close()

  lu.assertEquals({ sender:join() }, { true, nil, "closed" })
  lu.assertEquals({ receiver:join() }, { true, nil, "closed" })
  lu.assertEquals(drain(full), { 1 })
end

function TestEnding:test_a_block_ends_its_subscription()
  local b = rt.broadcast(1)
  local sub
  pcall(function()
    local s <close> = b:subscribe()
    sub = s
    lu.assertEquals(b:count(), 1)
    error("x")
  end)

  lu.assertEquals(b:count(), 0)
  lu.assertEquals({ sub:recv() }, { nil, "closed" })
  lu.assertFalse(sub:close())
end

function TestEnding:test_closing_a_subscription_gives_its_reason()
  local b = rt.broadcast(1)
  local sub = b:subscribe()
  local t = rt.spawn(sub.recv, sub)
  rt.yield()
  lu.assertTrue(sub:close("enough"))

  lu.assertEquals({ t:join() }, { true, nil, "enough" })
  lu.assertEquals({ sub:recv() }, { nil, "enough" })
end

function TestEnding:test_a_cancelled_receiver_takes_nothing()
  local b = rt.broadcast(1)
  local sub <close> = b:subscribe()
  local t = rt.spawn(sub.recv, sub)
  rt.yield()
  t:cancel()
  b:send("kept")

  lu.assertEquals(sub:recv(), "kept")
  lu.assertEquals({ t:join() }, { false, "cancelled" })
end

function TestEnding:test_a_receiver_that_loses_takes_nothing()
  local b = rt.broadcast(1)
  local sub <close> = b:subscribe()
  lu.assertEquals(rt.select({ sub = sub, evt = sub:recv_evt(), t = 1 }), "t")
  b:send("kept")

  lu.assertEquals({ rt.poll({ evt = sub:recv_evt() }) }, { "evt", "kept" })
end

TestMisuse = {}

function TestMisuse:test_arguments_are_checked()
  lu.assertErrorMsgContains("number expected, got no value", rt.broadcast)
  lu.assertErrorMsgContains("from 1 to", rt.broadcast, 0)
  lu.assertErrorMsgContains("no integer representation", rt.broadcast, 1.5)
  lu.assertErrorMsgContains("invalid option 'lose'", rt.broadcast, 1, "lose")
  local b = rt.broadcast(1)
  lu.assertErrorMsgContains("asyncrt.broadcast expected", b.send, {}, 1)
  lu.assertErrorMsgContains("asyncrt.subscription expected",
    b:subscribe().recv, b)
  lu.assertErrorMsgContains("no event", rt.select, { b })
end

harness.run()
