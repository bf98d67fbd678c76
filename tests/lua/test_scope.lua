-- asyncrt: --virtual-time --seed=1
local rt = require("asyncrt")
local harness = require("harness")
local lu = require("luaunit")

local function closer(f)
  return setmetatable({}, { __close = f })
end

-- The time that `f(...)` takes, then its results.
local function timed(f, ...)
  local start = rt.now()
  local results = table.pack(f(...))
  return rt.now() - start, table.unpack(results, 1, results.n)
end

TestTimeout = {}

function TestTimeout:test_it_returns_what_the_function_returns()
  lu.assertEquals({ rt.timeout(1, function(...) return ... end, 1, 2, 3) }, { 1, 2, 3 })
  lu.assertEquals(select("#", rt.timeout(1, function() return nil, nil end)), 2)
  lu.assertEquals(select("#", rt.timeout(1, function() end)), 0)
end

function TestTimeout:test_it_ends_a_wait_at_its_deadline()
  lu.assertEquals({ timed(rt.timeout, 1, rt.sleep, 9) }, { 1.0, nil, "timeout" })
end

function TestTimeout:test_an_error_passes_through_unchanged()
  local object = {}
  local ok, err = pcall(rt.timeout, 1, function()
    rt.yield()
    error(object)
  end)

  lu.assertFalse(ok)
  lu.assertIs(err, object)
end

function TestTimeout:test_a_body_that_never_waits_keeps_its_results()
  for _, seconds in ipairs({ 0, -1, -math.huge }) do
    lu.assertEquals(rt.timeout(seconds, function()
      lu.assertEquals({ rt.cancelled() }, { true, "timeout" })
      return "kept"
    end), "kept")
  end
end

function TestTimeout:test_nothing_or_less_is_cancelled_on_entry()
  for _, seconds in ipairs({ 0, -0.0, -1, -1e300, -math.huge }) do
    lu.assertEquals({ timed(rt.timeout, seconds, rt.sleep, 9) }, { 0.0, nil, "timeout" })
  end
end

function TestTimeout:test_NaN_raises_before_the_function_runs()
  for _, f in ipairs({ rt.timeout, rt.shield }) do
    lu.assertErrorMsgContains("NaN", f, 0 / 0, function() error("NEVER") end)
  end
  lu.assertErrorMsgContains("NaN", rt.deadline, 0 / 0)
  lu.assertFalse(rt.cancelled())
end

function TestTimeout:test_a_huge_limit_never_comes()
  for _, seconds in ipairs({ math.huge, 1e300, 2 ^ 63, 2 ^ 53, math.maxinteger }) do
    lu.assertEquals({ timed(rt.timeout, seconds, rt.sleep, 1e6) }, { 1e6 })
  end
end

function TestTimeout:test_the_nearest_deadline_counts()
  for outer = 1, 3 do
    for inner = 1, 3 do
      local inner_result
      local time, value, err = timed(rt.timeout, outer, function()
        inner_result = table.pack(rt.timeout(inner, rt.sleep, 9))
        return "after", inner
      end)
      lu.assertEquals(time, math.min(outer, inner) + 0.0)
      if inner < outer then
        lu.assertEquals(inner_result, { nil, "timeout", n = 2 })
        lu.assertEquals({ value, err }, { "after", inner })
      else -- of several that expired the outermost one absorbs
        lu.assertNil(inner_result)
        lu.assertEquals({ value, err }, { nil, "timeout" })
      end
    end
  end
end

function TestTimeout:test_only_the_scope_that_expired_absorbs_at_any_depth()
  local function nest(depth, expiring)
    if depth == 0 then
      rt.sleep(99)
      return "NEVER"
    end
    local results = table.pack(rt.timeout(depth == expiring and 1 or 50, nest, depth - 1, expiring))
    if depth == expiring then
      lu.assertEquals(results, { nil, "timeout", n = 2 })
      return "absorbed", depth
    end
    return table.unpack(results, 1, results.n)
  end

  for expiring = 1, 10 do
    lu.assertEquals({ timed(nest, 10, expiring) }, { 1.0, "absorbed", expiring })
  end
end

function TestTimeout:test_after_it_the_caller_is_not_cancelled()
  rt.timeout(1, rt.sleep, 9)

  lu.assertFalse(rt.cancelled())
  lu.assertEquals(timed(rt.sleep, 1), 1.0)
end

function TestTimeout:test_an_expired_limit_of_a_block_that_has_ended_touches_nothing()
  rt.timeout(1, rt.yield)
  for _ = 1, 3 do rt.timeout(5, rt.sleep, 1) end

  lu.assertEquals(timed(rt.sleep, 10), 10.0)
end

function TestTimeout:test_its_function_may_be_callable()
  local callable = setmetatable({}, { __call = function(_, a) return "called", a end })

  lu.assertEquals({ rt.timeout(1, callable, 2) }, { "called", 2 })
end

TestRedelivery = {}

-- Each of them is a cancellation point.
local function points()
  local ch, e, task = rt.channel(), rt.event(), rt.spawn(function() end)
  local ready = rt.channel(math.huge)
  ready:send(1)
  local g = rt.group(function(group) return group end)
  return {
    sleep = function() rt.sleep(1) end,
    sleep_0 = function() rt.sleep(0) end,
    yield = function() rt.yield() end,
    send = function() ch:send(1) end,
    send_ready = function() ready:send(1) end,
    recv = function() ch:recv() end,
    recv_ready = function() ready:recv() end,
    iterate = function() for _ in ready:iter() do error("NEVER") end end,
    select = function() rt.select({ ch, e }) end,
    select_ready = function() rt.select({ rt.always(1) }) end,
    select_nothing = function() rt.select({}) end,
    select_composite = function() rt.select({ rt.choose(rt.always(1)) }) end,
    sync = function() rt.sync(rt.always(1)) end,
    sync_composite = function() rt.sync(rt.guard(function() error("NEVER") end)) end,
    sync_timeout = function() rt.sync_timeout(1, rt.always(1)) end,
    sync_timeout_composite = function()
      rt.sync_timeout(1, rt.guard(function() error("NEVER") end))
    end,
    join = function() task:join() end,
    await = function() task:await() end,
    wait = function() e:wait() end,
    deadline_inside = function() rt.timeout(5, rt.sleep, 1) end,
  }, ready, g
end

function TestRedelivery:test_every_point_of_a_cancelled_scope_raises_again_and_again()
  local all, ready = points()
  rt.yield()
  for name, point in pairs(all) do
    local raised = 0
    local results = table.pack(rt.timeout(0, function()
      for _ = 1, 3 do
        local ok, err = rt.pcall_all(point)
        lu.assertFalse(ok, name)
        lu.assertEquals(tostring(err), "cancelled", name)
        raised = raised + 1
      end
      lu.assertTrue(rt.cancelled())
      point()
      error("NEVER")
    end))
    lu.assertEquals(results, { nil, "timeout", n = 2 }, name)
    lu.assertEquals(raised, 3, name)
  end
  lu.assertEquals(#ready, 1)
end

function TestRedelivery:test_what_cannot_wait_is_no_point()
  local ch, e = rt.channel(1), rt.event()
  local spawned = false
  local g <close> = rt.group()

  lu.assertEquals(rt.timeout(0, function()
    lu.assertEquals({ rt.poll({ ch:send_evt("v") }) }, { 1, true })
    lu.assertEquals(rt.sync_timeout(0, ch), "v")
    lu.assertEquals({ rt.sync_timeout(-1, ch) }, { nil, "timeout" })
    lu.assertEquals({ rt.sync_timeout(0, rt.choose(ch)) }, { nil, "timeout" })
    lu.assertNil(rt.poll({ rt.choose(ch) }))
    lu.assertTrue(e:set(1))
    lu.assertTrue(ch:close())
    g:spawn(function() spawned = true end)
    rt.current()
    rt.tasks()
    rt.now()
    return "done"
  end), "done")
  g:wait()
  lu.assertTrue(spawned)
end

function TestRedelivery:test_code_that_catches_everything_lets_others_run()
  local turns, n = 0, 0
  local task = rt.spawn(function()
    while n < 50 do
      n = n + 1
      rt.pcall_all(rt.sleep, 1)
    end
  end)
  rt.yield()
  task:cancel()
  while n < 50 do
    turns = turns + 1
    rt.yield()
  end
  task:join()

  lu.assertTrue(turns >= 48)
end

TestCatching = {}

function TestCatching:test_pcall_xpcall_and_resume_do_not_catch_a_cancel()
  local log = {}
  local function note(name) return function(...) log[#log + 1] = name return ... end end
  local ways = {
    pcall = function() note("pcall")(pcall(rt.sleep, 9)) end,
    nested = function() note("nested")(pcall(pcall, pcall, rt.sleep, 9)) end,
    xpcall = function() note("xpcall")(xpcall(rt.sleep, note("handler"), 9)) end,
    resume = function()
      note("resume")(coroutine.resume(coroutine.create(function() rt.sleep(9) end)))
    end,
    wrap = function() note("wrap")(pcall(coroutine.wrap(function() rt.sleep(9) end))) end,
    metamethod = function()
      note("metamethod")(pcall(function()
        return setmetatable({}, { __index = function() return rt.sleep(9) end }).x
      end))
    end,
    group = function() note("group")(pcall(rt.group, function() rt.sleep(9) end)) end,
    timeout = function() note("timeout")(pcall(rt.timeout, 5, rt.sleep, 9)) end,
  }
  for name, way in pairs(ways) do
    lu.assertEquals({ timed(rt.timeout, 1, way) }, { 1.0, nil, "timeout" }, name)
  end
  lu.assertEquals(log, {})
end

function TestCatching:test_pcall_all_catches_it()
  rt.timeout(1, function()
    local ok, err = rt.pcall_all(rt.sleep, 9)
    lu.assertFalse(ok)
    lu.assertEquals(type(err), "userdata")
    lu.assertEquals(tostring(err), "cancelled")
    lu.assertEquals({ rt.cancelled() }, { true, "timeout" })
  end)
  lu.assertEquals({ rt.pcall_all(function(...) return ... end, 1, nil) }, { true, 1, nil })
  lu.assertEquals({ rt.pcall_all(error, "e", 0) }, { false, "e" })
end

function TestCatching:test_a_closer_sees_it()
  local seen
  rt.timeout(1, function()
    local _ <close> = closer(function(_, err) seen = err end)
    rt.sleep(9)
  end)

  lu.assertEquals(tostring(seen), "cancelled")
end

function TestCatching:test_a_kept_cancel_is_an_ordinary_error_outside()
  local kept
  rt.timeout(1, function()
    local _, err = rt.pcall_all(rt.sleep, 9)
    kept = err
  end)

  lu.assertEquals({ pcall(error, kept) }, { false, kept })
  local handled
  lu.assertFalse((xpcall(error, function(e) handled = e return e end, kept)))
  lu.assertIs(handled, kept)
  rt.group({ on_error = "collect" }, function(g)
    local task = g:spawn(error, kept)
    local ok, err = task:join()
    lu.assertFalse(ok)
    lu.assertIs(err, kept)
    lu.assertEquals(task:status(), "failed")
  end)
  lu.assertEquals({ pcall(rt.timeout, 5, error, kept) }, { false, kept })
end

function TestCatching:test_a_kept_cancel_raised_in_a_cancelled_scope_is_a_cancel()
  local kept
  rt.timeout(1, function() kept = select(2, rt.pcall_all(rt.sleep, 9)) end)

  lu.assertEquals({ rt.timeout(0, pcall, error, kept) }, { nil, "timeout" })
end

function TestCatching:test_an_error_in_cleanup_replaces_the_cancel()
  lu.assertEquals({ pcall(rt.timeout, 1, function()
    local _ <close> = closer(function() error("cleanup", 0) end)
    rt.sleep(9)
  end) }, { false, "cleanup" })
  lu.assertFalse(rt.cancelled())
end

function TestCatching:test_an_error_under_a_cancel_can_be_caught()
  rt.timeout(1, function()
    rt.pcall_all(rt.sleep, 9)
    lu.assertEquals({ pcall(error, "ordinary", 0) }, { false, "ordinary" })
    lu.assertEquals({ coroutine.resume(coroutine.create(error), "ordinary") }, { false, "ordinary" })
  end)
end

TestShield = {}

function TestShield:test_a_cancel_from_outside_does_not_enter()
  lu.assertEquals({ timed(rt.timeout, 1, function()
    lu.assertEquals(rt.shield(9, function()
      rt.sleep(3)
      lu.assertFalse(rt.cancelled())
      return "whole"
    end), "whole")
    lu.assertTrue(rt.cancelled())
    rt.sleep(1)
    error("NEVER")
  end) }, { 3.0, nil, "timeout" })
end

function TestShield:test_its_own_limit_ends_it()
  lu.assertEquals({ timed(rt.timeout, 1, function()
    lu.assertEquals({ rt.shield(2, rt.sleep, 9) }, { nil, "timeout" })
    return "still cancelled", rt.cancelled()
  end) }, { 2.0, "still cancelled", true, "timeout" })
end

function TestShield:test_nothing_or_less_is_cancelled_on_entry()
  for _, seconds in ipairs({ 0, -1, -math.huge }) do
    lu.assertEquals({ timed(rt.shield, seconds, rt.sleep, 9) }, { 0.0, nil, "timeout" })
    lu.assertEquals(rt.shield(seconds, function() return "kept" end), "kept")
  end
end

function TestShield:test_a_timeout_inside_a_shield_works()
  rt.timeout(0, function()
    lu.assertEquals({ timed(rt.shield, 9, rt.timeout, 1, rt.sleep, 5) }, { 1.0, nil, "timeout" })
  end)
end

function TestShield:test_a_shield_inside_a_shield_has_its_own_limit()
  lu.assertEquals({ timed(rt.shield, 1, function()
    lu.assertEquals({ timed(rt.shield, 2, rt.sleep, 9) }, { 2.0, nil, "timeout" })
    return rt.cancelled()
  end) }, { 2.0, true, "timeout" })
end

function TestShield:test_a_closer_may_wait_in_it_under_a_cancel()
  local flushed
  lu.assertEquals({ timed(rt.timeout, 1, function()
    local _ <close> = closer(function()
      rt.shield(math.huge, rt.sleep, 2)
      flushed = true
      rt.sleep(1)
      flushed = "NEVER"
    end)
    rt.sleep(9)
  end) }, { 3.0, nil, "timeout" })
  lu.assertEquals(flushed, true)
end

function TestShield:test_tasks_of_a_group_opened_in_it_are_shielded_too()
  local ended
  rt.timeout(1, function()
    rt.shield(9, function()
      local g <close> = rt.group()
      g:spawn(function()
        rt.sleep(3)
        ended = true
      end)
    end)
  end)

  lu.assertTrue(ended)
end

function TestShield:test_tasks_of_a_group_opened_outside_are_not()
  local ended, err = false, nil
  rt.timeout(1, function()
    local g <close> = rt.group()
    rt.shield(9, function()
      g:spawn(function()
        local _ <close> = closer(function(_, e) err = e end)
        rt.sleep(3)
        ended = true
      end)
      rt.sleep(5)
    end)
  end)

  lu.assertFalse(ended)
  lu.assertEquals(tostring(err), "cancelled")
end

TestDeadline = {}

local function block(seconds, f)
  return pcall(function()
    local _ <close> = rt.deadline(seconds)
    return f()
  end)
end

function TestDeadline:test_the_block_that_takes_longer_raises()
  lu.assertEquals({ timed(block, 1, function() rt.sleep(9) end) }, { 1.0, false, "timeout" })
  lu.assertFalse(rt.cancelled())
end

function TestDeadline:test_the_block_that_is_done_in_time_goes_on()
  lu.assertEquals({ timed(block, 2, function() rt.sleep(1) return "v" end) }, { 1.0, true, "v" })
  lu.assertEquals(timed(rt.sleep, 5), 5.0)
end

function TestDeadline:test_a_block_that_never_waits_keeps_its_results()
  lu.assertEquals({ block(0, function() return "kept" end) }, { true, "kept" })
  lu.assertEquals({ block(-1, function() return "kept" end) }, { true, "kept" })
  lu.assertEquals({ block(0, function() rt.yield() end) }, { false, "timeout" })
end

function TestDeadline:test_deadlines_and_timeouts_nest()
  lu.assertEquals({ timed(block, 1, function() return rt.timeout(2, rt.sleep, 9) end) },
    { 1.0, false, "timeout" })
  lu.assertEquals({ timed(block, 2, function() return rt.timeout(1, rt.sleep, 9) end) },
    { 1.0, true, nil, "timeout" })
  lu.assertEquals({ timed(rt.timeout, 1, function() return block(2, function() rt.sleep(9) end) end) },
    { 1.0, nil, "timeout" })
  lu.assertEquals({ timed(rt.timeout, 2, function() return block(1, function() rt.sleep(9) end) end) },
    { 1.0, false, "timeout" })
end

function TestDeadline:test_two_of_one_block()
  lu.assertEquals({ timed(pcall, function()
    local _ <close> = rt.deadline(3)
    local _ <close> = rt.deadline(1)
    rt.sleep(9)
  end) }, { 1.0, false, "timeout" })
  lu.assertEquals({ timed(pcall, function()
    local _ <close> = rt.deadline(1)
    local _ <close> = rt.deadline(3)
    rt.sleep(9)
  end) }, { 1.0, false, "timeout" })
end

function TestDeadline:test_another_error_passes()
  lu.assertEquals({ block(1, function() error("other", 0) end) }, { false, "other" })
  lu.assertEquals({ block(1, function()
    rt.pcall_all(rt.sleep, 9)
    error("other", 0)
  end) }, { false, "other" })
end

function TestDeadline:test_closing_it_twice_or_elsewhere()
  local d <close> = rt.deadline(9)
  local close = getmetatable(d).__close
  local g <close> = rt.group({ on_error = "collect" })
  local ok, err = g:spawn(close, d):join()

  lu.assertFalse(ok)
  lu.assertStrContains(err, "closed by the task that set it")
end

function TestDeadline:test_one_that_is_left_open_ends_with_its_task()
  local task = rt.spawn(function()
    rt.deadline(1) -- reported on stderr
    return "result"
  end)

  lu.assertEquals({ task:join() }, { true, "result" })
  lu.assertEquals(timed(rt.sleep, 3), 3.0)
end

TestTasks = {}

function TestTasks:test_a_cancelled_task_runs_to_its_first_point()
  local log = {}
  local g <close> = rt.group()
  local task = g:spawn(function()
    log[#log + 1] = "started"
    log[#log + 1] = tostring(rt.cancelled())
    rt.yield()
    log[#log + 1] = "NEVER"
  end)
  task:cancel()
  lu.assertEquals({ task:join() }, { false, "cancelled" })

  lu.assertEquals(log, { "started", "true" })
  lu.assertEquals(task:status(), "cancelled")
end

function TestTasks:test_a_cancelled_task_that_never_waits_is_done()
  local g <close> = rt.group()
  local task = g:spawn(function() return "result" end)
  task:cancel()

  lu.assertEquals({ task:join() }, { true, "result" })
  lu.assertEquals(task:status(), "done")
end

function TestTasks:test_a_task_may_cancel_itself()
  local task = rt.spawn(function()
    rt.current():cancel()
    lu.assertEquals({ rt.cancelled() }, { true, "cancelled" })
    rt.yield()
  end)

  lu.assertEquals({ task:join() }, { false, "cancelled" })
end

function TestTasks:test_cancel_reaches_what_the_task_owns()
  local log = {}
  local function owner(depth)
    local _ <close> = closer(function() log[#log + 1] = depth end)
    if depth > 1 then rt.spawn(owner, depth - 1) end
    rt.sleep(9)
  end
  local task = rt.spawn(owner, 20)
  rt.sleep(1)
  task:cancel()
  task:join()

  lu.assertEquals(#log, 20)
  table.sort(log)
  for i = 1, 20 do lu.assertEquals(log[i], i) end
end

function TestTasks:test_cancel_of_a_deep_chain_of_tasks()
  local depth, ended = harness.rounds(3000), 0
  local function owner(n)
    local _ <close> = closer(function() ended = ended + 1 end)
    if n > 1 then rt.spawn(owner, n - 1) end
    rt.sleep(9)
  end
  local task = rt.spawn(owner, depth)
  rt.sleep(1)
  task:cancel()
  task:join()

  lu.assertEquals(ended, depth)
end

function TestTasks:test_cancel_twice_and_after_the_end()
  local runs = 0
  local task = rt.spawn(function()
    local _ <close> = closer(function() runs = runs + 1 end)
    rt.sleep(9)
  end)
  rt.yield()
  task:cancel()
  task:cancel()
  lu.assertEquals({ task:join() }, { false, "cancelled" })
  task:cancel()

  lu.assertEquals(runs, 1)
  lu.assertEquals(task:status(), "cancelled")
end

function TestTasks:test_the_reason_is_that_of_the_outermost_scope()
  lu.assertEquals({ rt.cancelled() }, { false })
  local reasons = {}
  rt.group(function(g)
    g:spawn(function()
      rt.timeout(0, function() reasons[1] = select(2, rt.cancelled()) end)
      g:cancel("enough")
      reasons[2] = select(2, rt.cancelled())
      rt.timeout(0, function() reasons[3] = select(2, rt.cancelled()) end)
      rt.shield(0, function() reasons[4] = select(2, rt.cancelled()) end)
    end)
  end)

  lu.assertEquals(reasons, { "timeout", "enough", "enough", "timeout" })
end

TestMany = {}

function TestMany:test_many_timeouts_leave_nothing_behind()
  local count = harness.rounds(200000)
  for _ = 1, 1000 do rt.timeout(5, rt.yield) end
  collectgarbage()
  local before = collectgarbage("count")
  for _ = 1, count do rt.timeout(3600, rt.now) end
  for _ = 1, 1000 do rt.timeout(3600, rt.yield) end
  collectgarbage()

  lu.assertTrue(collectgarbage("count") - before < 50)
  lu.assertEquals(timed(rt.sleep, 1), 1.0)
end

TestForgottenDeadline = {}

function TestForgottenDeadline:test_a_collected_one_still_limits_its_task()
  local caught, at
  rt.group({ on_error = "collect" }, function(g)
    local start = rt.now()
    g:spawn(function()
      local _ = rt.deadline(2)
      _ = nil
      collectgarbage()
      collectgarbage()
      caught = not rt.pcall_all(rt.sleep, 5)
      at = rt.now() - start
    end):join()
  end)

  lu.assertTrue(caught)
  lu.assertEquals(at, 2)
end

function TestForgottenDeadline:test_one_collected_after_its_task_is_harmless()
  local kept
  rt.spawn(function() kept = rt.deadline(2) end):join()
  kept = nil
  collectgarbage()
  rt.sleep(3)

  lu.assertNil(kept)
  lu.assertEquals(rt.cancelled(), false)
end

function TestForgottenDeadline:test_its_finalizer_checks_what_it_gets()
  local d <close> = rt.deadline(1)
  local finalize = getmetatable(d).__gc

  for _, bad in ipairs({ 1, "x", io.stdout, rt.channel() }) do
    lu.assertErrorMsgContains("asyncrt.deadline expected", finalize, bad)
  end
  lu.assertErrorMsgContains("asyncrt.deadline expected", finalize)
end

harness.run()
