-- asyncrt: --virtual-time --seed=1
local rt = require("asyncrt")
local harness = require("harness")
local lu = require("luaunit")

-- Waits with the arms until nothing is ready: the arms that lost stay armed.
local function settle(arms)
  repeat until rt.poll(arms) == nil
end

-- Sends from a task of its own, which ends when the value was taken.
local function sender(ch, ...)
  return rt.spawn(function(...)
    for _, value in ipairs({ ... }) do ch:send(value) end
  end, ...)
end

TestTable = {}

function TestTable:test_it_reads_like_the_table_it_was_made_of()
  local ch, object = rt.channel(), {}
  local arms = rt.arms({ ch, a = ch, [object] = rt.never, limit = 1.5, gone = false })

  lu.assertEquals(#arms, 4)
  lu.assertEquals({ arms[1], arms.a, arms[object], arms.limit }, { ch, ch, rt.never, 1.5 })
  lu.assertNil(arms.gone)
  lu.assertNil(arms[2])
  local seen = {}
  for key, event in pairs(arms) do seen[key] = event end
  lu.assertEquals(seen, { ch, a = ch, [object] = rt.never, limit = 1.5 })
end

function TestTable:test_none_at_all()
  local arms = rt.arms()
  lu.assertEquals(#arms, 0)
  lu.assertNil(rt.poll(arms))
  lu.assertEquals({ rt.timeout(1000, rt.select, arms) }, { nil, "timeout" })
end

function TestTable:test_what_is_no_event_raises()
  lu.assertErrorMsgContains("arm 'x' is no event (a string value)", rt.arms, { x = "no" })
  local arms = rt.arms({ rt.never })
  for _, bad in ipairs({ "text", true, {}, print, 0 / 0 }) do
    lu.assertErrorMsgContains("is no event", function() arms.x = bad end)
  end
  lu.assertErrorMsgContains("cannot be nil", function() arms[nil] = rt.never end)
  lu.assertErrorMsgContains("cannot be NaN", function() arms[0 / 0] = rt.never end)
  lu.assertErrorMsgContains("table expected", rt.arms, "no table")
  lu.assertEquals(#arms, 1)
end

function TestTable:test_arms_can_be_added_changed_and_removed()
  local a, b = rt.channel(1), rt.channel(1)
  local arms = rt.arms({ x = a })
  settle(arms)

  arms.x = b
  a:send("lost")
  lu.assertNil(rt.poll(arms))
  b:send("seen")
  lu.assertEquals({ rt.poll(arms) }, { "x", "seen" })
  arms.y = a
  lu.assertEquals({ rt.poll(arms) }, { "y", "lost" })
  arms.x, arms.y, arms.z = nil, false, nil
  lu.assertEquals(#arms, 0)
  a:send(1)
  b:send(1)
  lu.assertNil(rt.poll(arms))
end

function TestTable:test_many_changes_against_a_table()
  math.randomseed(3)
  local channels, table_ = {}, {}
  for i = 1, 40 do channels[i] = rt.channel(1) end
  local arms = rt.arms(table_)
  for round = 1, 2000 do
    local key, ch = math.random(60), channels[math.random(#channels)]
    if table_[key] or math.random(3) == 1 then ch = nil end
    arms[key], table_[key] = ch, ch
    local source = channels[math.random(#channels)]
    if #source == 0 then source:send(round) end
    local expected = {}
    for k, e in pairs(table_) do
      if #e > 0 then expected[k] = e end
    end
    local got, value = rt.poll(arms)
    if got == nil then
      lu.assertNil(next(expected))
    else
      lu.assertNotNil(expected[got])
      lu.assertEquals(type(value), "number")
    end
  end
end

function TestTable:test_no_change_while_a_task_waits()
  local ch = rt.channel()
  local arms = rt.arms({ ch })
  local task = rt.spawn(rt.select, arms)
  rt.yield()

  for _, event in ipairs({ rt.never, false }) do
    lu.assertErrorMsgContains("cannot change the arms: a task waits with them",
      function() arms[1] = event end)
  end
  ch:send("v")
  lu.assertEquals({ task:join() }, { true, 1, "v" })
  arms[1] = nil
end

TestSelect = {}

function TestSelect:test_every_object_that_is_an_event_is_an_arm()
  local ch, latch, gate = rt.channel(), rt.event(), rt.event()
  local task = rt.spawn(function()
    gate:wait()
    return "result", nil, 3
  end)
  local bus, sem = rt.broadcast(1), rt.semaphore(0)
  local sub, ticker, watch = bus:subscribe(), rt.ticker(1), rt.watch()
  local arms = rt.arms({
    ch = ch, evt = ch:recv_evt(), latch = latch, task = task, sub = sub,
    ticker = ticker, watch = watch:changed_evt(), sem = sem, limit = 10,
    after = rt.after(20), never = rt.never,
  })
  local function chosen(f)
    rt.spawn(f)
    return { rt.select(arms) }
  end

  for _ = 1, 2 do
    local got = chosen(function() ch:send("v") end)
    lu.assertTrue(got[1] == "ch" or got[1] == "evt")
    lu.assertEquals(got[2], "v")
    lu.assertEquals(chosen(function() bus:send(false) end), { "sub", false })
    lu.assertEquals(chosen(function() sem:release() end)[1], "sem")
    lu.assertEquals(chosen(function() watch:set("w") end)[2], "w")
    lu.assertEquals(chosen(function() end), { "ticker", 1 })
    arms.ticker = nil
    local start = rt.now()
    lu.assertEquals(chosen(function() end), { "limit" })
    lu.assertEquals(rt.now() - start, 10.0)
    arms.ticker = rt.ticker(1)
  end
  lu.assertEquals(chosen(function() gate:set() end), { "task", true, "result", nil, 3 })
  arms.task = nil
  lu.assertEquals(chosen(function() latch:set(1, nil, 2) end), { "latch", 1, nil, 2 })
end

function TestSelect:test_composites_are_arms()
  local ch, runs = rt.channel(1), 0
  local arms = rt.arms({
    wrapped = ch:recv_evt():wrap(function(v) return v * 2 end),
    guarded = rt.guard(function()
      runs = runs + 1
      return rt.never
    end),
  })
  ch:send(21)
  lu.assertEquals({ rt.select(arms) }, { "wrapped", 42 })
  ch:send(1)
  lu.assertEquals({ rt.poll(arms) }, { "wrapped", 2 })
  lu.assertEquals(runs, 2)
  arms.wrapped, arms.guarded = ch, nil
  ch:send(5)
  lu.assertEquals({ rt.select(arms) }, { "wrapped", 5 })
  lu.assertEquals(runs, 2)
end

function TestSelect:test_keys_of_every_kind()
  local ch, keys = rt.channel(1), { 1, -7, 1.5, "text", "", true, false, {}, print }
  for _, key in ipairs(keys) do
    local arms = rt.arms({ [key] = ch })
    ch:send("v")
    lu.assertEquals({ rt.select(arms) }, { key, "v" })
  end
end

function TestSelect:test_a_time_limit_starts_anew_and_never_beats_what_is_ready()
  local ch = rt.channel(1)
  local arms = rt.arms({ ch = ch, limit = 2, now = 0 })
  arms.now = nil
  for _ = 1, 3 do
    local start = rt.now()
    lu.assertEquals({ rt.select(arms) }, { "limit" })
    lu.assertEquals(rt.now() - start, 2.0)
  end
  arms.limit = 0
  for i = 1, 20 do
    ch:send(i)
    lu.assertEquals({ rt.select(arms) }, { "ch", i })
  end
  lu.assertEquals({ rt.select(arms) }, { "limit" })
end

function TestSelect:test_a_closed_channel_stays_ready()
  local ch, other = rt.channel(), rt.channel()
  local arms = rt.arms({ ch = ch, other = other })
  settle(arms)

  ch:close("the end")
  for _ = 1, 3 do lu.assertEquals({ rt.select(arms) }, { "ch", nil, "the end" }) end
  other:close()
  local seen = {}
  for _ = 1, 50 do seen[rt.select(arms)] = true end
  lu.assertEquals(seen, { ch = true, other = true })
end

function TestSelect:test_more_arms_than_a_c_stack_holds()
  local table_ = {}
  for i = 1, 5000 do table_[i] = rt.channel() end
  local arms = rt.arms(table_)
  for i = 1, 5000, 37 do
    sender(table_[i], i)
    lu.assertEquals({ rt.select(arms) }, { i, i })
  end
end

TestLosers = {}

function TestLosers:test_an_arm_that_lost_takes_nothing()
  local a, b = rt.channel(), rt.channel()
  local arms = rt.arms({ a = a, b = b })
  sender(b, "b")
  lu.assertEquals({ rt.select(arms) }, { "b", "b" })

  -- Nobody waits for `a` now, though its arm is still there.
  lu.assertEquals({ rt.sync_timeout(0, a:send_evt("lost")) }, { nil, "timeout" })
  local task = sender(a, "later")
  rt.yield()
  lu.assertEquals(task:status(), "waiting")
  lu.assertEquals(a:recv(), "later")
end

function TestLosers:test_a_buffer_is_filled_and_not_given_away()
  local ch = rt.channel(2)
  local arms = rt.arms({ ch })
  settle(arms)
  ch:send(1)
  ch:send(2)

  lu.assertEquals(#ch, 2)
  lu.assertEquals(ch:recv(), 1)
  lu.assertEquals({ rt.select(arms) }, { 1, 2 })
end

function TestLosers:test_a_broadcast_fills_the_buffer()
  local bus = rt.broadcast(2)
  local sub = bus:subscribe()
  local arms = rt.arms({ sub })
  settle(arms)
  bus:send(1)
  bus:send(2)

  lu.assertEquals(sub:recv(), 1)
  lu.assertEquals({ rt.select(arms) }, { 1, 2 })
  settle(arms)
  bus:close("over")
  lu.assertEquals({ rt.select(arms) }, { 1, nil, "over" })
end

function TestLosers:test_who_waits_comes_before_an_arm_that_waited_once()
  local ch, log = rt.channel(), {}
  local arms = rt.arms({ ch })
  settle(arms) -- now the arm stands in the queue
  local direct = rt.spawn(function()
    local value = ch:recv()
    log[#log + 1] = "direct " .. value
  end)
  rt.yield()
  local kept = rt.spawn(function()
    local _, value = rt.select(arms)
    log[#log + 1] = "kept " .. value
  end)
  rt.yield()
  sender(ch, 1, 2):join()
  direct:join()
  kept:join()

  lu.assertEquals(log, { "direct 1", "kept 2" })
end

function TestLosers:test_kept_arms_wait_in_the_order_of_their_selects()
  local ch, other, log = rt.channel(), rt.channel(), {}
  local first, second = rt.arms({ ch, other }), rt.arms({ ch })
  local function round(name, arms)
    return rt.spawn(function()
      local _, value = rt.select(arms)
      log[#log + 1] = name .. value
    end)
  end
  local a = round("first ", first)
  rt.yield()
  local b = round("second ", second)
  rt.yield()
  sender(other, 0):join()
  a:join()
  a = round("first ", first) -- it has waited, and goes to the end
  rt.yield()
  sender(ch, 1, 2):join()
  a:join()
  b:join()

  lu.assertEquals(log, { "first 0", "second 1", "first 2" })
end

function TestLosers:test_an_arm_that_waited_behind_others_leaves_the_queue()
  local ch, other = rt.channel(), rt.channel()
  local arms = rt.arms({ ch = ch, other = other })
  local first = rt.spawn(ch.recv, ch)
  rt.yield()
  local kept = rt.spawn(rt.select, arms)
  rt.yield()
  sender(other, 0)
  lu.assertEquals({ kept:join() }, { true, "other", 0 })
  local last = rt.spawn(ch.recv, ch)
  rt.yield()
  sender(ch, 1, 2)

  lu.assertEquals({ first:join() }, { true, 1 })
  lu.assertEquals({ last:join() }, { true, 2 })
end

function TestLosers:test_a_select_never_meets_itself()
  local ch = rt.channel()
  local arms = rt.arms({ send = ch:send_evt("mine"), recv = ch })
  for _ = 1, 3 do
    lu.assertNil(rt.poll(arms))
    lu.assertEquals({ rt.timeout(1, rt.select, arms) }, { nil, "timeout" })
  end
  local other = rt.arms({ send = ch:send_evt("other's"), recv = ch })
  for _ = 1, 20 do
    local task = rt.spawn(rt.select, other)
    local key, value = rt.select(arms)
    local _, other_key, other_value = task:join()
    lu.assertNotEquals(key, other_key)
    lu.assertEquals({ value, other_value },
      key == "recv" and { "other's", true } or { true, "mine" })
  end
end

function TestLosers:test_a_cancelled_select_has_no_effect_and_can_be_repeated()
  local a, b = rt.channel(), rt.channel()
  local arms = rt.arms({ a = a, b = b, limit = 100 })
  for i = 1, 5 do
    lu.assertEquals({ rt.timeout(1, rt.select, arms) }, { nil, "timeout" })
    local task = sender(i % 2 == 0 and a or b, i)
    rt.yield()
    lu.assertEquals(task:status(), "waiting")
    lu.assertEquals({ rt.select(arms) }, { i % 2 == 0 and "a" or "b", i })
  end
end

function TestLosers:test_in_a_cancelled_scope_select_raises_though_an_arm_is_ready()
  local ch = rt.channel(1)
  local arms = rt.arms({ ch })
  ch:send("kept")
  local result = { rt.timeout(0, rt.select, arms) }
  lu.assertEquals(result, { nil, "timeout" })
  lu.assertEquals(#ch, 1)
end

function TestLosers:test_a_task_that_ends_leaves_nobody_behind()
  local ch = rt.channel()
  local arms = rt.arms({ ch })
  rt.spawn(function() settle(arms) end):join()
  lu.assertEquals({ rt.sync_timeout(0, ch:send_evt(1)) }, { nil, "timeout" })
  sender(ch, 2)
  lu.assertEquals({ rt.select(arms) }, { 1, 2 })
end

function TestLosers:test_arms_that_are_collected_leave_their_queues()
  local ch, latch = rt.channel(), rt.event()
  local function forget() settle(rt.arms({ ch, latch })) end
  forget()
  collectgarbage()
  collectgarbage()
  local task = rt.spawn(ch.recv, ch)
  rt.yield()
  ch:send("v")
  lu.assertEquals({ task:join() }, { true, "v" })
  latch:set()
end

function TestLosers:test_arms_keep_their_events()
  local weak = setmetatable({}, { __mode = "v" })
  local function use()
    local function make()
      local ch = rt.channel(1)
      weak[1] = ch
      return rt.arms({ ch })
    end
    local arms = make()
    settle(arms)
    collectgarbage()
    collectgarbage()
    weak[1]:send("v")
    lu.assertEquals({ rt.select(arms) }, { 1, "v" })
  end
  use()
  collectgarbage()
  collectgarbage()
  lu.assertNil(weak[1])
end

function TestLosers:test_another_task_can_select_meanwhile()
  local ch = rt.channel()
  local arms = rt.arms({ k = ch })
  local tasks = {}
  for i = 1, 3 do tasks[i] = rt.spawn(rt.select, arms) end
  rt.yield()
  lu.assertNil(rt.poll(arms))
  for i = 1, 3 do ch:send(i) end
  for i = 1, 3 do lu.assertEquals({ tasks[i]:join() }, { true, "k", i }) end
  sender(ch, 4)
  lu.assertEquals({ rt.select(arms) }, { "k", 4 })
end

function TestLosers:test_the_turn_of_a_busy_task_is_kept()
  -- Arms that are ready cost a turn each, while another task takes the arms.
  local ch = rt.channel(math.huge)
  local arms = rt.arms({ ch })
  local function take()
    local sum = 0
    for _ = 1, 500 do sum = sum + select(2, rt.select(arms)) end
    return sum
  end
  for _ = 1, 1000 do ch:send(1) end
  local a, b = rt.spawn(take), rt.spawn(take)
  lu.assertEquals({ a:await(), b:await() }, { 500, 500 })
end

TestChance = {}

function TestChance:test_ready_arms_are_equally_likely()
  local list, counts = {}, { 0, 0, 0, 0 }
  for i = 1, 8 do list[i] = rt.channel(1) end
  local arms = rt.arms(list)
  settle(arms)
  for i = 1, 4 do list[2 * i]:send(true) end
  for _ = 1, 4000 do
    local key = rt.select(arms)
    counts[key // 2] = counts[key // 2] + 1
    list[key]:send(true)
  end
  for i = 1, 4 do lu.assertTrue(counts[i] > 900 and counts[i] < 1100, counts[i]) end
end

function TestChance:test_two_arms_on_one_channel_are_equally_likely()
  local ch, other, counts = rt.channel(), rt.channel(), { a = 0, b = 0 }
  local arms = rt.arms({ a = ch, b = ch, other = other })
  for i = 1, 2000 do
    sender(ch, i)
    local key = rt.select(arms)
    counts[key] = counts[key] + 1
    sender(other, i)
    lu.assertEquals(rt.select(arms), "other")
  end
  lu.assertTrue(counts.a > 900 and counts.a < 1100, counts.a)
end

TestChaos = {}

-- Tasks that send, receive, select with kept arms and with tables, with limits
-- and cancellations: no value may be lost or come twice.
function TestChaos:test_nothing_is_lost()
  for seed = 1, 30 do
    math.randomseed(seed)
    local channels, sent, got, seen = {}, {}, {}, {}
    for i = 1, 6 do
      channels[i] = rt.channel(i % 3)
      sent[i], got[i] = 0, 0
    end
    local function take(i, value)
      lu.assertNil(seen[i * 1000 + value])
      seen[i * 1000 + value] = true
      got[i] = got[i] + 1
    end
    rt.group(function(g)
      for i = 1, 6 do
        g:spawn(function()
          for n = 1, 60 do
            if math.random(3) == 1 then rt.sleep(math.random(3)) end
            if math.random(4) == 1 then
              while not rt.timeout(math.random(3), channels[i].send, channels[i], n) do end
            else
              channels[i]:send(n)
            end
            sent[i] = n
          end
          channels[i]:close()
        end)
      end
      for _ = 1, 5 do
        g:spawn(function()
          local mine = {}
          for i = 1, 6 do mine[i] = channels[i] end
          local arms = math.random(4) > 1 and rt.arms(mine) or mine
          if math.random(2) == 1 then arms.limit = math.random(4) end
          while true do
            local key, value
            if math.random(5) == 1 then
              key, value = rt.poll(arms)
              rt.yield()
            else
              key, value = rt.timeout(math.random(4), rt.select, arms)
            end
            if math.type(key) == "integer" then
              if value == nil then
                arms[key] = nil
              else
                take(key, value)
              end
            end
            local open = false
            for i = 1, 6 do open = open or arms[i] ~= nil end
            if not open then return end
            if math.random(6) == 1 then rt.sleep(math.random(2)) end
          end
        end)
      end
      for _ = 1, 3 do
        g:spawn(function()
          local i = math.random(6)
          for value in channels[i]:iter() do take(i, value) end
        end)
      end
    end)
    lu.assertEquals(got, sent)
  end
end

harness.run()
