-- asyncrt: --virtual-time --seed=1
local rt = require("asyncrt")
local harness = require("harness")
local lu = require("luaunit")

local function elapsed(start) return rt.now() - start end

TestTicker = {}

function TestTicker:test_it_ticks_at_its_pace()
  local start, ticker = rt.now(), rt.ticker(2)
  local times = {}
  for i = 1, 3 do
    lu.assertEquals(ticker:wait(), 1)
    times[i] = elapsed(start)
  end

  lu.assertEquals(times, { 2.0, 4.0, 6.0 })
end

function TestTicker:test_work_between_ticks_makes_no_drift()
  local start, ticker = rt.now(), rt.ticker(1)
  local times = {}
  for i = 1, 4 do
    ticker:wait()
    times[i] = elapsed(start)
    rt.sleep(0.7)
  end

  lu.assertEquals(times, { 1.0, 2.0, 3.0, 4.0 })
end

function TestTicker:test_a_period_that_is_no_binary_fraction_makes_no_drift()
  local start, ticker = rt.now(), rt.ticker(0.1)
  for _ = 1, 1000 do ticker:wait() end

  lu.assertAlmostEquals(elapsed(start), 100, 1e-6)
end

function TestTicker:test_ticks_that_were_missed_are_one()
  local start, ticker = rt.now(), rt.ticker(1)
  rt.sleep(3.5)

  lu.assertEquals(ticker:wait(), 3)
  lu.assertEquals(elapsed(start), 3.5)
  lu.assertEquals(ticker:wait(), 1)
  lu.assertEquals(elapsed(start), 4.0)
end

function TestTicker:test_a_tick_wakes_one_task_in_order()
  local ticker = rt.ticker(1)
  local log, start = {}, rt.now()
  rt.group(function(g)
    for i = 1, 3 do
      g:spawn(function()
        ticker:wait()
        log[#log + 1] = i .. "@" .. elapsed(start)
      end)
    end
  end)

  lu.assertEquals(log, { "1@1.0", "2@2.0", "3@3.0" })
end

function TestTicker:test_a_cancelled_waiter_leaves_the_tick()
  local ticker = rt.ticker(1)
  local start = rt.now()
  local first = rt.spawn(ticker.wait, ticker)
  local second = rt.spawn(function()
    ticker:wait()
    return elapsed(start)
  end)
  rt.sleep(0.5)
  first:cancel()

  lu.assertEquals({ second:join() }, { true, 1.0 })
end

function TestTicker:test_an_arm_that_loses_leaves_the_tick()
  local ticker = rt.ticker(2)
  local start = rt.now()

  lu.assertEquals(rt.select({ tick = ticker, other = 1 }), "other")
  lu.assertEquals({ rt.select({ tick = ticker, other = 5 }) }, { "tick", 1 })
  lu.assertEquals(elapsed(start), 2.0)
end

function TestTicker:test_it_is_an_event()
  local ticker = rt.ticker(1)

  lu.assertNil(rt.poll({ ticker }))
  lu.assertEquals(rt.sync(ticker), 1)
  lu.assertEquals(rt.sync(ticker:wait_evt()), 1)
  rt.sleep(2)
  lu.assertEquals({ rt.poll({ t = ticker:wait_evt() }) }, { "t", 2 })
  lu.assertEquals(rt.sync(ticker:wait_evt():wrap(function(n) return n * 10 end)),
    10)
end

function TestTicker:test_iter_goes_on_for_ever()
  local n = 0
  for count in rt.ticker(1):iter() do
    n = n + count
    if n == 5 then break end
  end

  lu.assertEquals(n, 5)
end

function TestTicker:test_one_that_nobody_waits_for_keeps_nothing_going()
  local before = rt.stats().timers
  rt.ticker(1)

  lu.assertEquals(rt.stats().timers, before)
end

function TestTicker:test_several_tickers_keep_their_own_pace()
  local fast, slow = rt.ticker(1), rt.ticker(3)
  local log = {}
  for _ = 1, 8 do
    local key = rt.select({ fast = fast, slow = slow })
    log[#log + 1] = key
  end
  local count = { fast = 0, slow = 0 }
  for _, key in ipairs(log) do count[key] = count[key] + 1 end

  lu.assertEquals(count, { fast = 6, slow = 2 })
end

function TestTicker:test_a_period_is_positive()
  for _, bad in ipairs({ 0, -1, 0 / 0, math.huge }) do
    lu.assertErrorMsgContains("positive number of seconds", rt.ticker, bad)
  end
  lu.assertErrorMsgContains("number expected", rt.ticker)
  lu.assertErrorMsgContains("asyncrt.ticker expected", rt.ticker(1).wait, 1)
end

harness.run()
