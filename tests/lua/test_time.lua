-- asyncrt: --virtual-time --seed=1
local rt = require("asyncrt")
local harness = require("harness")
local lu = require("luaunit")

local function timed(f, ...)
  local start = rt.now()
  local results = table.pack(f(...))
  return rt.now() - start, table.unpack(results, 1, results.n)
end

TestSleep = {}

function TestSleep:test_it_takes_the_time_it_was_given()
  for _, seconds in ipairs({ 1e-9, 0.001, 0.1, 1, 1.5, 60, 86400, 1e6 }) do
    -- rt.now() is a number of seconds: exact to a nanosecond for some months.
    lu.assertAlmostEquals(timed(rt.sleep, seconds), seconds, 1e-8)
    lu.assertEquals(select("#", rt.sleep(seconds)), 0)
  end
end

function TestSleep:test_nothing_or_less_lets_the_others_run_once()
  for _, seconds in ipairs({ 0, 0.0, -0.0, -1, -1e300, -math.huge }) do
    local log = {}
    local task = rt.spawn(function() log[#log + 1] = "other" end)
    lu.assertEquals(timed(rt.sleep, seconds), 0.0)
    log[#log + 1] = "sleeper"
    task:join()
    lu.assertEquals(log, { "other", "sleeper" })
  end
end

function TestSleep:test_math_huge_sleeps_until_the_cancel()
  lu.assertEquals({ timed(rt.timeout, 1e6, rt.sleep, math.huge) }, { 1e6, nil, "timeout" })
end

function TestSleep:test_equal_deadlines_fire_in_the_order_of_arming()
  local log = {}
  local tasks = {}
  for i = 1, 100 do
    tasks[i] = rt.spawn(function()
      if i % 4 == 0 then rt.select({ 1 }) elseif i % 4 == 1 then rt.sync(rt.after(1))
      elseif i % 4 == 2 then rt.timeout(1, rt.sleep, 9) else rt.sleep(1) end
      log[#log + 1] = i
    end)
  end
  for _, task in ipairs(tasks) do task:join() end

  for i = 1, 100 do lu.assertEquals(log[i], i) end
end

function TestSleep:test_random_sleeps_end_in_the_order_of_their_deadlines()
  local start, last, count = rt.now(), 0, 0
  local state = 99
  local tasks = {}
  for i = 1, 2000 do
    state = (state * 1664525 + 1013904223) % 4294967296
    local seconds = state % 1000 / 8
    tasks[i] = rt.spawn(function()
      rt.sleep(seconds)
      local now = rt.now() - start
      lu.assertTrue(now >= last)
      lu.assertAlmostEquals(now, seconds, 1e-6)
      last = now
      count = count + 1
    end)
  end
  for _, task in ipairs(tasks) do task:await() end

  lu.assertEquals(count, 2000)
end

TestNow = {}

function TestNow:test_it_stands_still_while_code_runs()
  local before = rt.now()
  for _ = 1, 1e5 do before = before + 0 end
  for _ = 1, 10 do rt.yield() end
  lu.assertEquals(rt.now(), before)
  lu.assertEquals(math.type(before), "float")
end

function TestNow:test_it_goes_on_only_when_all_wait()
  local log = {}
  local start = rt.now()
  local task = rt.spawn(function()
    for _ = 1, 50 do
      rt.yield()
      log[#log + 1] = rt.now() - start
    end
  end)
  rt.sleep(1)
  task:join()
  lu.assertEquals(#log, 50)
  for i = 1, 50 do lu.assertEquals(log[i], 0.0) end
end

function TestNow:test_the_system_s_clocks_follow_it()
  local clock, time = os.clock(), os.time()
  rt.sleep(3600)
  lu.assertEquals(os.clock() - clock, 3600.0)
  lu.assertEquals(os.time() - time, 3600)
end

TestYield = {}

function TestYield:test_the_others_run_first_each_once()
  local log = {}
  local tasks = {}
  for i = 1, 3 do
    tasks[i] = rt.spawn(function()
      for round = 1, 3 do
        log[#log + 1] = i .. ":" .. round
        rt.yield()
      end
    end)
  end
  for _, task in ipairs(tasks) do task:join() end

  lu.assertEquals(table.concat(log, " "), "1:1 2:1 3:1 1:2 2:2 3:2 1:3 2:3 3:3")
end

function TestYield:test_timers_fire_though_others_never_wait()
  local stop = false
  local task = rt.spawn(function()
    while not stop do rt.yield() end
  end)
  -- Virtual time stands still while a task is ready, so only a time that is due.
  rt.select({ rt.at(rt.now()) })
  rt.sleep(0)
  stop = true
  task:join()
end

TestEvents = {}

function TestEvents:test_after_and_at_yield_no_values()
  lu.assertEquals(select("#", rt.sync(rt.after(1))), 0)
  lu.assertEquals(select("#", rt.sync(rt.at(rt.now() + 1))), 0)
  lu.assertEquals({ rt.select({ k = rt.after(1) }) }, { "k" })
end

function TestEvents:test_after_counts_from_each_sync_and_at_is_a_fact()
  local start = rt.now()
  local after, at = rt.after(1), rt.at(start + 1.5)
  lu.assertEquals(timed(rt.sync, after), 1.0)
  lu.assertEquals(timed(rt.sync, after), 1.0)
  lu.assertEquals(timed(rt.sync, at), 0.0)
  lu.assertEquals({ rt.poll({ k = at }) }, { "k" })
  lu.assertNil(rt.poll({ k = after }))
end

function TestEvents:test_at_of_the_present_and_the_past_is_ready()
  for _, offset in ipairs({ 0, -1, -1e9, -math.huge }) do
    lu.assertEquals({ timed(rt.sync, rt.at(rt.now() + offset)) }, { 0.0 })
  end
end

function TestEvents:test_at_is_ready_exactly_from_its_time_on()
  for _ = 1, harness.rounds(2000) do
    local when = rt.now() + math.random()
    rt.sync(rt.at(when))
    lu.assertTrue(rt.now() >= when)
    lu.assertAlmostEquals(rt.now(), when, 2e-9)
    lu.assertEquals({ rt.poll({ now = rt.at(rt.now()) }) }, { "now" })
  end
end

TestYear = {}

function TestYear:test_a_year_of_minutes_keeps_time_and_memory()
  local start, minutes = rt.now(), harness.rounds(365 * 24 * 60)
  collectgarbage()
  collectgarbage()
  local before, peak = collectgarbage("count"), 0
  local hourly = 0
  local watcher = rt.spawn(function()
    for _ = 1, minutes // 60 do
      rt.sleep(3600)
      hourly = hourly + 1
    end
  end)
  for tick = 1, minutes do
    rt.sleep(60)
    if tick % 50000 == 0 then
      lu.assertAlmostEquals(rt.now() - start, tick * 60, 1e-6)
      collectgarbage()
      peak = math.max(peak, collectgarbage("count"))
    end
  end
  watcher:join()

  lu.assertAlmostEquals(rt.now() - start, minutes * 60, 1e-6)
  lu.assertEquals(hourly, minutes // 60)
  lu.assertTrue(peak - before < 30, peak - before)
end

harness.run()
