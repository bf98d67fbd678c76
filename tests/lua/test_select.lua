-- asyncrt: --virtual-time --seed=1
local rt = require("asyncrt")
local harness = require("harness")
local lu = require("luaunit")

local function timed(f, ...)
  local start = rt.now()
  local results = table.pack(f(...))
  return rt.now() - start, table.unpack(results, 1, results.n)
end

TestArms = {}

function TestArms:test_every_object_that_is_an_event_is_an_arm()
  local ch, e = rt.channel(1), rt.event()
  local task = rt.spawn(function() return "result" end)
  task:join()
  ch:send("value")
  e:set("set")
  lu.assertEquals({ rt.select({ k = ch }) }, { "k", "value" })
  lu.assertEquals({ rt.select({ k = e }) }, { "k", "set" })
  lu.assertEquals({ rt.select({ k = task }) }, { "k", true, "result" })
  lu.assertEquals({ rt.select({ k = rt.always(1, nil, 3) }) }, { "k", 1, nil, 3 })
  lu.assertEquals({ timed(rt.select, { k = 1 }) }, { 1.0, "k" })
  lu.assertEquals({ timed(rt.select, { k = rt.after(1) }) }, { 1.0, "k" })
  lu.assertEquals({ timed(rt.select, { k = rt.at(rt.now() + 1) }) }, { 1.0, "k" })
end

function TestArms:test_any_key_is_returned_as_it_is()
  local object = {}
  for _, key in ipairs({ 1, -7, 1.5, math.mininteger, "text", "", true, false, object, print, rt.never }) do
    local got, value = rt.select({ [key] = rt.always("v") })
    lu.assertTrue(rawequal(got, key))
    lu.assertEquals(value, "v")
  end
end

function TestArms:test_false_and_nil_are_no_arms()
  local closed, ch = false, rt.channel(1)
  ch:send("v")
  lu.assertEquals({ rt.select({ a = closed, b = ch, c = nil, d = false }) }, { "b", "v" })
  lu.assertEquals({ rt.timeout(1, rt.select, { false, false }) }, { nil, "timeout" })
  lu.assertNil(rt.poll({ a = false }))
end

function TestArms:test_an_empty_table_waits_for_ever()
  lu.assertEquals({ timed(rt.timeout, 1000, rt.select, {}) }, { 1000.0, nil, "timeout" })
  lu.assertNil(rt.poll({}))
end

function TestArms:test_what_is_no_event_raises_before_a_guard_runs_or_an_arm_is_tried()
  local ran = 0
  local guard = rt.guard(function()
    ran = ran + 1
    return rt.never
  end)
  local ch = rt.channel(9)
  ch:send(1)
  for _, bad in ipairs({ "text", true, {}, print, io.stdout, coroutine.create(print), 0 / 0 }) do
    for _, f in ipairs({ rt.select, rt.poll }) do
      for _ = 1, 4 do -- in whatever place it comes
        lu.assertErrorMsgContains("arm 'bad' is no event", f, { guard, ch, ch:send_evt(2), bad = bad })
        lu.assertErrorMsgContains("arm '1' is no event", f, { bad, guard, ch })
      end
    end
  end
  lu.assertErrorMsgContains("to run code when an arm is chosen, use :wrap", rt.select, { print })
  lu.assertEquals(ran, 0)
  lu.assertEquals(#ch, 1)
end

function TestArms:test_the_table_may_change_while_it_waits()
  local a, b = rt.channel(), rt.channel()
  local arms = { a = a, b = b, t = 5 }
  local task = rt.spawn(function() return rt.select(arms) end)
  rt.yield()
  for key in pairs(arms) do arms[key] = nil end
  for i = 1, 100 do arms[i] = rt.always() end
  a, arms = nil, nil -- luacheck: ignore 311
  collectgarbage()
  rt.sleep(1)
  b:send("v")

  lu.assertEquals({ task:await() }, { "b", "v" })
end

function TestArms:test_one_table_serves_again_and_again()
  local ch = rt.channel(1)
  local arms = { recv = ch, send = ch:send_evt("v") }
  local log = {}
  for _ = 1, 6 do log[#log + 1] = rt.select(arms) end

  lu.assertEquals(log, { "send", "recv", "send", "recv", "send", "recv" })
end

function TestArms:test_thousands_of_arms()
  local channels, arms = {}, {}
  for i = 1, 5000 do
    channels[i] = rt.channel()
    arms["key " .. i] = channels[i]
  end
  lu.assertNil(rt.poll(arms))
  for _, i in ipairs({ 1, 2500, 5000, 77 }) do
    local task = rt.spawn(function() return rt.select(arms) end)
    rt.yield()
    channels[i]:send(i)
    lu.assertEquals({ task:await() }, { "key " .. i, i })
  end
  for i = 1, 5000 do lu.assertNil(rt.poll({ channels[i]:send_evt(1) })) end
  lu.assertEquals({ rt.timeout(1, rt.select, arms) }, { nil, "timeout" })
  arms.ready = rt.always()
  lu.assertEquals(rt.select(arms), "ready")
end

function TestArms:test_select_wants_a_table()
  for _, bad in ipairs({ 1, "text", true, print }) do
    lu.assertErrorMsgContains("table expected", rt.select, bad)
    lu.assertErrorMsgContains("table expected", rt.poll, bad)
  end
  lu.assertErrorMsgContains("table expected", rt.select)
  lu.assertErrorMsgContains("table expected", rt.select, rt.channel())
end

function TestArms:test_a_task_cannot_join_itself()
  lu.assertErrorMsgContains("cannot join itself", rt.select, { rt.current() })
  lu.assertErrorMsgContains("cannot join itself", rt.poll, { rt.current() })
  lu.assertErrorMsgContains("cannot join itself", rt.sync, rt.current())
end

TestChance = {}

-- The share of each ready arm among `count` selects.
local function shares(arms, count)
  local counts = {}
  for _ = 1, count do
    local key = rt.select(arms)
    counts[key] = (counts[key] or 0) + 1
  end
  for key, n in pairs(counts) do counts[key] = n / count end
  return counts
end

function TestChance:test_ready_arms_are_equally_likely_wherever_they_stand()
  local yes, no = rt.always(), rt.never
  for _, arms in ipairs({
    { yes, yes }, { no, yes, yes }, { yes, no, no, no, no, yes }, { no, no, no, yes, no, yes, yes, no },
    { a = yes, b = yes, c = yes, d = no }, { yes, yes, yes, yes, yes, yes, yes },
  }) do
    local ready = 0
    for _, arm in pairs(arms) do if arm == yes then ready = ready + 1 end end
    local n = 0
    for key, share in pairs(shares(arms, 6000)) do
      n = n + 1
      lu.assertTrue(math.abs(share - 1 / ready) < 0.03, ("%s: %f of 1/%d"):format(key, share, ready))
    end
    lu.assertEquals(n, ready)
  end
end

function TestChance:test_arms_of_choices_are_drawn_alike()
  local yes = rt.always()
  local choice = rt.choose(yes, rt.never, yes)
  local counts = shares({ a = choice, b = yes, c = rt.never }, 6000)
  lu.assertTrue(math.abs(counts.a - 2 / 3) < 0.03, counts.a)
  lu.assertTrue(math.abs(counts.b - 1 / 3) < 0.03, counts.b)
end

function TestChance:test_two_arms_on_one_queue_are_equally_likely()
  local counts = { 0, 0 }
  local ch = rt.channel()
  for _ = 1, 2000 do
    local task = rt.spawn(function() return rt.select({ ch, ch }) end)
    rt.yield()
    ch:send(1)
    local key = task:await()
    counts[key] = counts[key] + 1
  end

  lu.assertTrue(math.abs(counts[1] - 1000) < 100, counts[1])
end

function TestChance:test_poll_draws_too()
  local counts = { 0, 0, 0 }
  local yes = rt.always()
  for _ = 1, 3000 do
    local key = rt.poll({ yes, yes, yes })
    counts[key] = counts[key] + 1
  end
  for _, n in ipairs(counts) do lu.assertTrue(math.abs(n - 1000) < 120, n) end
end

TestTime = {}

function TestTime:test_a_time_that_is_due_never_beats_a_ready_arm()
  local ch = rt.channel(1000)
  for i = 1, 500 do ch:send(i) end
  for _ = 1, 100 do
    lu.assertEquals(rt.select({ 0, ch, rt.after(0), rt.at(0) }), 2)
    lu.assertEquals(rt.poll({ 0, ch, rt.after(0), rt.at(0) }), 2)
    lu.assertEquals(rt.select({ 0, rt.choose(ch), rt.after(0) }), 2)
  end
end

function TestTime:test_a_time_that_is_due_is_chosen_where_nothing_else_is_ready()
  for _, time in ipairs({ 0, -1, -math.huge, rt.after(0), rt.at(0), rt.at(-5) }) do
    lu.assertEquals({ timed(rt.select, { rt.never, t = time }) }, { 0.0, "t" })
    lu.assertEquals({ timed(rt.poll, { rt.never, t = time }) }, { 0.0, "t" })
  end
  lu.assertNil(rt.poll({ 1 }))
end

function TestTime:test_the_first_of_several_times_ends_it()
  lu.assertEquals({ timed(rt.select, { a = 3, b = 1, c = 2 }) }, { 1.0, "b" })
  lu.assertEquals({ timed(rt.select, { a = math.huge, b = 1e300, c = 2 }) }, { 2.0, "c" })
end

function TestTime:test_losing_times_leave_the_heap()
  local ch = rt.channel(1)
  for _ = 1, 1000 do
    ch:send(1)
    rt.select({ ch, 1e6 })
  end
  local task = rt.spawn(function()
    for _ = 1, 100 do rt.select({ ch, 1e6 }) end
  end)
  for _ = 1, 100 do ch:send(1) end
  task:join()

  lu.assertEquals(timed(rt.sleep, 1), 1.0)
end

TestSync = {}

function TestSync:test_sync_returns_the_values_of_the_event()
  local ch = rt.channel(1)
  ch:send("v")
  lu.assertEquals({ rt.sync(ch) }, { "v" })
  lu.assertEquals({ rt.sync(rt.always(1, nil, 3)) }, { 1, nil, 3 })
  lu.assertEquals({ timed(rt.sync, 1) }, { 1.0 })
  lu.assertEquals({ timed(rt.sync, rt.spawn(rt.sleep, 2)) }, { 2.0, true })
end

function TestSync:test_sync_timeout_gives_up()
  local ch = rt.channel()
  lu.assertEquals({ timed(rt.sync_timeout, 1, ch) }, { 1.0, nil, "timeout" })
  lu.assertEquals({ timed(rt.sync_timeout, 1, ch:send_evt(1)) }, { 1.0, nil, "timeout" })
  lu.assertNil(rt.poll({ ch }))
  rt.spawn(function()
    rt.sleep(1)
    ch:send("v")
  end)
  lu.assertEquals({ timed(rt.sync_timeout, 2, ch) }, { 1.0, "v" })
  lu.assertEquals({ timed(rt.sync_timeout, math.huge, 1) }, { 1.0 })
end

function TestSync:test_the_event_wins_a_tie_with_the_limit()
  for _ = 1, 20 do
    lu.assertEquals({ timed(rt.sync_timeout, 1, rt.after(1)) }, { 1.0 })
    lu.assertEquals({ timed(rt.sync_timeout, 1, 1) }, { 1.0 })
    lu.assertEquals({ timed(rt.sync_timeout, 1, rt.choose(rt.never, rt.after(1)):wrap(function()
      return "won"
    end)) }, { 1.0, "won" })
  end
end

function TestSync:test_nothing_or_less_is_one_attempt_that_never_waits()
  local ch, others = rt.channel(1), 0
  rt.spawn(function() others = others + 1 end)
  for _, seconds in ipairs({ 0, -0.0, -1, -math.huge }) do
    lu.assertEquals({ rt.sync_timeout(seconds, ch) }, { nil, "timeout" })
    lu.assertTrue(rt.sync_timeout(seconds, ch:send_evt("v")))
    lu.assertEquals(rt.sync_timeout(seconds, ch), "v")
    lu.assertEquals({ rt.sync_timeout(seconds, rt.after(1)) }, { nil, "timeout" })
  end
  lu.assertEquals(others, 0)
  rt.yield()
end

function TestSync:test_bad_arguments()
  lu.assertErrorMsgContains("bad argument #1 to 'sync'", function() rt.sync({}) end)
  lu.assertErrorMsgContains("bad argument #1 to 'sync'", function() rt.sync() end)
  lu.assertErrorMsgContains("bad argument #1 to 'sync'", function() rt.sync(0 / 0) end)
  lu.assertErrorMsgContains("bad argument #1 to 'sync_timeout'", function() rt.sync_timeout(0 / 0, rt.never) end)
  lu.assertErrorMsgContains("bad argument #1 to 'sync_timeout'", function() rt.sync_timeout({}, rt.never) end)
  lu.assertErrorMsgContains("bad argument #2 to 'sync_timeout'", function() rt.sync_timeout(1, print) end)
end

TestPoll = {}

function TestPoll:test_it_never_waits_and_lets_nobody_run()
  local ran = false
  rt.spawn(function() ran = true end)
  for _ = 1, 1000 do lu.assertNil(rt.poll({ rt.channel(), rt.event(), rt.current and 1 })) end

  lu.assertFalse(ran)
  rt.yield()
  lu.assertTrue(ran)
end

function TestPoll:test_it_works_where_lua_cannot_yield()
  local ch = rt.channel(1)
  local got
  table.sort({ 2, 1 }, function(a, b)
    rt.poll({ ch:send_evt("v") })
    got = select(2, rt.poll({ ch }))
    return a < b
  end)

  lu.assertEquals(got, "v")
end

function TestPoll:test_one_attempt_of_each_and_only_one_commits()
  local channels, arms = {}, {}
  for i = 1, 20 do
    channels[i] = rt.channel(1)
    arms[i] = channels[i]:send_evt(i)
  end
  for n = 1, 20 do
    local key = rt.poll(arms)
    lu.assertEquals(#channels[key], 1)
    local total = 0
    for i = 1, 20 do total = total + #channels[i] end
    lu.assertEquals(total, n)
  end
  lu.assertNil(rt.poll(arms))
end

function TestPoll:test_it_meets_a_task_that_waits()
  local ch = rt.channel()
  local task = rt.spawn(function() return ch:recv() end)
  rt.yield()
  lu.assertEquals({ rt.poll({ ch:send_evt("v") }) }, { 1, true })
  lu.assertNil(rt.poll({ ch:send_evt("v") }))
  lu.assertEquals(task:await(), "v")
end

TestRules = {}

function TestRules:test_two_arms_of_one_select_never_meet()
  for _, capacity in ipairs({ 0 }) do
    local ch = rt.channel(capacity)
    for _ = 1, 20 do
      lu.assertEquals({ rt.sync_timeout(0.1, rt.choose(ch, ch:send_evt(1))) }, { nil, "timeout" })
      lu.assertEquals({ rt.select({ ch, ch:send_evt(1), t = 0.1 }) }, { "t" })
    end
  end
end

function TestRules:test_no_waiter_is_left_behind_by_any_outcome()
  local channels = {}
  for i = 1, 10 do channels[i] = rt.channel() end
  local function arms()
    local t = { limit = 1 }
    for i, ch in ipairs(channels) do t[i] = i % 2 == 0 and ch or ch:send_evt(i) end
    return t
  end
  local function check()
    for _, ch in ipairs(channels) do
      lu.assertNil(rt.poll({ ch }))
      lu.assertNil(rt.poll({ ch:send_evt("nobody waits") }))
    end
  end

  lu.assertEquals(rt.select(arms()), "limit")
  check()
  rt.timeout(0.5, rt.select, arms())
  check()
  local task = rt.spawn(function() return rt.select(arms()) end)
  rt.yield()
  task:cancel()
  check()
  task:join()
  task = rt.spawn(function() return rt.select(arms()) end)
  rt.yield()
  channels[4]:send("v")
  check()
  lu.assertEquals({ task:await() }, { 4, "v" })
end

function TestRules:test_commit_then_cancel_delivers_the_values()
  local ch, got = rt.channel(), nil
  local task = rt.spawn(function() got = table.pack(rt.select({ a = ch, b = rt.never })) end)
  rt.yield()
  ch:send("v")
  task:cancel()
  task:join()

  lu.assertEquals({ got[1], got[2] }, { "a", "v" })
end

function TestRules:test_the_first_of_two_events_at_one_time_counts()
  local a, b = rt.event(), rt.event()
  local task = rt.spawn(function() return rt.select({ a = a, b = b }) end)
  rt.yield()
  b:set("b")
  a:set("a")

  lu.assertEquals({ task:await() }, { "b", "b" })
end

function TestRules:test_a_loop_of_ready_selects_lets_others_run()
  local turns, n = 0, 0
  local task = rt.spawn(function()
    for _ = 1, 20 do
      rt.yield()
      turns = turns + 1
    end
  end)
  local ready = rt.always()
  while turns < 20 do
    rt.select({ ready })
    n = n + 1
  end
  task:join()

  lu.assertTrue(n <= 21 * 130, n)
end

function TestRules:test_one_script_and_seed_one_run()
  local code = [[
    local rt = require("asyncrt")
    local out = {}
    for _ = 1, 40 do
      out[#out + 1] = rt.select({ a = rt.always(), b = rt.always(), c = rt.always(), rt.always(), rt.always() })
    end
    print(table.concat(out, " "))
  ]]
  local function run(seed)
    local path = os.tmpname()
    local file = assert(io.open(path, "w"))
    file:write(code)
    file:close()
    local first = -1
    while arg[first - 1] do first = first - 1 end
    local command = arg[first]
    local pipe = io.popen(("%s --virtual-time --seed=%d %s"):format(command, seed, path))
    local output = pipe:read("a")
    pipe:close()
    os.remove(path)
    return output
  end

  local first = run(1)
  lu.assertTrue(#first >= 80, first)
  for _ = 1, 3 do lu.assertEquals(run(1), first) end
  lu.assertNotEquals(run(2), first)
end

TestMany = {}

function TestMany:test_memory_stays_flat()
  local a, b = rt.channel(), rt.channel()
  local arms = { a = a, b = b, t = 3600 }
  local task = rt.spawn(function()
    while rt.select(arms) ~= "t" do end
  end)
  local function round(n)
    for i = 1, n do (i % 2 == 0 and a or b):send(i) end
  end
  round(harness.rounds(1000))
  collectgarbage()
  local before = collectgarbage("count")
  round(harness.rounds(20000))
  collectgarbage()
  lu.assertTrue(collectgarbage("count") - before < 20)
  task:cancel()
  task:join()
end

TestTableOfArms = {}

function TestTableOfArms:test_a_float_key_of_an_integer_is_that_integer()
  local key = rt.select({ [1.0] = rt.always() })
  lu.assertEquals(math.type(key), "integer")
  lu.assertEquals(rt.select({ [1.5] = rt.always(), [2^53] = rt.never }), 1.5)
end

function TestTableOfArms:test_a_guard_may_change_it()
  local arms = {}
  arms.a = rt.guard(function()
    arms.a, arms.b, arms.c = nil, nil, rt.always("c")
    return rt.never
  end)
  arms.b = rt.always("b")

  lu.assertEquals({ rt.select(arms) }, { "b", "b" })
end

function TestTableOfArms:test_another_task_may_empty_it_while_it_is_waited_for()
  local e = rt.event()
  local arms = { rt.channel(), event = e }
  local task = rt.spawn(rt.select, arms)
  rt.yield()
  arms[1], arms.event = nil, nil
  collectgarbage()
  e:set("set")

  lu.assertEquals({ task:join() }, { true, "event", "set" })
end

function TestTableOfArms:test_another_task_may_change_it_while_its_task_gives_way()
  local e = rt.event()
  e:set()
  local arms, last = { event = e }, nil
  rt.spawn(function()
    arms.event = nil
    for i = 1, 200 do arms[i] = rt.never end
  end)
  for _ = 1, 300 do
    if not arms.event then break end
    last = rt.select(arms)
  end

  lu.assertEquals(last, "event")
  lu.assertNil(arms.event)
end

harness.run()
