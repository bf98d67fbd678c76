-- asyncrt: --virtual-time --seed=1
-- directly: it expects no tasks but its own
-- Instruments, dump and stats: what the runtime tells of itself.
local rt = require("asyncrt")
local harness = require("harness")
local lu = require("luaunit")

local kinds = {
  "task_spawned", "before_step", "after_step", "blocked", "woken", "cancelled",
  "exited", "before_poll", "after_poll",
}

-- Runs `body` with the instruments `names` writing into the log returned.
local function record(names, body)
  local log, functions = {}, {}
  for _, kind in ipairs(names) do
    functions[kind] = function(task, more)
      local entry = kind
      if task then entry = entry .. " " .. task:name() end
      if more then entry = entry .. ": " .. more end
      log[#log + 1] = entry
    end
  end
  rt.instrument(functions)
  body()
  rt.instrument(nil)
  return log
end

local function named(g, name, f, ...)
  return g:spawn_with({ name = name }, f, ...)
end

TestInstrument = {}

function TestInstrument:test_the_life_of_a_task_is_told_in_order()
  local names = { "task_spawned", "before_step", "after_step", "blocked",
    "woken", "exited" }
  local log
  rt.group(function(g)
    local jobs = rt.channel("jobs")
    log = record(names, function()
      named(g, "worker", function() jobs:recv() end)
      rt.yield()
      jobs:send(1)
      rt.yield()
    end)
  end)

  lu.assertEquals(log, {
    -- Told after the step in which they happened, which installed them.
    "task_spawned worker", "after_step main",
    "before_step worker", 'blocked worker: recv "jobs"', "after_step worker",
    "before_step main", "woken worker", "after_step main",
    "before_step worker", "exited worker", "after_step worker",
    "before_step main",
  })
end

function TestInstrument:test_a_cancel_is_told_with_its_reason()
  local log = record({ "cancelled", "woken", "exited" }, function()
    rt.group(function(g)
      named(g, "victim", rt.sleep, 9)
      named(g, "other", rt.timeout, 1, rt.sleep, 9)
      rt.sleep(2)
      g:cancel("enough")
    end)
  end)

  lu.assertEquals(log, {
    "cancelled other: timeout", "woken other", "exited other", "woken main",
    "cancelled victim: enough", "woken victim", "cancelled main: enough",
    "woken main", "exited victim",
  })
end

function TestInstrument:test_a_cancelled_task_is_told_once()
  local count = 0
  rt.instrument({ cancelled = function() count = count + 1 end })
  local t = rt.spawn(function()
    rt.timeout(5, function()
      rt.group(function(g) g:spawn(rt.sleep, 9) end)
    end)
  end)
  rt.yield()
  rt.yield()
  t:cancel()
  t:cancel()
  t:join()
  rt.instrument(nil)

  lu.assertEquals(count, 2) -- the task and the one that it owns
end

function TestInstrument:test_polls_are_told()
  local log = record({ "before_poll", "after_poll" }, function() rt.sleep(1) end)

  lu.assertEquals({ log[1], log[2] }, { "before_poll", "after_poll" })
  lu.assertEquals(#log % 2, 0)
end

function TestInstrument:test_later_ones_take_the_place_of_former_ones()
  local first, second = 0, 0
  rt.instrument({ before_step = function() first = first + 1 end })
  rt.instrument({ before_step = function() second = second + 1 end })
  rt.yield()
  rt.instrument()
  rt.yield()

  lu.assertEquals({ first, second }, { 0, 1 })
end

function TestInstrument:test_one_can_remove_itself()
  local calls = 0
  rt.instrument({
    before_step = function()
      calls = calls + 1
      rt.instrument(nil)
    end,
    after_step = function() calls = calls + 10 end,
  })
  rt.instrument({
    before_step = function()
      calls = calls + 1
      rt.instrument(nil)
    end,
  })
  for _ = 1, 5 do rt.yield() end

  lu.assertEquals(calls, 1)
end

function TestInstrument:test_one_can_cancel_a_task()
  local t
  rt.instrument({
    blocked = function(task) if task == t then task:cancel() end end,
  })
  t = rt.spawn(rt.sleep, 9)
  lu.assertEquals({ t:join() }, { false, "cancelled" })
  rt.instrument(nil)
end

function TestInstrument:test_one_cannot_wait_or_spawn()
  local errors = {}
  rt.instrument({
    before_step = function()
      errors[1] = select(2, pcall(rt.sleep, 1))
      errors[2] = select(2, pcall(rt.spawn, print))
      rt.instrument(nil)
    end,
  })
  rt.yield()

  lu.assertStrContains(errors[1], "cannot block here: not inside a task")
  lu.assertStrContains(errors[2], "cannot spawn outside a task")
end

function TestInstrument:test_ended_tasks_can_be_looked_at()
  local seen = {}
  rt.instrument({
    exited = function(task) seen[#seen + 1] = task:status() end,
    after_step = function() collectgarbage() end,
  })
  local g = rt.group({ on_error = "collect" })
  do
    local _ <close> = g
    g:spawn(function() end)
    g:spawn(error, "x")
    g:spawn(rt.sleep, 9):cancel()
  end
  rt.instrument(nil)

  lu.assertEquals(seen, { "done", "failed", "cancelled" })
end

function TestInstrument:test_misuse_is_named()
  lu.assertErrorMsgContains("unknown instrument 'stepped'", rt.instrument,
    { stepped = print })
  lu.assertErrorMsgContains("unknown instrument", rt.instrument, { print })
  lu.assertErrorMsgContains("instrument 'woken': function expected, got number",
    rt.instrument, { woken = 1 })
  lu.assertErrorMsgContains("table expected", rt.instrument, print)
  for _, kind in ipairs(kinds) do rt.instrument({ [kind] = print }) end
  rt.instrument(nil)
end

TestDump = {}

-- The lines of a dump, without the line numbers and addresses.
local function dump()
  local lines = {}
  for line in rt.dump():gmatch("[^\n]+") do
    line = line:gsub("%S*test_instrument.lua:%d+", "HERE")
    lines[#lines + 1] = line
  end
  return lines
end

function TestDump:test_every_task_stands_below_its_owner()
  local lines
  rt.group(function(g)
    named(g, "boss", function()
      rt.spawn(rt.sleep, 9)
      local inner <close> = rt.group()
      named(inner, "aide", function() rt.event():wait() end)
    end)
    named(g, "waiter", rt.sleep, 9)
    rt.yield()
    rt.yield()
    lines = dump()
    g:cancel()
  end)

  lu.assertEquals(#lines, 5)
  lu.assertStrContains(lines[1], "  main runs at HERE (spawned at the command")
  lu.assertStrMatches(lines[2], '    t%d+ "boss" waits for 1 task of the ' ..
    "group opened at HERE at HERE %(spawned at HERE%)")
  lu.assertStrMatches(lines[3], "      t%d+ waits for sleep until .*")
  lu.assertStrMatches(lines[4],
    '      t%d+ "aide" waits for event %S+ at HERE .spawned at HERE.')
  lu.assertStrMatches(lines[5], '    t%d+ "waiter" waits for sleep until .*')
end

function TestDump:test_ready_and_new_tasks_are_in_it()
  local t = rt.spawn(function() rt.yield() end)
  lu.assertStrContains(dump()[2], "is ready (spawned at HERE)")
  rt.yield()
  lu.assertStrContains(dump()[2], "is ready at HERE (spawned at HERE)")
  t:join()
end

function TestDump:test_a_select_names_every_arm()
  local arms = {}
  for i = 1, 12 do arms[i] = rt.channel("c" .. i) end
  local t = rt.spawn(rt.select, arms)
  rt.yield()
  local line = dump()[2]
  t:cancel()
  t:join()

  lu.assertStrContains(line, 'recv "c1", recv "c2"')
  lu.assertStrContains(line, "and 4 more")
end

function TestDump:test_a_deep_chain_of_tasks_needs_no_deep_stack()
  local function chain(n)
    if n > 0 then rt.spawn(chain, n - 1) end
    rt.sleep(9)
  end
  local t = rt.spawn(chain, 500)
  rt.sleep(1)
  lu.assertEquals(#dump(), 502)
  t:cancel()
  t:join()
end

TestStats = {}

function TestStats:test_counts_follow_what_happens()
  local before = rt.stats()
  local t = rt.spawn(rt.sleep, 9)
  local spawned = rt.stats()
  rt.yield()
  local waiting = rt.stats()
  t:cancel()
  t:join()
  rt.sleep(1)
  local after = rt.stats()

  lu.assertEquals(spawned.tasks, before.tasks + 1)
  lu.assertEquals(spawned.ready, before.ready + 1)
  lu.assertEquals(waiting.ready, before.ready)
  lu.assertEquals(waiting.timers, before.timers + 1)
  lu.assertEquals(waiting.steps, before.steps + 2)
  lu.assertEquals({ after.tasks, after.timers },
    { before.tasks, before.timers })
  lu.assertTrue(after.ticks > before.ticks)
  lu.assertTrue(after.bytes > 10000)
  lu.assertEquals(math.type(after.handles), "integer")
end

function TestStats:test_the_longest_step_is_in_seconds_of_real_time()
  rt.stats()
  rt.yield()
  local x = 0
  for i = 1, 1e6 do x = x + i % 7 end
  rt.yield()
  local longest = rt.stats().longest_step

  lu.assertTrue(longest > 0.0005 and longest < 60, tostring(longest))
end

harness.run()
