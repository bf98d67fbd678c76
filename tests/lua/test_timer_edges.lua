-- asyncrt: --virtual-time --seed=1
-- Numbers at the edge of what a time can be, in every function that takes one.
local rt = require("asyncrt")
local harness = require("harness")
local lu = require("luaunit")

-- What each does for a call that waits for at most `seconds`.
local takers = {
  sleep = function(seconds) rt.sleep(seconds) end,
  timeout = function(seconds) rt.timeout(seconds, rt.sync, rt.never) end,
  shield = function(seconds) rt.shield(seconds, rt.sync, rt.never) end,
  deadline = function(seconds)
    pcall(function()
      local _ <close> = rt.deadline(seconds)
      rt.sync(rt.never)
    end)
  end,
  sync_timeout = function(seconds) rt.sync_timeout(seconds, rt.never) end,
  sync_timeout_composite = function(seconds) rt.sync_timeout(seconds, rt.choose()) end,
  arm = function(seconds) rt.select({ rt.never, seconds }) end,
  choice = function(seconds) rt.sync(rt.choose(rt.never, seconds)) end,
  after = function(seconds) rt.sync(rt.after(seconds)) end,
  at = function(seconds) rt.sync(rt.at(rt.now() + seconds)) end,
}
local PATIENCE = 1e7 -- seconds; what takes longer does not end

-- The number of seconds that `take(seconds)` took, or math.huge.
local function duration(take, seconds)
  local start = rt.now()
  local over = false
  local task = rt.spawn(function()
    take(seconds)
    over = true
  end)
  rt.timeout(PATIENCE, task.join, task)
  local took = over and rt.now() - start or math.huge
  task:cancel()
  task:join()
  return took
end

TestEdges = {}

-- Never early, and late by no more than the precision of a double.
local function check(seconds)
  for name, take in pairs(takers) do
    -- A shield without an end cannot be cancelled.
    if name == "shield" and seconds > PATIENCE then goto continue end
    local took = duration(take, seconds)
    local label = ("%s(%s) took %s"):format(name, seconds, took)
    if seconds <= 0 then
      lu.assertEquals(took, 0.0, label)
    elseif seconds > PATIENCE then
      lu.assertEquals(took, math.huge, label)
    else
      lu.assertTrue(took >= seconds - 2e-6 and took <= seconds + 2e-6, label)
    end
    ::continue::
  end
end

local numbers = {
  zero = 0, zero_float = 0.0, minus_zero = -0.0, minus_one = -1, minus_small = -5e-324,
  smallest = 5e-324, smallest_normal = 2.2250738585072014e-308, picosecond = 1e-12,
  nanosecond = 1e-9, one_and_a_half_nanoseconds = 1.5e-9, microsecond = 1e-6, tenth = 0.1,
  third = 1 / 3, one = 1, before_2_31_ms = 2147483.647, after_2_31_ms = 2147483.648,
  before_2_32_ms = 4294967.295, after_2_32_ms = 4294967.296, two_to_the_31 = 2 ^ 31,
  two_to_the_32 = 2 ^ 32, two_to_the_53 = 2 ^ 53, two_to_the_53_plus = 2 ^ 53 + 2,
  two_to_the_63 = 2 ^ 63, two_to_the_64 = 2 ^ 64, maxinteger = math.maxinteger,
  mininteger = math.mininteger, huge_double = 1e300, largest = 1.7976931348623157e308,
  minus_largest = -1.7976931348623157e308, infinity = math.huge, minus_infinity = -math.huge,
}

for name, seconds in pairs(numbers) do
  TestEdges["test_" .. name] = function()
    -- after() alone refuses a negative number: it would be no time to wait.
    if seconds < 0 then
      lu.assertErrorMsgContains("bad argument #1 to ", rt.after, seconds)
      local after = takers.after
      takers.after = nil
      check(seconds)
      takers.after = after
    else
      check(seconds)
    end
  end
end

function TestEdges:test_NaN_raises_everywhere()
  for _, nan in ipairs({ 0 / 0, -(0 / 0), math.huge - math.huge }) do
    for name, take in pairs(takers) do
      local ok, err = pcall(take, nan)
      if name ~= "deadline" then -- whose taker catches
        lu.assertFalse(ok, name)
        lu.assertStrContains(err, "NaN", false, false, name)
      end
    end
    lu.assertErrorMsgContains("NaN", rt.deadline, nan)
    lu.assertErrorMsgContains("NaN", rt.poll, { nan })
  end
  lu.assertFalse(rt.cancelled())
end

function TestEdges:test_a_string_that_is_a_number_is_one()
  for name, take in pairs(takers) do
    if name ~= "arm" and name ~= "choice" then
      lu.assertEquals(duration(take, "2"), 2.0, name)
    end
  end
  lu.assertErrorMsgContains("is no event", rt.select, { "2" })
  lu.assertErrorMsgContains("event expected", rt.choose, "2")
end

function TestEdges:test_what_is_no_number_raises()
  for _, bad in ipairs({ {}, print, true, "text", "", rt.never, coroutine.create(print) }) do
    for name, take in pairs(takers) do
      local waits_for_events = name == "arm" or name == "choice"
      if name ~= "deadline" and not (waits_for_events and rawequal(bad, rt.never)) then
        lu.assertFalse((pcall(take, bad)), name)
      end
    end
  end
end

TestOverflow = {}

function TestOverflow:test_the_clock_may_stand_near_its_end()
  -- Nine billion seconds, 285 years, fit into the clock; twice that does not.
  rt.sleep(7e9)
  local start = rt.now()
  rt.sleep(1)
  lu.assertAlmostEquals(rt.now() - start, 1, 1e-5)
  lu.assertEquals({ rt.timeout(1, rt.sleep, 9e9) }, { nil, "timeout" })
  lu.assertEquals({ rt.timeout(1, rt.sleep, 1e300) }, { nil, "timeout" })
  rt.sleep(9e9)
  lu.assertTrue(rt.now() > start + 8e9)
  for _ = 1, 5 do
    lu.assertEquals({ rt.timeout(1, rt.sleep, 9e9) }, { nil, "timeout" })
    lu.assertEquals({ rt.timeout(1, rt.sync, rt.after(9.2e9)) }, { nil, "timeout" })
  end
  lu.assertTrue(rt.now() > start + 8e9)
end

harness.run()
