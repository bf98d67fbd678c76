-- asyncrt: --virtual-time --seed=1
local rt = require("asyncrt")
local harness = require("harness")
local lu = require("luaunit")

local function timed(f, ...)
  local start = rt.now()
  local results = table.pack(f(...))
  return rt.now() - start, table.unpack(results, 1, results.n)
end

local function after(seconds, ...)
  local values = table.pack(...)
  return function()
    rt.sleep(seconds)
    return table.unpack(values, 1, values.n)
  end
end

local function failing(seconds, err)
  return function()
    rt.sleep(seconds)
    error(err, 0)
  end
end

-- Sleeps for long; writes its name in `log` when it is cancelled, after
-- `cleanup` seconds.
local function loser(log, name, cleanup)
  return function()
    local _ <close> = setmetatable({}, {
      __close = function()
        rt.shield(9, rt.sleep, cleanup or 0)
        log[#log + 1] = name
      end,
    })
    rt.sleep(99)
  end
end

TestAll = {}

function TestAll:test_the_results_come_in_the_order_of_the_functions()
  lu.assertEquals({ timed(rt.all, after(3, "a"), after(1, "b"), after(2, "c")) },
    { 3.0, "a", "b", "c" })
end

function TestAll:test_each_gives_its_first_result()
  local n = select("#", rt.all(after(0, 1, 2), after(0), after(0, nil)))

  lu.assertEquals(n, 3)
  lu.assertEquals({ rt.all(after(0, 1, 2), after(0), after(0, 3)) },
    { 1, nil, 3 })
end

function TestAll:test_nothing_gives_nothing()
  lu.assertEquals(select("#", rt.all()), 0)
end

function TestAll:test_the_first_error_cancels_the_others_and_is_raised()
  local err, log = {}, {}
  local time, ok, raised = timed(pcall, rt.all, loser(log, "a"),
    failing(1, err), loser(log, "c", 2), failing(5, "later"))

  lu.assertEquals({ time, ok }, { 3.0, false })
  lu.assertIs(raised, err)
  lu.assertEquals(log, { "a", "c" })
end

function TestAll:test_a_cancel_from_outside_cancels_all()
  local log = {}
  local time, result, why = timed(rt.timeout, 1, rt.all, loser(log, "a"),
    loser(log, "b", 2))

  lu.assertEquals({ time, result, why }, { 3.0, nil, "timeout" })
  lu.assertEquals(log, { "a", "b" })
end

function TestAll:test_each_is_spawned_where_all_is_called()
  local line = debug.getinfo(1, "l").currentline + 1
  local t = rt.spawn(function() rt.all(after(1), after(1)) end)
  rt.yield()
  rt.yield()
  local _, count = rt.dump():gsub("spawned at [^\n]*test_all_race.lua:" .. line,
    "")
  t:join()

  lu.assertEquals(count, 3)
end

function TestAll:test_misuse_is_named()
  lu.assertErrorMsgContains("bad argument #2 to 'all' (function expected",
    rt.all, after(0), 5)
end

TestRace = {}

function TestRace:test_the_first_to_return_wins()
  lu.assertEquals(
    { timed(rt.race, after(3, "a"), after(1, "b", nil, "d"), after(2)) },
    { 1.0, 2, "b", nil, "d" })
end

function TestRace:test_the_losers_are_cancelled_and_awaited()
  local log = {}
  local time, number = timed(rt.race, loser(log, "a"), after(1),
    loser(log, "c", 2))

  lu.assertEquals({ time, number }, { 3.0, 2 })
  lu.assertEquals(log, { "a", "c" })
end

function TestRace:test_of_two_that_return_together_the_first_wins()
  local number, value = rt.race(after(1, "a"), after(1, "b"))

  lu.assertEquals({ number, value }, { 1, "a" })
end

function TestRace:test_one_that_never_waits_wins_at_once()
  lu.assertEquals({ timed(rt.race, after(1), function() return "now" end) },
    { 0.0, 2, "now" })
end

function TestRace:test_an_error_before_the_first_result_is_raised()
  local err, log = {}, {}
  local time, ok, raised = timed(pcall, rt.race, loser(log, "a"),
    failing(1, err), after(2, "late"))

  lu.assertEquals({ time, ok }, { 1.0, false })
  lu.assertIs(raised, err)
  lu.assertEquals(log, { "a" })
end

function TestRace:test_an_error_in_the_cleanup_of_a_loser_is_raised()
  local ok, err = pcall(rt.race, after(1, "won"), function()
    local _ <close> = setmetatable({}, {
      __close = function() error("cleanup", 0) end,
    })
    rt.sleep(9)
  end)

  lu.assertEquals({ ok, err }, { false, "cleanup" })
end

function TestRace:test_a_cancel_from_outside_cancels_all()
  local log = {}

  lu.assertEquals({ rt.timeout(1, rt.race, loser(log, "a"), loser(log, "b")) },
    { nil, "timeout" })
  lu.assertEquals(log, { "a", "b" })
end

function TestRace:test_one_that_wins_without_values()
  lu.assertEquals(select("#", rt.race(after(1))), 1)
end

function TestRace:test_misuse_is_named()
  lu.assertErrorMsgContains("bad argument #1 to 'race' (function expected",
    rt.race)
  lu.assertErrorMsgContains("bad argument #2 to 'race' (function expected",
    rt.race, after(0), "x")
end

harness.run()
