-- asyncrt: --virtual-time --seed=1
-- directly: some look at the task main
local rt = require("asyncrt")
local harness = require("harness")
local lu = require("luaunit")

local function closer(f)
  return setmetatable({}, { __close = f })
end

-- Runs f(g) in a group whose tasks may fail.
local function collecting(f)
  return rt.group({ on_error = "collect" }, f)
end

TestSpawn = {}

function TestSpawn:test_the_task_starts_once_its_spawner_waits()
  local log = {}
  local task = rt.spawn(function() log[#log + 1] = "task" end)
  log[#log + 1] = "spawner"
  lu.assertEquals(task:status(), "ready")
  rt.yield()

  lu.assertEquals(log, { "spawner", "task" })
  lu.assertEquals(task:status(), "done")
end

function TestSpawn:test_arguments_and_results_of_any_number()
  for n = 0, 40 do
    local values = {}
    for i = 1, n do values[i] = i % 3 == 0 and false or i end
    local results = table.pack(rt.spawn(function(...) return ... end, table.unpack(values, 1, n)):await())
    lu.assertEquals(results.n, n)
    for i = 1, n do lu.assertEquals(results[i], values[i]) end
  end
  local results = table.pack(rt.spawn(function(...) return ... end, nil, nil):join())
  lu.assertEquals(results.n, 3)
end

function TestSpawn:test_tasks_run_in_the_order_of_spawning()
  local log = {}
  local tasks = {}
  for i = 1, 50 do tasks[i] = rt.spawn(function() log[#log + 1] = i end) end
  for _, task in ipairs(tasks) do task:join() end
  for i = 1, 50 do lu.assertEquals(log[i], i) end
end

function TestSpawn:test_anything_that_can_be_called_is_a_body()
  lu.assertEquals(rt.spawn(math.max, 1, 3, 2):await(), 3)
  lu.assertEquals(rt.spawn(setmetatable({}, { __call = function(_, v) return v end }), "v"):await(), "v")
  lu.assertEquals(rt.spawn(coroutine.wrap(function(v)
    rt.sleep(1)
    return v
  end), "v"):await(), "v")
  lu.assertEquals({ rt.spawn(pcall, error, "e"):await() }, { false, "e" })
  lu.assertEquals(rt.spawn(rt.sleep, 0):join(), true)
  for _, bad in ipairs({ 1, "text", true, {} }) do
    lu.assertErrorMsgContains("function expected", rt.spawn, bad)
  end
  lu.assertErrorMsgContains("function expected", rt.spawn)
end

function TestSpawn:test_a_task_nobody_refers_to_runs_on()
  local ended = false
  do
    rt.spawn(function()
      local ch = rt.channel()
      rt.spawn(function() rt.sleep(1) ch:send(1) end)
      ch:recv()
      ended = true
    end)
  end
  for _ = 1, 3 do
    collectgarbage()
    rt.yield()
  end
  rt.sleep(2)

  lu.assertTrue(ended)
end

function TestSpawn:test_an_ended_task_can_be_collected_with_what_it_held()
  local weak = setmetatable({}, { __mode = "v" })
  do
    local held = {}
    weak.held = held
    weak.task = rt.spawn(function() return held end)
    weak.task:join()
  end
  rt.yield()
  collectgarbage()
  collectgarbage()
  lu.assertNil(weak.task)
  lu.assertNil(weak.held)
end

function TestSpawn:test_arguments_can_be_collected_once_the_body_drops_them()
  local weak = setmetatable({}, { __mode = "v" })
  local alive
  local task = rt.spawn(function(value)
    weak.value = value
    value = nil -- luacheck: ignore 311
    rt.yield()
    collectgarbage()
    collectgarbage()
    alive = weak.value ~= nil
  end, {})
  task:join()
  lu.assertFalse(alive)
end

TestJoin = {}

function TestJoin:test_results_come_after_true()
  lu.assertEquals({ rt.spawn(function() return 1, nil, 3 end):join() }, { true, 1, nil, 3 })
  lu.assertEquals({ rt.spawn(function() end):join() }, { true })
end

function TestJoin:test_an_error_comes_after_false_as_the_same_value()
  collecting(function(g)
    for _, object in ipairs({ {}, 42, true, false, print, "text", coroutine.create(print), io.stdout }) do
      local task = g:spawn(error, object, 0)
      local ok, err = task:join()
      lu.assertFalse(ok)
      lu.assertTrue(rawequal(err, object))
      lu.assertEquals(task:status(), "failed")
      ok, err = pcall(task.await, task)
      lu.assertFalse(ok)
      lu.assertTrue(rawequal(err, object))
    end
    lu.assertEquals(select("#", g:spawn(error):join()), 2)
    lu.assertEquals({ g:spawn(error):join() }, { false, nil })
  end)
end

function TestJoin:test_any_number_of_joiners_in_order()
  local log = {}
  local task = rt.spawn(function()
    rt.sleep(1)
    return "v"
  end)
  local joiners = {}
  for i = 1, 5 do
    joiners[i] = rt.spawn(function()
      local _, value = task:join()
      log[#log + 1] = i .. value
    end)
  end
  for _, joiner in ipairs(joiners) do joiner:join() end

  lu.assertEquals(log, { "1v", "2v", "3v", "4v", "5v" })
  lu.assertEquals({ task:join() }, { true, "v" })
end

function TestJoin:test_a_joiner_may_give_up()
  local task = rt.spawn(function()
    rt.sleep(5)
    return "v"
  end)
  lu.assertEquals({ rt.timeout(1, task.join, task) }, { nil, "timeout" })
  lu.assertEquals({ rt.sync_timeout(1, task) }, { nil, "timeout" })
  lu.assertEquals({ task:join() }, { true, "v" })
end

function TestJoin:test_a_cancelled_task_gives_the_string()
  local task = rt.spawn(rt.sleep, 9)
  rt.yield()
  task:cancel()
  lu.assertEquals({ task:join() }, { false, "cancelled" })
  local ok, err = pcall(task.await, task)
  lu.assertEquals({ ok, err }, { false, "cancelled" })
  lu.assertEquals({ rt.select({ k = task }) }, { "k", false, "cancelled" })
end

function TestJoin:test_awaiting_a_cancelled_task_raises_an_ordinary_error()
  collecting(function(g)
    local task = g:spawn(rt.sleep, 9)
    rt.yield()
    task:cancel()
    local awaiter = g:spawn(task.await, task)
    lu.assertEquals({ awaiter:join() }, { false, "cancelled" })
    lu.assertEquals(awaiter:status(), "failed")
  end)
end

function TestJoin:test_a_task_cannot_join_itself()
  local me = rt.current()
  lu.assertErrorMsgContains("cannot join itself", me.join, me)
  lu.assertErrorMsgContains("cannot await itself", me.await, me)
end

function TestJoin:test_tasks_that_join_each_other_can_be_cancelled()
  local a, b
  a = rt.spawn(function() b:join() end)
  b = rt.spawn(function() a:join() end)
  rt.yield()
  a:cancel()
  lu.assertEquals({ a:join() }, { false, "cancelled" })
  lu.assertEquals({ b:join() }, { true })
end

function TestJoin:test_errors_travel_a_long_chain_of_awaits_unchanged()
  local object = {}
  collecting(function(g)
    local task = g:spawn(error, object)
    for _ = 1, 200 do
      local inner = task
      task = g:spawn(function() inner:await() end)
    end
    local ok, err = task:join()
    lu.assertFalse(ok)
    lu.assertIs(err, object)
  end)
end

TestState = {}

function TestState:test_status_follows_the_life()
  local ch = rt.channel()
  local seen = {}
  local task
  task = rt.spawn(function()
    seen[#seen + 1] = task:status()
    ch:recv()
  end)
  seen[#seen + 1] = task:status()
  rt.yield()
  seen[#seen + 1] = task:status()
  ch:send(1)
  seen[#seen + 1] = task:status()
  task:join()
  seen[#seen + 1] = task:status()

  lu.assertEquals(seen, { "ready", "running", "waiting", "ready", "done" })
end

function TestState:test_names()
  lu.assertEquals(rt.current():name(), "main")
  rt.group(function(g)
    local named = g:spawn_with({ name = "worker" }, function() return rt.current():name() end)
    lu.assertEquals({ named:name(), named:await(), named:name() }, { "worker", "worker", "worker" })
    lu.assertStrMatches(g:spawn(print and rt.yield):name(), "t%d+")
    lu.assertStrMatches(tostring(named), "task worker %(done%)")
    lu.assertErrorMsgContains("option 'name' must be a string", g.spawn_with, g, { name = 1 }, print)
    lu.assertErrorMsgContains("unknown option", g.spawn_with, g, { nam = "x" }, print)
    lu.assertErrorMsgContains("table expected", g.spawn_with, g, print)
    lu.assertErrorMsgContains("function expected", g.spawn_with, g, {})
  end)
end

function TestState:test_current_and_tasks()
  local me = rt.current()
  local task = rt.spawn(function()
    lu.assertFalse(rawequal(rt.current(), me))
    return rt.current()
  end)
  local all = rt.tasks()
  lu.assertIs(all[1], me)
  lu.assertIs(all[#all], task)
  lu.assertIs(task:await(), task)
  lu.assertIs(coroutine.wrap(rt.current)(), me)
  lu.assertEquals(#rt.tasks(), #all - 1)
end

function TestState:test_where_of_tasks_in_every_state()
  collecting(function(g)
    local waiting = g:spawn(function() rt.sleep(9) end)
    lu.assertEquals(waiting:where(), "not started")
    rt.yield()
    lu.assertStrContains(waiting:where(), "test_task.lua")
    lu.assertStrContains(waiting:where(), "sleep")
    local done = g:spawn(function() end)
    done:join()
    lu.assertEquals(done:where(), "ended")
    local failed = g:spawn(function() error("x") end)
    failed:join()
    lu.assertStrContains(failed:where(), "test_task.lua")
    lu.assertStrContains(rt.current():where(), "test_task.lua")
    waiting:cancel()
  end)
end

TestSurvival = {}

function TestSurvival:test_a_forgotten_thread_of_an_ended_task_does_no_harm()
  local threads = {}
  for i = 1, 20 do
    rt.spawn(function()
      threads[i] = coroutine.running()
      if i % 2 == 0 then rt.yield() end
    end)
  end
  rt.sleep(1)
  for _ = 1, 20 do rt.spawn(function() rt.yield() end) end
  rt.sleep(1)
  for i = 1, 20 do
    lu.assertEquals(coroutine.status(threads[i]), "dead")
    lu.assertFalse((coroutine.resume(threads[i])))
    lu.assertEquals(debug.traceback(threads[i]), "stack traceback:")
  end
end

function TestSurvival:test_closers_of_a_task_run_in_it_and_may_wait()
  local log = {}
  collecting(function(g)
    local task = g:spawn(function()
      local _ <close> = closer(function()
        rt.sleep(1)
        log[#log + 1] = rt.current():name()
      end)
      error("x", 0)
    end)
    task:join()
    lu.assertEquals(log, { task:name() })
  end)
end

function TestSurvival:test_an_error_in_a_hook_or_finalizer_does_not_reach_the_scheduler()
  setmetatable({}, { __gc = function() rt.spawn(function() end) end })
  collectgarbage()
  collectgarbage()
  rt.yield()
  lu.assertEquals(rt.spawn(function() return 1 end):await(), 1)
end

function TestSurvival:test_debug_sethook_in_a_task_ends_with_it()
  local task = rt.spawn(function()
    debug.sethook(function() end, "l")
    rt.yield()
    lu.assertNotNil(debug.gethook())
  end)
  task:await()
  for _ = 1, 5 do
    rt.spawn(function() lu.assertNil(debug.gethook()) end):await()
  end
end

TestMany = {}

function TestMany:test_memory_stays_flat_over_tasks()
  local function round(n)
    for _ = 1, n do rt.spawn(function(a) rt.yield() return a end, 1):join() end
  end
  round(harness.rounds(500))
  collectgarbage()
  collectgarbage()
  local before = collectgarbage("count")
  round(harness.rounds(3000))
  collectgarbage()
  collectgarbage()
  lu.assertTrue(collectgarbage("count") - before < 30, collectgarbage("count") - before)
end

function TestMany:test_a_chain_of_wakeups()
  local n = harness.rounds(5000)
  local first = rt.channel()
  local from = first
  for _ = 1, n do
    local source, target = from, rt.channel()
    rt.spawn(function() target:send(source:recv() + 1) end)
    from = target
  end
  local last = rt.spawn(function() return from:recv() end)
  rt.yield()
  first:send(0)
  lu.assertEquals(last:await(), n)
end

function TestMany:test_a_task_deep_in_its_own_stack_waits()
  local function deep(n)
    if n == 0 then
      rt.sleep(1)
      return 0
    end
    return 1 + deep(n - 1)
  end
  local tasks = {}
  local depth = harness.rounds(10000)
  for i = 1, 10 do tasks[i] = rt.spawn(deep, depth) end
  for i = 1, 10 do lu.assertEquals(tasks[i]:await(), depth) end
end

harness.run()
