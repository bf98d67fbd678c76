-- The only tests that look at the real clock; together they take half a second.
local rt = require("asyncrt")
local harness = require("harness")
local lu = require("luaunit")

-- Keeps the processor, and with it the loop, from everything else.
local function busy(seconds)
  local stop = rt.now() + seconds
  while rt.now() < stop do end
end

TestRealClock = {}

function TestRealClock:test_now_goes_on_by_itself()
  local before = rt.now()
  busy(0.01)
  lu.assertTrue(rt.now() >= before + 0.01)
end

function TestRealClock:test_a_sleep_after_busy_code_is_not_short()
  -- libuv's own timers count from the start of the turn of the loop.
  busy(0.1)
  local start = rt.now()
  rt.sleep(0.05)
  lu.assertTrue(rt.now() - start >= 0.05)
end

function TestRealClock:test_no_timer_fires_early()
  for i = 1, 40 do
    local seconds = i * 0.000137
    for _, wait in ipairs({
      rt.sleep, function(s) rt.select({ s }) end, function(s) rt.sync(rt.after(s)) end,
      function(s) rt.timeout(s, rt.sleep, 9) end, function(s) rt.sync_timeout(s, rt.never) end,
    }) do
      local start = rt.now()
      wait(i % 8 == 0 and seconds or seconds / 10)
      lu.assertTrue(rt.now() - start >= (i % 8 == 0 and seconds or seconds / 10))
    end
  end
end

function TestRealClock:test_sleepers_wake_in_the_order_of_their_deadlines()
  local log, tasks = {}, {}
  for i = 1, 10 do
    tasks[i] = rt.spawn(function()
      rt.sleep((11 - i) * 0.003)
      log[#log + 1] = 11 - i
    end)
  end
  busy(0.02) -- several are due at once
  for _, task in ipairs(tasks) do task:join() end

  lu.assertEquals(log, { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 })
end

function TestRealClock:test_a_task_that_never_waits_long_does_not_keep_a_timer_back()
  local stop = false
  local task = rt.spawn(function()
    while not stop do rt.yield() end
  end)
  local start = rt.now()
  rt.sleep(0.02)
  local took = rt.now() - start
  stop = true
  task:join()

  lu.assertTrue(took >= 0.02 and took < 5, took)
end

function TestRealClock:test_a_busy_tick_does_not_poll_for_nothing()
  local polls = 0
  rt.instrument({ before_poll = function() polls = polls + 1 end })
  local start, ticks = rt.now(), rt.stats().ticks
  while rt.stats().ticks < ticks + 2000 do rt.yield() end
  local took = rt.now() - start
  rt.instrument(nil)

  -- Once a millisecond it looks for signals; no less while something is due.
  lu.assertTrue(polls <= took * 1000 + 1, polls)
end

harness.run()
