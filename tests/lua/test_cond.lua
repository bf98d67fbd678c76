-- asyncrt: --virtual-time --seed=1
local rt = require("asyncrt")
local harness = require("harness")
local lu = require("luaunit")

TestCond = {}

-- Starts `n` tasks that wait; the names of those that were woken are in the
-- table returned.
local function waiters(g, cond, n)
  local woken = {}
  for i = 1, n do
    g:spawn(function()
      cond:wait()
      woken[#woken + 1] = i
    end)
  end
  rt.yield()
  return woken
end

function TestCond:test_notify_wakes_the_one_that_waited_longest()
  local cond = rt.cond()
  rt.group(function(g)
    local woken = waiters(g, cond, 3)

    lu.assertEquals(cond:notify(), 1)
    rt.yield()
    lu.assertEquals(woken, { 1 })
    lu.assertEquals(cond:notify(), 1)
    rt.yield()
    lu.assertEquals(woken, { 1, 2 })
    g:cancel()
  end)
end

function TestCond:test_notify_wakes_as_many_as_asked_for()
  local cond = rt.cond()
  rt.group(function(g)
    local woken = waiters(g, cond, 3)

    lu.assertEquals(cond:notify(0), 0)
    lu.assertEquals(cond:notify(2), 2)
    rt.yield()
    lu.assertEquals(woken, { 1, 2 })
    lu.assertEquals(cond:notify(2), 1)
  end)
end

function TestCond:test_notify_all_wakes_all_in_order()
  local cond = rt.cond()
  local woken
  rt.group(function(g)
    woken = waiters(g, cond, 4)
    lu.assertEquals(cond:notify_all(), 4)
  end)

  lu.assertEquals(woken, { 1, 2, 3, 4 })
end

function TestCond:test_a_notification_that_nobody_waits_for_is_lost()
  local cond = rt.cond()

  lu.assertEquals(cond:notify(), 0)
  lu.assertEquals(cond:notify_all(), 0)
  lu.assertEquals({ rt.timeout(1, cond.wait, cond) }, { nil, "timeout" })
end

function TestCond:test_a_task_that_waits_again_is_not_woken_twice_by_one_call()
  local cond = rt.cond()
  local rounds = 0
  local t = rt.spawn(function()
    while true do
      cond:wait()
      rounds = rounds + 1
    end
  end)
  rt.yield()

  lu.assertEquals(cond:notify(5), 1)
  rt.sleep(1)
  lu.assertEquals(rounds, 1)
  t:cancel()
  t:join()
end

function TestCond:test_a_cancelled_waiter_consumes_no_notification()
  local cond = rt.cond()
  rt.group(function(g)
    local first = g:spawn(cond.wait, cond)
    local second = g:spawn(function()
      cond:wait()
      return "woken"
    end)
    rt.yield()
    first:cancel()
    lu.assertEquals(cond:notify(), 1)

    lu.assertEquals({ second:join() }, { true, "woken" })
    lu.assertEquals(first:status(), "cancelled")
  end)
end

function TestCond:test_a_notified_waiter_has_been_woken_though_it_is_cancelled()
  local cond = rt.cond()
  local woken = false
  local t = rt.spawn(function()
    cond:wait()
    woken = true
  end)
  rt.yield()
  cond:notify()
  t:cancel()
  t:join()

  lu.assertTrue(woken)
end

function TestCond:test_an_arm_that_loses_consumes_no_notification()
  local cond = rt.cond()
  local ch = rt.channel(1)
  local chooser = rt.spawn(function()
    return rt.select({ cond = cond:wait_evt(), ch = ch })
  end)
  rt.yield()
  ch:send("x")

  lu.assertEquals(cond:notify(), 0)
  lu.assertEquals({ chooser:join() }, { true, "ch", "x" })
end

function TestCond:test_two_arms_on_one_take_one_notification()
  local cond = rt.cond()
  local chooser = rt.spawn(function()
    return rt.select({ cond:wait_evt(), cond:wait_evt() })
  end)
  rt.yield()

  lu.assertEquals(cond:notify_all(), 1)
  lu.assertTrue((chooser:join()))
end

function TestCond:test_its_event_is_never_ready_at_once()
  local cond = rt.cond()

  lu.assertNil(rt.poll({ cond:wait_evt() }))
  lu.assertEquals({ rt.sync_timeout(0, cond:wait_evt()) }, { nil, "timeout" })
end

function TestCond:test_a_condition_is_looked_at_again()
  local cond, items = rt.cond(), {}
  local function take()
    while #items == 0 do cond:wait() end
    return table.remove(items, 1)
  end
  local got = {}
  rt.group(function(g)
    for i = 1, 2 do g:spawn(function() got[i] = take() end) end
    rt.yield()
    items[1] = "a"
    cond:notify_all()
    rt.sleep(1)
    lu.assertEquals(got, { "a" })
    items[1] = "b"
    cond:notify()
  end)

  lu.assertEquals(got, { "a", "b" })
end

function TestCond:test_a_name_is_for_reports()
  local cond = rt.cond("news")
  local waiter = rt.spawn(cond.wait, cond)
  rt.yield()

  lu.assertStrContains(rt.dump(), ' waits for cond "news" ')
  lu.assertEquals(tostring(cond), 'cond "news"')
  lu.assertStrMatches(tostring(rt.cond()), "cond 0x%x+")
  cond:notify()
  waiter:join()
end

function TestCond:test_misuse_is_named()
  local cond = rt.cond()

  lu.assertErrorMsgContains("from 0 to", cond.notify, cond, -1)
  lu.assertErrorMsgContains("number expected", cond.notify, cond, "all")
  lu.assertErrorMsgContains("asyncrt.cond expected", cond.wait, {})
  lu.assertErrorMsgContains("no event", rt.select, { cond })
  lu.assertErrorMsgContains("bad argument #1 to 'cond' (string expected, got table)", function() rt.cond({}) end)
end

harness.run()
