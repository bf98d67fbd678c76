-- asyncrt: --virtual-time --seed=1
local rt = require("asyncrt")
local harness = require("harness")
local lu = require("luaunit")

local function closer(f)
  return setmetatable({}, { __close = f })
end

local function timed(f, ...)
  local start = rt.now()
  local results = table.pack(f(...))
  return rt.now() - start, table.unpack(results, 1, results.n)
end

-- Runs `body(g)` in a group of either form.
local function block(options, body)
  if body == nil then options, body = nil, options end
  return pcall(function()
    local g <close> = rt.group(options)
    return body(g)
  end)
end

local function call(options, body)
  if body == nil then return pcall(rt.group, options) end
  return pcall(rt.group, options, body)
end

local function fail_after(seconds, err)
  rt.sleep(seconds)
  error(err, 0)
end

-- Sleeps, and takes `cleanup` seconds to end when cancelled.
local function slow_to_end(cleanup, log, name)
  local _ <close> = closer(function()
    rt.shield(math.huge, rt.sleep, cleanup)
    log[#log + 1] = name
  end)
  rt.sleep(99)
end

local forms = { block = block, call = call }

TestLeaving = {}

-- Adds a test for each of the two forms.
local function for_both_forms(name, test)
  for form, group in pairs(forms) do
    TestLeaving[name .. "_" .. form] = function() test(group, form) end
  end
end

for_both_forms("test_it_waits_for_every_task", function(group)
  local ended = 0
  local time, ok, value = timed(group, function(g)
    for i = 1, 5 do
      g:spawn(function()
        rt.sleep(i)
        ended = ended + 1
      end)
    end
    return "value"
  end)

  lu.assertEquals({ time, ok, value, ended }, { 5.0, true, "value", 5 })
end)

for_both_forms("test_an_empty_group_ends_at_once", function(group)
  lu.assertEquals({ timed(group, function() return 1, nil, 3 end) }, { 0.0, true, 1, nil, 3 })
end)

for_both_forms("test_tasks_spawned_while_leaving_are_awaited_too", function(group)
  local ended = 0
  local function again(g, n)
    rt.sleep(1)
    if n > 0 then g:spawn(again, g, n - 1) end
    ended = ended + 1
  end

  lu.assertEquals(timed(group, function(g) g:spawn(again, g, 4) end), 5.0)
  lu.assertEquals(ended, 5)
end)

for_both_forms("test_a_failing_task_cancels_the_others_and_the_body", function(group)
  local log = {}
  local time, ok, err = timed(group, function(g)
    g:spawn(slow_to_end, 0.5, log, "sibling")
    g:spawn(fail_after, 1, "boom")
    slow_to_end(0.5, log, "body")
    log[#log + 1] = "NEVER"
  end)

  lu.assertEquals({ time, ok, err }, { 1.5, false, "boom" })
  lu.assertEquals(log, { "sibling", "body" })
  lu.assertFalse(rt.cancelled())
end)

for_both_forms("test_a_task_that_fails_while_leaving_is_raised", function(group)
  local log = {}
  lu.assertEquals({ timed(group, function(g)
    g:spawn(slow_to_end, 2, log, "other")
    g:spawn(fail_after, 1, "late")
    return "dropped"
  end) }, { 3.0, false, "late" })
  lu.assertEquals(log, { "other" })
end)

for_both_forms("test_the_error_object_is_the_same_value", function(group)
  for _, object in ipairs({ {}, 42, true, false, print, coroutine.create(print), "text" }) do
    local ok, err = group(function(g) g:spawn(error, object, 0) end)
    lu.assertFalse(ok)
    lu.assertTrue(rawequal(err, object))
  end
  local ok, err = group(function(g) g:spawn(error, nil) end)
  lu.assertEquals({ ok, err }, { false, nil })
end)

for_both_forms("test_an_error_of_the_body_cancels_the_tasks_and_goes_on", function(group)
  local log = {}
  lu.assertEquals({ timed(group, function(g)
    g:spawn(slow_to_end, 2, log, "task")
    rt.sleep(1)
    error("body", 0)
  end) }, { 3.0, false, "body" })
  lu.assertEquals(log, { "task" })
end)

for_both_forms("test_of_two_failures_the_first_is_raised", function(group)
  local first, second, third = {}, {}, {}
  local ok, err = group(function(g)
    for i, object in ipairs({ first, second, third }) do
      g:spawn(function()
        local _ <close> = closer(function()
          rt.shield(9, rt.sleep, i)
          error(object)
        end)
        if i == 1 then error("replaced") end
        rt.sleep(99)
      end)
    end
  end)

  lu.assertFalse(ok)
  lu.assertIs(err, first)
  local suppressed = rt.suppressed(err)
  lu.assertEquals(#suppressed, 2)
  lu.assertIs(suppressed[1], second)
  lu.assertIs(suppressed[2], third)
end)

for_both_forms("test_what_tasks_raise_after_the_body_failed_is_attached", function(group)
  local object, other = {}, {}
  local ok, err = group(function(g)
    g:spawn(function()
      local _ <close> = closer(function() error(other) end)
      rt.sleep(99)
    end)
    rt.sleep(1)
    error(object)
  end)

  lu.assertFalse(ok)
  lu.assertIs(err, object)
  lu.assertEquals(#rt.suppressed(err), 1)
  lu.assertIs(rt.suppressed(err)[1], other)
end)

for_both_forms("test_what_cleaning_up_the_body_raises_is_attached", function(group)
  local first, cleanup = {}, {}
  local ok, err = group(function(g)
    g:spawn(error, first)
    local _ <close> = closer(function() error(cleanup) end)
    rt.sleep(99)
  end)

  lu.assertFalse(ok)
  lu.assertIs(err, first)
  lu.assertEquals(#rt.suppressed(err), 1)
  lu.assertIs(rt.suppressed(err)[1], cleanup)
end)

for_both_forms("test_string_errors_are_kept_apart_by_group", function(group)
  local groups = {}
  for i = 1, 2 do
    lu.assertEquals({ group(function(g)
      groups[i] = g
      g:spawn(function()
        local _ <close> = closer(function() error("cleanup " .. i, 0) end)
        rt.sleep(99)
      end)
      g:spawn(fail_after, 1, "same")
    end) }, { false, "same" })
  end

  lu.assertEquals(rt.suppressed("same"), {})
  for i = 1, 2 do lu.assertEquals(rt.suppressed("same", groups[i]), { "cleanup " .. i }) end
end)

for_both_forms("test_an_outer_cancel_while_it_waits_still_waits_then_goes_on", function(group)
  local log = {}
  lu.assertEquals({ timed(rt.timeout, 1, function()
    group(function(g) g:spawn(slow_to_end, 3, log, "task") end)
    log[#log + 1] = "NEVER"
  end) }, { 4.0, nil, "timeout" })
  lu.assertEquals(log, { "task" })
end)

for_both_forms("test_an_outer_cancel_of_the_body_stops_the_tasks", function(group)
  local log = {}
  lu.assertEquals({ timed(rt.timeout, 1, function()
    group(function(g)
      g:spawn(slow_to_end, 2, log, "task")
      rt.sleep(9)
    end)
    log[#log + 1] = "NEVER"
  end) }, { 3.0, nil, "timeout" })
  lu.assertEquals(log, { "task" })
end)

for_both_forms("test_a_failure_under_an_outer_cancel_is_raised", function(group)
  lu.assertEquals({ timed(rt.timeout, 1, function()
    local ok, err = group(function(g)
      g:spawn(function()
        local _ <close> = closer(function() error("cleanup", 0) end)
        rt.sleep(9)
      end)
    end)
    return ok, err, rt.cancelled()
  end) }, { 1.0, false, "cleanup", true, "timeout" })
end)

for_both_forms("test_the_wait_for_the_tasks_cannot_be_abandoned", function(group)
  local log, start = {}, rt.now()
  local task = rt.spawn(function()
    group(function(g) g:spawn(slow_to_end, 5, log, "task") end)
  end)
  for _ = 1, 5 do
    rt.sleep(1)
    task:cancel()
  end
  lu.assertEquals(log, {})
  task:join()

  lu.assertEquals(log, { "task" })
  lu.assertEquals(rt.now() - start, 6)
  lu.assertEquals(task:status(), "cancelled")
end)

for_both_forms("test_groups_nest", function(group)
  local log = {}
  local _, ok, err = timed(group, function(outer)
    outer:spawn(slow_to_end, 1, log, "outer task")
    group(function(inner)
      inner:spawn(slow_to_end, 1, log, "inner task")
      outer:spawn(fail_after, 1, "from outer")
      rt.sleep(9)
    end)
    log[#log + 1] = "NEVER"
  end)

  lu.assertEquals({ ok, err }, { false, "from outer" })
  lu.assertEquals(log, { "outer task", "inner task" })
end)

for_both_forms("test_a_failure_inside_an_inner_group_can_be_caught_there", function(group)
  lu.assertEquals({ timed(group, function()
    local ok, err = group(function(inner)
      inner:spawn(fail_after, 1, "inner")
      rt.sleep(9)
    end)
    rt.sleep(1)
    return ok, err
  end) }, { 2.0, true, false, "inner" })
end)

for_both_forms("test_a_closed_group_takes_no_task", function(group)
  local kept
  group(function(g) kept = g end)

  lu.assertErrorMsgContains("cannot spawn into a closed group", kept.spawn, kept, print)
  lu.assertErrorMsgContains("cannot spawn into a closed group", kept.spawn_with, kept, {}, print)
  lu.assertEquals(kept:count(), 0)
  kept:cancel()
  kept:wait()
  for _ in kept:completed() do error("NEVER") end
end)

for_both_forms("test_a_task_spawned_into_a_cancelled_group_starts_cancelled", function(group)
  local log = {}
  group(function(g)
    g:cancel()
    local task = g:spawn(function()
      log[#log + 1] = tostring(rt.cancelled())
      rt.sleep(1)
      log[#log + 1] = "NEVER"
    end)
    rt.pcall_all(task.join, task)
  end)

  lu.assertEquals(log, { "true" })
end)

TestCancel = {}

function TestCancel:test_the_block_form_cancels_the_tasks_alone()
  local log = {}
  lu.assertEquals({ timed(block, function(g)
    g:spawn(slow_to_end, 0, log, "task")
    rt.sleep(1)
    g:cancel()
    rt.sleep(1)
    lu.assertFalse(rt.cancelled())
    return "body went on"
  end) }, { 2.0, true, "body went on" })
  lu.assertEquals(log, { "task" })
end

function TestCancel:test_the_function_form_cancels_the_body_too()
  lu.assertEquals({ timed(rt.group, function(g)
    g:spawn(function()
      rt.sleep(1)
      g:cancel()
    end)
    rt.sleep(9)
    return "NEVER"
  end) }, { 1.0, nil, "cancelled" })
end

function TestCancel:test_a_body_that_had_returned_keeps_its_values()
  lu.assertEquals({ timed(rt.group, function(g)
    g:spawn(function()
      rt.sleep(1)
      g:cancel()
      rt.sleep(9)
    end)
    return "value", 2
  end) }, { 1.0, "value", 2 })
end

function TestCancel:test_as_the_last_act_of_the_body_it_ends_helpers()
  local log = {}
  lu.assertEquals({ timed(rt.group, function(g)
    g:spawn(slow_to_end, 0, log, "helper")
    rt.sleep(1)
    g:cancel()
    return "result"
  end) }, { 1.0, "result" })
  lu.assertEquals(log, { "helper" })
end

function TestCancel:test_its_caller_s_cancel_is_not_absorbed()
  lu.assertEquals({ timed(rt.timeout, 1, function()
    rt.group(function(g)
      g:spawn(function()
        rt.sleep(1)
        g:cancel()
      end)
      rt.sleep(9)
    end)
    return "NEVER"
  end) }, { 1.0, nil, "timeout" })
end

function TestCancel:test_only_the_cancelled_group_of_nested_ones_absorbs()
  for cancelled = 1, 4 do
    local function nest(depth, groups)
      return rt.group(function(g)
        groups[depth] = g
        if depth < 4 then
          local results = table.pack(nest(depth + 1, groups))
          return "depth " .. depth, table.unpack(results, 1, results.n)
        end
        groups[1]:spawn(function()
          rt.sleep(1)
          groups[cancelled]:cancel()
        end)
        rt.sleep(9)
        return "NEVER"
      end)
    end
    local results = { timed(nest, 1, {}) }
    local expected = { 1.0 }
    for depth = 1, cancelled - 1 do expected[#expected + 1] = "depth " .. depth end
    expected[#expected + 2] = "cancelled"
    lu.assertEquals(results, expected)
  end
end

function TestCancel:test_twice_and_the_reason()
  rt.group(function(g)
    g:cancel("first")
    g:cancel("second")
    lu.assertEquals({ rt.cancelled() }, { true, "first" })
  end)
end

TestPolicies = {}

function TestPolicies:test_collect_leaves_the_others_alive()
  local err = {}
  lu.assertEquals({ timed(rt.group, { on_error = "collect" }, function(g)
    local failed = g:spawn(error, err)
    local ended = g:spawn(function()
      rt.sleep(2)
      return "fine"
    end)
    local ok, got = failed:join()
    lu.assertFalse(ok)
    lu.assertIs(got, err)
    return select(2, ended:join())
  end) }, { 2.0, "fine" })
end

function TestPolicies:test_a_function_gets_the_error_and_the_task()
  local seen = {}
  local handler = function(err, task)
    rt.sleep(1) -- it may wait
    seen[#seen + 1] = { err, task:name() }
  end
  lu.assertEquals({ timed(rt.group, { on_error = handler }, function(g)
    g:spawn_with({ name = "a" }, error, "one", 0)
    g:spawn_with({ name = "b" }, fail_after, 2, "two")
    g:spawn_with({ name = "c" }, rt.sleep, 9)
    return "body"
  end) }, { 9.0, "body" })
  lu.assertEquals(seen, { { "one", "a" }, { "two", "b" } })
end

function TestPolicies:test_an_error_of_the_function_is_the_group_s_failure()
  local handler = function(err) error("handling " .. err, 0) end
  lu.assertEquals({ timed(call, { on_error = handler }, function(g)
    g:spawn(fail_after, 1, "it")
    rt.sleep(9)
  end) }, { 1.0, false, "handling it" })
end

function TestPolicies:test_the_function_is_not_called_for_a_cancelled_task()
  local called = 0
  rt.group({ on_error = function() called = called + 1 end }, function(g)
    local task = g:spawn(rt.sleep, 9)
    rt.yield()
    task:cancel()
    lu.assertEquals({ task:join() }, { false, "cancelled" })
  end)

  lu.assertEquals(called, 0)
end

function TestPolicies:test_log_tells_and_goes_on()
  -- What is printed is a case of the command line's tests.
  lu.assertEquals({ timed(rt.group, { on_error = "log" }, function(g)
    g:spawn(error, "expected on stderr", 0)
    rt.sleep(1)
    return "body"
  end) }, { 1.0, "body" })
end

function TestPolicies:test_an_error_of_the_body_is_raised_under_every_policy()
  for _, policy in ipairs({ "fail", "log", "collect", print }) do
    lu.assertEquals({ call({ on_error = policy }, function() error("body", 0) end) },
      { false, "body" })
    lu.assertEquals({ block({ on_error = policy }, function() error("body", 0) end) },
      { false, "body" })
  end
end

function TestPolicies:test_bad_options_raise_before_anything_is_open()
  for _, options in ipairs({
    { on_error = 1 }, { on_error = "ignore" }, { on_error = {} }, { on_error = true },
    { limit = 0 }, { limit = -1 }, { limit = 1.5 }, { limit = "2" }, { limit = 0 / 0 },
    { limit = math.huge }, { limit = 2 ^ 53 }, { unknown = 1 }, { 1 },
  }) do
    lu.assertErrorMsgContains("bad argument #1 to ", rt.group, options)
    lu.assertErrorMsgContains("bad argument #1 to ", rt.group, options, function()
      error("NEVER")
    end)
  end
  lu.assertEquals({ timed(rt.timeout, 1, rt.sleep, 5) }, { 1.0, nil, "timeout" })
end

TestLimit = {}

function TestLimit:test_at_most_so_many_run_at_once_in_the_order_of_spawning()
  for limit = 1, 4 do
    local running, most, order = 0, 0, {}
    local time = timed(rt.group, { limit = limit }, function(g)
      for i = 1, 12 do
        g:spawn(function()
          running = running + 1
          most = math.max(most, running)
          order[#order + 1] = i
          rt.sleep(1)
          running = running - 1
        end)
      end
    end)
    lu.assertEquals(most, limit)
    lu.assertEquals(time, 12.0 / limit)
    lu.assertEquals(order, { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12 })
  end
end

function TestLimit:test_spawn_never_waits_and_the_tasks_count()
  rt.group({ limit = 1 }, function(g)
    local start = rt.now()
    for _ = 1, 10 do g:spawn(rt.sleep, 1) end
    lu.assertEquals(rt.now(), start)
    lu.assertEquals(g:count(), 10)
    rt.sleep(2.5)
    lu.assertEquals(g:count(), 8)
    g:cancel()
  end)
end

function TestLimit:test_the_next_one_starts_when_a_task_fails_or_is_cancelled()
  local started = {}
  rt.group({ limit = 1, on_error = "collect" }, function(g)
    local tasks = {}
    for i = 1, 4 do
      tasks[i] = g:spawn(function()
        started[#started + 1] = i
        if i == 1 then error("expected") end
        rt.sleep(9)
      end)
    end
    rt.sleep(1)
    tasks[2]:cancel()
    tasks[3]:cancel() -- not started yet
    rt.sleep(1)
    lu.assertEquals(tasks[3]:status(), "cancelled")
    lu.assertEquals(started, { 1, 2, 3, 4 })
    g:cancel()
  end)
end

function TestLimit:test_cancelling_ends_the_waiting_ones_too()
  local reached = 0
  lu.assertEquals({ timed(rt.group, { limit = 2 }, function(g)
    for _ = 1, 50 do
      g:spawn(function()
        rt.sleep(1)
        reached = reached + 1
      end)
    end
    rt.sleep(3.5)
    g:cancel()
    return "done"
  end) }, { 3.5, "done" })
  lu.assertEquals(reached, 6)
end

function TestLimit:test_a_failure_ends_the_waiting_ones_too()
  local reached = 0
  lu.assertEquals({ timed(call, { limit = 2 }, function(g)
    g:spawn(fail_after, 1.5, "stop")
    for _ = 1, 20 do
      g:spawn(function()
        rt.sleep(1)
        reached = reached + 1
      end)
    end
  end) }, { 1.5, false, "stop" })
  lu.assertEquals(reached, 1)
end

TestDaemons = {}

function TestDaemons:test_they_are_cancelled_once_all_others_have_ended()
  local ticks, log = 0, {}
  lu.assertEquals({ timed(rt.group, function(g)
    g:spawn_with({ daemon = true }, function()
      local _ <close> = closer(function()
        rt.shield(9, rt.sleep, 1)
        log[#log + 1] = "daemon ended"
      end)
      while true do
        rt.sleep(1)
        ticks = ticks + 1
      end
    end)
    g:spawn(rt.sleep, 3.5)
    rt.sleep(2)
    return "body"
  end) }, { 4.5, "body" })
  lu.assertEquals(ticks, 3)
  lu.assertEquals(log, { "daemon ended" })
end

function TestDaemons:test_a_group_of_daemons_alone_ends_with_its_body()
  lu.assertEquals({ timed(rt.group, function(g)
    for _ = 1, 3 do g:spawn_with({ daemon = true }, rt.sleep, 99) end
    rt.sleep(1)
    return "body"
  end) }, { 1.0, "body" })
end

function TestDaemons:test_a_task_may_have_daemons_of_its_own()
  local time, ok, result = timed(function()
    return rt.spawn(function()
      rt.spawn_with({ daemon = true }, rt.sleep, 99)
      rt.spawn(rt.sleep, 2)
      rt.sleep(1)
      return "body"
    end):join()
  end)
  lu.assertEquals({ time, ok, result }, { 2.0, true, "body" })
end

function TestDaemons:test_spawn_with_takes_the_innermost_group()
  lu.assertEquals({ timed(rt.group, function(g)
    local task = rt.spawn_with({ name = "named" }, function(...) return ... end, 1, nil, 3)
    lu.assertEquals(g:count(), 1)
    lu.assertEquals({ task:name(), task:join() }, { "named", true, 1, nil, 3 })
    rt.spawn_with({ daemon = true }, rt.sleep, 99)
  end) }, { 0.0 })
end

function TestDaemons:test_misuse_of_spawn_with_is_named()
  lu.assertErrorMsgContains("spawn_with' (table expected", rt.spawn_with, print)
  lu.assertErrorMsgContains("spawn_with' (function expected", rt.spawn_with, {}, 5)
  lu.assertErrorMsgContains("unknown option 'demon'", rt.spawn_with, { demon = true }, print)
  lu.assertErrorMsgContains("option 'name' must be a string", rt.spawn_with, { name = 1 }, print)
end

function TestDaemons:test_a_failing_daemon_fails_the_group()
  lu.assertEquals({ timed(call, function(g)
    g:spawn_with({ daemon = true }, fail_after, 1, "daemon")
    rt.sleep(9)
  end) }, { 1.0, false, "daemon" })
end

function TestDaemons:test_a_daemon_that_fails_while_it_is_cancelled_fails_the_group()
  lu.assertEquals({ timed(call, function(g)
    g:spawn_with({ daemon = true }, function()
      local _ <close> = closer(function() error("cleanup", 0) end)
      rt.sleep(99)
    end)
    rt.sleep(1)
  end) }, { 1.0, false, "cleanup" })
end

function TestDaemons:test_a_daemon_may_spawn_while_the_group_ends()
  local log = {}
  lu.assertEquals({ timed(rt.group, function(g)
    g:spawn_with({ daemon = true }, function()
      local _ <close> = closer(function()
        g:spawn(function()
          rt.sleep(1)
          log[#log + 1] = "last words"
        end)
      end)
      rt.sleep(99)
    end)
    return "body"
  end) }, { 1.0, "body" })
  lu.assertEquals(log, { "last words" })
end

function TestDaemons:test_a_daemon_spawned_while_the_group_ends_starts_cancelled()
  local cancelled
  lu.assertEquals({ timed(rt.group, function(g)
    g:spawn_with({ daemon = true }, function()
      local _ <close> = closer(function()
        g:spawn_with({ daemon = true }, function()
          cancelled = rt.cancelled()
          rt.sleep(99)
        end)
      end)
      rt.sleep(99)
    end)
    return "body"
  end) }, { 0.0, "body" })
  lu.assertTrue(cancelled)
end

function TestDaemons:test_wait_and_completed_do_not_wait_for_them()
  lu.assertEquals({ timed(rt.group, function(g)
    g:spawn_with({ daemon = true }, rt.sleep, 99)
    g:spawn(rt.sleep, 1)
    g:wait()
    g:spawn(rt.sleep, 1)
    local count = 0
    for _ in g:completed() do count = count + 1 end
    lu.assertEquals(g:count(), 1)
    return count
  end) }, { 2.0, 1 })
end

TestCompleted = {}

function TestCompleted:test_tasks_come_in_the_order_in_which_they_end()
  local order = {}
  rt.group(function(g)
    for i = 1, 5 do
      g:spawn_with({ name = "task " .. i }, function()
        rt.sleep(6 - i)
        return i
      end)
    end
    for task in g:completed() do
      order[#order + 1] = task:name()
      lu.assertEquals(task:status(), "done")
    end
  end)

  lu.assertEquals(order, { "task 5", "task 4", "task 3", "task 2", "task 1" })
end

function TestCompleted:test_failed_and_cancelled_ones_come_too()
  local statuses = {}
  rt.group({ on_error = "collect" }, function(g)
    g:spawn(fail_after, 1, "x")
    local cancelled = g:spawn(rt.sleep, 9)
    g:spawn(rt.sleep, 3)
    g:spawn(function()
      rt.sleep(2)
      cancelled:cancel()
    end)
    for task in g:completed() do statuses[#statuses + 1] = task:status() end
  end)

  table.sort(statuses)
  lu.assertEquals(statuses, { "cancelled", "done", "done", "failed" })
end

function TestCompleted:test_tasks_spawned_in_the_loop_come_too()
  local count = 0
  rt.group(function(g)
    g:spawn(rt.sleep, 1)
    for _ in g:completed() do
      count = count + 1
      if count < 10 then g:spawn(rt.sleep, 1) end
    end
  end)

  lu.assertEquals(count, 10)
end

function TestCompleted:test_its_loop_can_be_cancelled_and_goes_on_elsewhere()
  rt.group(function(g)
    for i = 1, 4 do g:spawn(rt.sleep, i) end
    local seen = 0
    rt.timeout(2.5, function()
      for _ in g:completed() do seen = seen + 1 end
    end)
    lu.assertEquals(seen, 2)
    for _ in g:completed() do seen = seen + 1 end
    lu.assertEquals(seen, 4)
  end)
end

function TestCompleted:test_none_is_lost_among_several_loops()
  for loops = 1, 5 do
    local seen, total = {}, 0
    rt.group(function(outer)
      rt.group(function(g)
        for i = 1, 40 do g:spawn_with({ name = tostring(i) }, rt.sleep, i % 7) end
        for _ = 1, loops do
          outer:spawn(function()
            for task in g:completed() do
              lu.assertNil(seen[task:name()])
              seen[task:name()] = true
              total = total + 1
              rt.sleep(0.1)
            end
          end)
        end
        g:wait()
        while total < 40 do rt.sleep(1) end
      end)
    end)
    lu.assertEquals(total, 40)
  end
end

TestWait = {}

function TestWait:test_it_waits_and_leaves_the_group_open()
  lu.assertEquals(timed(rt.group, function(g)
    g:wait()
    g:spawn(rt.sleep, 2)
    g:wait()
    lu.assertEquals(g:count(), 0)
    g:spawn(rt.sleep, 1)
  end), 3.0)
end

function TestWait:test_it_is_a_cancellation_point()
  lu.assertEquals(timed(rt.group, function(g)
    g:spawn(rt.sleep, 5)
    lu.assertEquals({ rt.timeout(1, g.wait, g) }, { nil, "timeout" })
  end), 5.0)
end

function TestWait:test_a_failure_while_it_waits_is_raised_by_the_group()
  lu.assertEquals({ timed(call, function(g)
    g:spawn(fail_after, 1, "boom")
    g:wait()
    error("NEVER")
  end) }, { 1.0, false, "boom" })
end

function TestWait:test_a_task_cannot_wait_for_its_own_group()
  lu.assertEquals({ call(function(g)
    g:spawn(function()
      local ok, err = pcall(g.wait, g)
      lu.assertFalse(ok)
      lu.assertStrContains(err, "cannot wait for its own group")
    end)
  end) }, { true })
end

function TestWait:test_another_task_may_wait_for_a_group()
  local start = rt.now()
  rt.group(function(outer)
    rt.group(function(g)
      g:spawn(rt.sleep, 2)
      outer:spawn(function()
        g:wait()
        lu.assertEquals(rt.now() - start, 2)
      end)
      rt.sleep(5)
    end)
  end)
end

TestOthers = {}

function TestOthers:test_another_task_may_spawn_into_an_open_group()
  local ran_in
  rt.group(function(g)
    rt.spawn(function()
      local task = g:spawn(function() ran_in = rt.current() end)
      task:join()
      lu.assertIs(ran_in, task)
    end):join()
    lu.assertEquals(g:count(), 0)
  end)
  lu.assertNotNil(ran_in)
end

function TestOthers:test_a_plain_spawn_joins_the_innermost_open_group()
  rt.group(function(outer)
    rt.group(function(inner)
      rt.spawn(rt.sleep, 1)
      lu.assertEquals(inner:count(), 1)
      lu.assertEquals(outer:count(), 0)
    end)
    rt.spawn(rt.sleep, 1)
    lu.assertEquals(outer:count(), 1)
  end)
end

function TestOthers:test_a_plain_spawn_in_a_timeout_is_not_ended_by_it()
  local ended
  local task
  lu.assertEquals(timed(rt.timeout, 1, function()
    task = rt.spawn(function()
      rt.sleep(3)
      ended = true
    end)
  end), 0.0)
  rt.timeout(1, rt.sleep, 9)
  lu.assertNil(ended)
  task:join()
  lu.assertTrue(ended)
end

function TestOthers:test_only_the_opener_closes_it()
  local g <close> = rt.group({ on_error = "collect" })
  local close = getmetatable(g).__close
  local ok, err = g:spawn(close, g):join()

  lu.assertFalse(ok)
  lu.assertStrContains(err, "closed by the task that opened it")
end

function TestOthers:test_a_group_that_was_forgotten_ends_with_its_task()
  local log, start = {}, rt.now()
  local task = rt.spawn(function()
    local g = rt.group() -- reported on stderr
    g:spawn(slow_to_end, 1, log, "task")
    rt.sleep(1)
    return "result"
  end)

  lu.assertEquals({ task:join() }, { true, "result" })
  lu.assertEquals(log, { "task" })
  lu.assertEquals(rt.now() - start, 2)
end

function TestOthers:test_several_forgotten_in_each_other_end_with_their_task()
  local log = {}
  rt.group({ on_error = "collect" }, function(collecting)
    local task = collecting:spawn(function()
      for i = 1, 3 do
        local g = rt.group() -- reported on stderr
        g:spawn(slow_to_end, 0, log, i)
        rt.deadline(50) -- so is this
      end
      rt.sleep(1)
      error("fails", 0)
    end)
    lu.assertEquals({ task:join() }, { false, "fails" })
  end)

  lu.assertEquals(log, { 3, 2, 1 })
end

function TestOthers:test_the_tasks_of_a_task_end_before_it()
  local ended = 0
  local task = rt.spawn(function()
    for i = 1, 3 do
      rt.spawn(function()
        rt.spawn(function()
          rt.sleep(2 * i)
          ended = ended + 1
        end)
        rt.sleep(i)
        ended = ended + 1
      end)
    end
    return "value"
  end)

  lu.assertEquals({ timed(task.join, task) }, { 6.0, true, "value" })
  lu.assertEquals(ended, 6)
end

function TestOthers:test_a_failure_of_a_task_s_task_is_its_own()
  rt.group({ on_error = "collect" }, function(g)
    local log = {}
    local task = g:spawn(function()
      rt.spawn(slow_to_end, 1, log, "sibling")
      rt.spawn(fail_after, 1, "grandchild")
      rt.sleep(9)
    end)
    lu.assertEquals({ timed(task.join, task) }, { 2.0, false, "grandchild" })
    lu.assertEquals(log, { "sibling" })
    lu.assertEquals(task:status(), "failed")
  end)
end

function TestOthers:test_the_result_of_a_body_is_dropped_when_a_task_of_it_fails_later()
  rt.group({ on_error = "collect" }, function(g)
    local task = g:spawn(function()
      rt.spawn(fail_after, 1, "late")
      return "dropped"
    end)
    lu.assertEquals({ task:join() }, { false, "late" })
  end)
end

function TestOthers:test_a_group_in_a_generator_lives_as_long_as_its_block()
  local g = coroutine.wrap(function()
    for i = 1, 3 do
      local sum = 0
      rt.group(function(group)
        for _ = 1, 4 do group:spawn(function() rt.sleep(1) sum = sum + i end) end
      end)
      coroutine.yield(sum)
    end
  end)

  lu.assertEquals({ timed(g) }, { 1.0, 4 })
  lu.assertEquals({ timed(g) }, { 1.0, 8 })
  lu.assertEquals({ timed(g) }, { 1.0, 12 })
end

function TestOthers:test_tostring_tells_the_state()
  local kept
  rt.group(function(g)
    kept = g
    g:spawn(rt.yield)
    lu.assertStrMatches(tostring(g), "group opened at .*:%d+ %(open, 1 task%)")
  end)
  lu.assertStrMatches(tostring(kept), "group opened at .*:%d+ %(closed, 0 tasks%)")
end

function TestOthers:test_suppressed_of_what_has_none()
  for _, value in ipairs({ {}, "text", 1, true, print }) do
    lu.assertEquals(rt.suppressed(value), {})
  end
  lu.assertEquals(rt.suppressed(nil), {})
end

TestMany = {}

function TestMany:test_many_tasks_of_one_group()
  local sum = 0
  rt.group(function(g)
    for i = 1, harness.rounds(20000) do
      g:spawn(function()
        rt.sleep(i % 10)
        sum = sum + 1
      end)
    end
  end)

  lu.assertEquals(sum, harness.rounds(20000))
end

function TestMany:test_memory_stays_flat_over_groups()
  local function round()
    pcall(rt.group, function(g)
      for _ = 1, 5 do g:spawn(rt.sleep, 1) end
      g:spawn(fail_after, 0.5, "expected")
      rt.sleep(9)
    end)
  end
  for _ = 1, 50 do round() end
  collectgarbage()
  collectgarbage()
  local before = collectgarbage("count")
  for _ = 1, harness.rounds(500) do round() end
  collectgarbage()
  collectgarbage()

  lu.assertTrue(collectgarbage("count") - before < 30, collectgarbage("count") - before)
end

harness.run()
