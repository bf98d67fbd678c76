-- asyncrt: --virtual-time --seed=1
-- Semaphores, mutexes and limits: permits, their order, and who gets none.
local rt = require("asyncrt")
local harness = require("harness")
local lu = require("luaunit")

-- What every kind of them does, with one permit.
local kinds = {
  semaphore = function() return rt.semaphore(1) end,
  mutex = rt.mutex,
  limit = function() return rt.limit(1) end,
}

TestEveryKind = {}

local function for_every_kind(name, test)
  for kind, new in pairs(kinds) do
    TestEveryKind[name .. "_" .. kind] = function() test(new(), kind) end
  end
end

-- Holds the permit for a second, and writes down when it got it.
local function hold(s, log, name)
  local _ <close> = s:acquire()
  log[#log + 1] = name .. "@" .. rt.now()
  rt.sleep(1)
end

for_every_kind("test_a_block_gives_its_permit_back", function(s)
  do
    local permit <close> = s:acquire()
    lu.assertStrContains(tostring(permit), "held")
    lu.assertNil(rt.poll({ s }))
  end

  lu.assertEquals(rt.poll({ got = s }), "got")
end)

for_every_kind("test_permits_are_handed_over_in_order", function(s)
  local log, start = {}, rt.now()
  do
    local g <close> = rt.group()
    for i = 1, 4 do g:spawn(hold, s, log, "t" .. i) end
  end

  for i = 1, 4 do lu.assertEquals(log[i], ("t%d@%s"):format(i, start + i - 1)) end
end)

for_every_kind("test_a_released_permit_cannot_be_taken_in_between", function(s)
  local got = {}
  local permit = s:acquire()
  local waiter = rt.spawn(function()
    local _ <close> = s:acquire()
    got[#got + 1] = "waiter"
  end)
  rt.yield()
  permit:release()
  local mine, barged = rt.poll({ mine = s })
  waiter:join()

  lu.assertNil(mine, tostring(barged))
  lu.assertEquals(got, { "waiter" })
end)

for_every_kind("test_a_cancelled_waiter_takes_no_permit", function(s)
  local permit = s:acquire()
  local waiter = rt.spawn(s.acquire, s)
  rt.yield()
  waiter:cancel()
  permit:release()
  waiter:join()

  lu.assertEquals(waiter:status(), "cancelled")
  lu.assertEquals(rt.poll({ free = s }), "free")
end)

for_every_kind("test_a_waiter_that_times_out_gives_up_its_place", function(s)
  local log = {}
  local permit = s:acquire()
  local late = rt.spawn(rt.timeout, 1, s.acquire, s)
  local patient = rt.spawn(hold, s, log, "patient")
  rt.sleep(2)
  permit:release()
  patient:join()

  lu.assertEquals({ late:join() }, { true, nil, "timeout" })
  lu.assertEquals(#log, 1)
end)

for_every_kind("test_an_arm_that_loses_takes_no_permit", function(s)
  local permit = s:acquire()
  local key = rt.select({ s = s, evt = s:acquire_evt(), timeout = 1 })
  permit:release()

  lu.assertEquals(key, "timeout")
  lu.assertEquals(rt.poll({ free = s }), "free")
end)

for_every_kind("test_a_permit_that_was_handed_over_survives_a_cancel", function(s)
  local permit = s:acquire()
  local got
  local waiter = rt.spawn(function() got = s:acquire() end)
  rt.yield()
  permit:release()
  waiter:cancel()
  waiter:join()

  lu.assertNotNil(got)
  lu.assertNil(rt.poll({ s }))
end)

for_every_kind("test_it_is_an_event_that_yields_a_permit", function(s)
  local _, permit = rt.select({ a = s })
  lu.assertStrContains(tostring(permit), "held")
  permit:release()
  lu.assertStrContains(tostring(permit), "released")

  permit = rt.sync(s:acquire_evt())
  lu.assertStrContains(tostring(permit), "held")
  permit:close()
  lu.assertNotNil(rt.poll({ s }))
end)

for_every_kind("test_two_arms_on_one_take_one_permit", function(s)
  local _, permit = rt.select({ a = s, b = s:acquire_evt() })
  lu.assertNil(rt.poll({ s }))
  permit:release()
  lu.assertNotNil(rt.poll({ s }))
end)

for_every_kind("test_a_permit_is_given_back_once", function(s)
  local permit = s:acquire()
  permit:release()
  permit:release()
  permit:close()
  local _ <close> = permit

  local _, first = rt.poll({ s })
  lu.assertNotNil(first)
  lu.assertNil(rt.poll({ s }))
end)

for_every_kind("test_with_gives_back_after_the_function", function(s)
  lu.assertEquals({ s:with(function(...)
    lu.assertNil(rt.poll({ s }))
    rt.sleep(1)
    return ...
  end, 1, nil, 3) }, { 1, nil, 3 })
  lu.assertNotNil(rt.poll({ s }))
end)

for_every_kind("test_with_gives_back_after_an_error", function(s)
  local err = {}
  local ok, raised = pcall(s.with, s, function()
    rt.sleep(1)
    error(err)
  end)

  lu.assertFalse(ok)
  lu.assertIs(raised, err)
  lu.assertNotNil(rt.poll({ s }))
end)

for_every_kind("test_with_gives_back_after_a_cancel", function(s)
  lu.assertEquals({ rt.timeout(1, s.with, s, rt.sleep, 9) }, { nil, "timeout" })
  lu.assertNotNil(rt.poll({ s }))
end)

for_every_kind("test_with_waits_for_its_turn", function(s)
  local log, start = {}, rt.now()
  local permit = s:acquire()
  local waiter = rt.spawn(s.with, s, function() log[1] = rt.now() - start end)
  rt.sleep(1)
  lu.assertEquals(log, {})
  permit:release()
  waiter:join()

  lu.assertEquals(log, { 1.0 })
end)

for_every_kind("test_with_reports_where_its_function_failed", function(s)
  local task
  local g = rt.group({ on_error = "collect" })
  do
    local _ <close> = g
    task = g:spawn(function()
      s:with(function() error("inside") end)
    end)
  end

  lu.assertStrContains(task:where(), "test_semaphore.lua")
  lu.assertStrContains(task:where(), "'error'")
end)

for_every_kind("test_waiting_in_cancelled_code_raises", function(s)
  local reached = false
  rt.timeout(0, function()
    s:acquire()
    reached = true
  end)

  lu.assertFalse(reached)
  lu.assertNotNil(rt.poll({ s }))
end)

for_every_kind("test_a_report_names_what_is_waited_for", function(s, kind)
  local permit = s:acquire()
  local waiter = rt.spawn(s.acquire, s)
  rt.yield()
  lu.assertStrContains(rt.dump(), "acquire " .. kind)
  permit:release()
  waiter:join()
end)

for_every_kind("test_another_self_is_refused", function(s, kind)
  for _, method in ipairs({ "acquire", "acquire_evt", "release", "with" }) do
    lu.assertErrorMsgContains("asyncrt." .. kind .. " expected, got",
      s[method], rt.channel())
    lu.assertErrorMsgContains("asyncrt." .. kind .. " expected, got no value",
      s[method])
  end
  lu.assertErrorMsgContains("function expected", s.with, s, 1)
end)

TestNames = {}

-- What a report says of a task that waits for `event`.
local function waits(event)
  local _ <close> = rt.group()
  local task = rt.spawn(rt.sync, event)
  rt.yield()
  local text = rt.dump():match("t%d+ waits for ([^\n]*)")
  task:cancel()
  return text
end

function TestNames:test_a_name_stands_in_the_place_of_the_address()
  local lock = rt.mutex("of the door")
  lock:acquire()

  lu.assertStrContains(waits(rt.semaphore(0, "seats")), 'acquire semaphore "seats" ')
  lu.assertStrMatches(waits(lock), 'acquire mutex "of the door" held by t%d+ .*')
  lu.assertEquals(tostring(rt.semaphore(2, "seats")), 'semaphore "seats" (2 available)')
  lu.assertEquals(tostring(rt.limit(3, "at once")), 'limit "at once" (3 available)')
  lu.assertEquals(tostring(lock), 'mutex "of the door" (locked)')
  lu.assertEquals(tostring(rt.mutex("b")), 'mutex "b" (free)')
end

function TestNames:test_the_name_lives_as_long_as_the_semaphore()
  local s = rt.semaphore(0, ("name "):rep(10) .. "of a string that nobody else has")
  collectgarbage()
  collectgarbage()

  lu.assertStrContains(waits(s), "name name of a string that nobody else has")
end

function TestNames:test_a_name_is_a_string()
  lu.assertErrorMsgContains("bad argument #2 to 'semaphore' (string expected, got table)",
    function() rt.semaphore(1, {}) end)
  lu.assertErrorMsgContains("bad argument #2 to 'limit' (string", function() rt.limit(1, 2) end)
  lu.assertErrorMsgContains("bad argument #1 to 'mutex' (string", function() rt.mutex(true) end)
end

TestSemaphore = {}

function TestSemaphore:test_as_many_as_permits_go_on()
  local s = rt.semaphore(2)
  local most, now = 0, 0
  do
    local g <close> = rt.group()
    for _ = 1, 6 do
      g:spawn(function()
        local _ <close> = s:acquire()
        now = now + 1
        most = math.max(most, now)
        rt.sleep(1)
        now = now - 1
      end)
    end
  end

  lu.assertEquals(most, 2)
  lu.assertEquals(s:available(), 2)
end

function TestSemaphore:test_release_needs_no_permit_and_has_no_ceiling()
  local s = rt.semaphore(0)
  s:release()
  s:release()

  lu.assertEquals(s:available(), 2)
  s:acquire()
  lu.assertEquals(s:available(), 1)
end

function TestSemaphore:test_a_release_from_another_task_wakes_one()
  local s = rt.semaphore(0)
  local woken = 0
  local waiters = {}
  for i = 1, 3 do
    waiters[i] = rt.spawn(function()
      s:acquire()
      woken = woken + 1
    end)
  end
  rt.yield()
  s:release()
  rt.yield()

  lu.assertEquals(woken, 1)
  for i = 2, 3 do waiters[i]:cancel() end
  rt.yield()
  lu.assertEquals(s:available(), 0)
end

function TestSemaphore:test_the_number_of_permits_is_checked()
  lu.assertErrorMsgContains("number expected, got no value", rt.semaphore)
  lu.assertErrorMsgContains("from 0 to", rt.semaphore, -1)
  lu.assertErrorMsgContains("no integer representation", rt.semaphore, 1.5)
  lu.assertEquals(rt.semaphore(3.0):available(), 3)
end

TestMutex = {}

function TestMutex:test_another_task_cannot_release_it()
  local m = rt.mutex()
  local permit = m:acquire()
  local results
  rt.spawn(function()
    results = { pcall(m.release, m) }
    lu.assertErrorMsgContains("another task holds it", permit.release, permit)
  end):join()

  lu.assertFalse(results[1])
  lu.assertStrContains(results[2], "another task holds it")
  lu.assertTrue(m:is_locked())
  m:release()
  lu.assertFalse(m:is_locked())
end

function TestMutex:test_a_free_one_cannot_be_released()
  lu.assertErrorMsgContains("it is not locked", function() rt.mutex():release() end)
end

function TestMutex:test_whoever_holds_it_cannot_acquire_it_again()
  local m = rt.mutex()
  local _ <close> = m:acquire()

  lu.assertErrorMsgContains("already holds the mutex", m.acquire, m)
  lu.assertErrorMsgContains("already holds the mutex", m.with, m, print)
  lu.assertEquals({ rt.sync_timeout(1, m) }, { nil, "timeout" })
end

function TestMutex:test_an_earlier_permit_does_not_release_a_later_hold()
  local m = rt.mutex()
  local early = m:acquire()
  m:release()
  local late = m:acquire()
  early:release()

  lu.assertTrue(m:is_locked())
  late:release()
  lu.assertFalse(m:is_locked())
end

function TestMutex:test_with_lets_its_function_release_it()
  local m = rt.mutex()
  m:with(function() m:release() end)

  lu.assertFalse(m:is_locked())
end

function TestMutex:test_the_new_owner_may_release_it()
  local m = rt.mutex()
  local permit = m:acquire()
  local waiter = rt.spawn(function()
    m:acquire()
    m:release()
    return "released"
  end)
  rt.yield()
  permit:release()
  lu.assertTrue(m:is_locked())
  lu.assertErrorMsgContains("another task holds it", m.release, m)

  lu.assertEquals({ waiter:join() }, { true, "released" })
  lu.assertFalse(m:is_locked())
end

TestLimit = {}

function TestLimit:test_it_cannot_be_released_beyond_its_number()
  local limit = rt.limit(2)

  lu.assertErrorMsgContains("nothing of it is taken", limit.release, limit)
  local _ <close> = limit:acquire()
  limit:release()
  lu.assertEquals(limit:available(), 2)
end

function TestLimit:test_at_most_so_many_run_at_once()
  local limit = rt.limit(3)
  local start = rt.now()
  do
    local g <close> = rt.group()
    for _ = 1, 9 do g:spawn(limit.with, limit, rt.sleep, 1) end
  end

  lu.assertEquals(rt.now() - start, 3.0)
end

function TestLimit:test_the_number_is_checked()
  lu.assertErrorMsgContains("from 1 to", rt.limit, 0)
end

harness.run()
