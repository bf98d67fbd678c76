-- asyncrt: --virtual-time --seed=1
local pool = require("asyncrt.pool")
local rt = require("asyncrt")
local harness = require("harness")
local lu = require("luaunit")

-- Handles jobs { name, seconds } and writes down what happens when.
local function recorder()
  local log, start = {}, rt.now()
  return log, function(job)
    log[#log + 1] = ("%s@%g"):format(job[1], rt.now() - start)
    rt.sleep(job[2] or 1)
    return job[1]
  end
end

-- Writes down when it is closed by a cancel.
local function closer(log, name)
  return setmetatable({}, {
    __close = function(_, err) log[#log + 1] = name .. (err and " cancelled" or "") end,
  })
end

local function sorted(list)
  table.sort(list)
  return list
end

local function timed(f, ...)
  local start = rt.now()
  local results = table.pack(f(...))
  return rt.now() - start, table.unpack(results, 1, results.n)
end

local function results_of(p)
  local all = {}
  for job, ok, value in p:results() do
    all[#all + 1] = ("%s %s %s"):format(job, ok, value)
  end
  return all
end

TestJobs = {}

function TestJobs:test_so_many_run_at_once_and_the_block_waits_for_all()
  local log, handle = recorder()
  local start = rt.now()
  do
    local p <close> = pool.new(2, handle, { queue = 10 })
    for _, name in ipairs({ "a", "b", "c", "d", "e" }) do p:submit({ name }) end
  end

  lu.assertEquals(log, { "a@0", "b@0", "c@1", "d@1", "e@2" })
  lu.assertEquals(rt.now() - start, 3.0)
end

function TestJobs:test_submit_waits_for_room()
  local submitted = 0
  local p <close> = pool.new(2, function() rt.sleep(1) end, { queue = 3 })
  local producer = rt.spawn(function()
    for i = 1, 8 do
      p:submit(i)
      submitted = submitted + 1
    end
  end)

  rt.sleep(0.5)
  lu.assertEquals(submitted, 5)
  rt.sleep(1)
  lu.assertEquals(submitted, 7)
  producer:join()
end

function TestJobs:test_results_that_nobody_takes_hold_submit_up_too()
  local p <close> = pool.new(2, function() end, { queue = 3, results = "completed" })
  local submitted = 0
  local producer = rt.spawn(function()
    for i = 1, 8 do
      p:submit(i)
      submitted = submitted + 1
    end
    p:close()
  end)

  rt.sleep(1)
  lu.assertEquals({ submitted, p:stats().unread }, { 5, 5 })
  lu.assertEquals(#results_of(p), 8)
  producer:join()
end

function TestJobs:test_submit_says_when_the_pool_is_closed()
  local p <close> = pool.new(1, function() rt.sleep(1) end, { queue = 0 })
  p:submit("a")
  local blocked = rt.spawn(p.submit, p, "b")
  rt.yield()

  lu.assertTrue(p:close())
  lu.assertFalse(p:close())
  lu.assertEquals({ p:submit("c") }, { nil, "closed" })
  lu.assertEquals({ blocked:join() }, { true, nil, "closed" })
end

function TestJobs:test_a_job_may_submit_more_than_there_is_room_for()
  local seen, p = {}, nil
  local function walk(n)
    seen[#seen + 1] = n
    rt.sleep(1)
    if n < 64 then
      assert(p:submit(2 * n))
      assert(p:submit(2 * n + 1))
    end
  end
  do
    p = pool.new(3, walk, { queue = 0 })
    local _ <close> = p
    p:submit(1)
  end

  table.sort(seen)
  lu.assertEquals(#seen, 127)
  lu.assertEquals(seen[127], 127)
  lu.assertEquals({ p:submit(1) }, { nil, "closed" })
end

function TestJobs:test_what_a_job_spawns_belongs_to_it()
  local log = {}
  local p <close> = pool.new(1, function(name)
    rt.spawn(function()
      rt.sleep(1)
      log[#log + 1] = name
      if name == "bad" then error("in a task", 0) end
    end)
  end, { results = "completed" })
  for _, name in ipairs({ "a", "bad" }) do p:submit(name) end
  p:close()

  lu.assertEquals(results_of(p), { "a true nil", "bad false in a task" })
  lu.assertEquals(log, { "a", "bad" })
end

function TestJobs:test_values_of_the_submitter_are_not_those_of_the_job()
  local seen = {}
  rt.with("id", "creator", function()
    local p <close> = pool.new(1, function() seen[#seen + 1] = rt.get("id") end)
    rt.with("id", "submitter", p.submit, p, 1)
  end)

  lu.assertEquals(seen, { "creator" })
end

function TestJobs:test_wait_leaves_the_pool_open()
  local log, handle = recorder()
  local p <close> = pool.new(2, handle)
  lu.assertEquals(timed(p.wait, p), 0.0)
  p:submit({ "a" })
  p:submit({ "b", 3 })

  lu.assertEquals(timed(p.wait, p), 3.0)
  p:submit({ "c" })
  p:wait()
  lu.assertEquals(log, { "a@0", "b@0", "c@3" })
end

function TestJobs:test_statistics()
  local p <close> = pool.new(2, function(job)
    rt.sleep(job)
    if job > 1 then error("no", 0) end
  end, { results = "completed", queue = 9 })
  for _, seconds in ipairs({ 1, 2, 3, 1 }) do p:submit(seconds) end

  local function stats(given)
    for name, value in pairs(given) do lu.assertEquals(p:stats()[name], value, name) end
  end
  stats({ workers = 2, active = 0, waiting = 4, done = 0, failed = 0, cancelled = 0, retried = 0, unread = 0 })
  rt.sleep(2.5)
  stats({ workers = 2, active = 2, waiting = 0, done = 1, failed = 1, cancelled = 0, retried = 0, unread = 2 })
  p:submit(1)
  p:cancel()
  stats({ active = 2, waiting = 0, failed = 1, cancelled = 1, unread = 3 })
  p:wait()
  stats({ active = 0, waiting = 0, done = 1, failed = 1, cancelled = 3, unread = 5 })
end

function TestJobs:test_reports_say_in_words_what_is_waited_for()
  local p <close> = pool.new(1, function() end, { results = "completed", queue = 0 })
  local made = "of the pool made at [^\n]*test_pool.lua:" .. debug.getinfo(1, "l").currentline - 1
  local submitter = rt.spawn(function()
    for i = 1, 2 do p:submit(i) end
  end)
  rt.sleep(1)

  lu.assertStrMatches(rt.dump(), '.*"pool" waits for cond "jobs, or the close, ' .. made .. '".*')
  lu.assertStrMatches(rt.dump(), '.*acquire semaphore "room ' .. made .. '", event "the close ' .. made .. '".*')
  p:cancel()
  lu.assertEquals({ submitter:join() }, { true })
  local other <close> = pool.new(1, function() end, { results = "completed" })
  local reader = rt.spawn(results_of, other)
  rt.yield()
  lu.assertStrMatches(rt.dump(), '.*waits for recv "results of the pool made at .*')
  reader:cancel()
end

function TestJobs:test_any_function_of_one_argument_is_a_handler()
  local calls = {}
  local p <close> = pool.new(1, function(...)
    calls[#calls + 1] = table.pack(...)
    if #calls < 3 then error("not yet") end
  end, { retries = 5 })
  p:submit("a")
  p:wait()

  lu.assertEquals(calls, { { "a", n = 1 }, { "a", n = 1 }, { "a", n = 1 } })
end

TestOrder = {}

function TestOrder:test_a_higher_priority_goes_first()
  local log, handle = recorder()
  do
    local p <close> = pool.new(1, handle, { queue = 10 })
    p:submit({ "first" })
    rt.yield()
    p:submit({ "low" }, { priority = -1 })
    p:submit({ "a" })
    p:submit({ "high" }, { priority = 2.5 })
    p:submit({ "b" })
  end

  lu.assertEquals(log, { "first@0", "high@1", "a@2", "b@3", "low@4" })
end

function TestOrder:test_keys_take_turns_and_jobs_of_one_keep_their_order()
  local log, handle = recorder()
  do
    local p <close> = pool.new(1, handle, { queue = 20 })
    for i = 1, 4 do p:submit({ "x" .. i }, { key = "x" }) end
    for i = 1, 2 do p:submit({ "y" .. i }, { key = "y" }) end
    for i = 1, 2 do p:submit({ i }) end -- those without one take turns too
  end

  lu.assertEquals(table.concat(log, " "), "x1@0 y1@1 1@2 x2@3 y2@4 2@5 x3@6 x4@7")
end

function TestOrder:test_priority_comes_before_turns()
  local log, handle = recorder()
  do
    local p <close> = pool.new(1, handle, { queue = 20 })
    p:submit({ "y1" }, { key = "y" })
    p:submit({ "x1" }, { key = "x" })
    p:submit({ "x2" }, { key = "x", priority = 1 })
    p:submit({ "x3" }, { key = "x", priority = 2 })
  end

  lu.assertEquals(log, { "x3@0", "x2@1", "y1@2", "x1@3" })
end

TestKeys = {}

function TestKeys:test_so_many_of_one_key_at_once()
  local log, handle = recorder()
  do
    local p <close> = pool.new(5, handle, { per_key = 2, queue = 20 })
    for i = 1, 5 do p:submit({ "x" .. i }, { key = "x" }) end
    for i = 1, 3 do p:submit({ i }) end -- jobs without a key have no limit
  end

  lu.assertEquals(table.concat(sorted(log), " "), "1@0 2@0 3@0 x1@0 x2@0 x3@1 x4@1 x5@2")
end

function TestKeys:test_a_delay_lies_between_two_of_one_key()
  local log, handle = recorder()
  do
    local p <close> = pool.new(5, handle, { key_delay = 2, queue = 20 })
    for i = 1, 3 do p:submit({ "x" .. i, 0.5 }, { key = "x" }) end
    p:submit({ "y", 0.5 }, { key = "y" })
    rt.sleep(7)
    p:submit({ "x4" }, { key = "x" }) -- long after: at once
  end

  lu.assertEquals(table.concat(sorted(log), " "), "x1@0 x2@2 x3@4 x4@7 y@0")
end

function TestKeys:test_a_delay_counts_from_the_last_start_of_a_key_without_jobs()
  local log, handle = recorder()
  do
    local p <close> = pool.new(5, handle, { key_delay = 2 })
    p:submit({ "x1", 0.5 }, { key = "x" })
    rt.sleep(1)
    p:submit({ "x2" }, { key = "x" })
  end

  lu.assertEquals(log, { "x1@0", "x2@2" })
end

function TestKeys:test_a_busy_key_holds_up_no_other()
  local done, others = {}, harness.rounds(3000)
  do
    local p <close> = pool.new(4, function(job) rt.sleep(job.seconds) end,
      { per_key = 1, queue = math.huge, results = "completed" })
    for _ = 1, 100 do p:submit({ host = "slow", seconds = 1000 }, { key = "slow" }) end
    for i = 1, others do p:submit({ host = i, seconds = 1 }, { key = i }) end
    local start = rt.now()
    for job in p:results() do
      done[#done + 1] = job.host
      if #done == others then break end
    end

    lu.assertEquals(rt.now() - start, others / 3) -- three workers, and the first of "slow"
    lu.assertEquals(p:stats().waiting, 99)
    lu.assertTrue(#rt.tasks() <= 6) -- main, the dispatcher, four jobs
    p:cancel()
  end
end

function TestKeys:test_keys_are_forgotten()
  local p <close> = pool.new(10, function() end, { per_key = 1, key_delay = 1 })
  local function round()
    for i = 1, harness.rounds(2000) do p:submit(i, { key = {} }) end
    p:wait()
    rt.sleep(2)
    collectgarbage()
    collectgarbage()
    return collectgarbage("count")
  end
  round()
  local before = round()

  lu.assertTrue(round() < before + 50)
end

TestFailures = {}

function TestFailures:test_a_failed_job_is_tried_again()
  local attempts = {}
  local p <close> = pool.new(2, function(job)
    attempts[job] = (attempts[job] or 0) + 1
    if attempts[job] <= job then error("attempt " .. attempts[job], 0) end
    return attempts[job]
  end, { retries = 2, results = "submitted" })
  rt.spawn(function()
    for i = 0, 3 do p:submit(i) end
    p:close()
  end)

  lu.assertEquals(results_of(p), { "0 true 1", "1 true 2", "2 true 3", "3 false attempt 3" })
  lu.assertEquals(attempts, { [0] = 1, 2, 3, 3 })
  lu.assertEquals(p:stats().retried, 5)
end

function TestFailures:test_the_pauses_are_random_and_grow_up_to_a_limit()
  local longest = { 0, 0, 0, 0 }
  for _ = 1, 200 do
    local times = {}
    do
      local p <close> = pool.new(1, function()
        times[#times + 1] = rt.now()
        error("no", 0)
      end, { retries = 4, backoff = 2, max_backoff = 7, on_error = "collect" })
      p:submit(1)
    end
    for i = 1, 4 do longest[i] = math.max(longest[i], times[i + 1] - times[i]) end
  end

  for i, limit in ipairs({ 2, 4, 7, 7 }) do
    lu.assertTrue(longest[i] <= limit and longest[i] > 0.9 * limit)
  end
end

function TestFailures:test_no_pause_after_however_many_attempts()
  local attempts, start = 0, rt.now()
  do
    local p <close> = pool.new(1, function()
      attempts = attempts + 1
      if attempts < 1100 then error("no", 0) end
    end, { retries = math.huge, backoff = 0, on_error = "collect" })
    p:submit(1)
  end

  lu.assertEquals(attempts, 1100)
  lu.assertEquals(rt.now(), start)
end

function TestFailures:test_no_worker_is_held_up_by_a_pause()
  local log = {}
  do
    local p <close> = pool.new(1, function(job)
      log[#log + 1] = job
      if job == "bad" and #log == 1 then error("no") end
    end, { retries = 1, backoff = 9 })
    p:submit("bad")
    p:submit("good")
  end

  lu.assertEquals(log, { "bad", "good", "bad" })
end

function TestFailures:test_a_function_gets_the_error_and_the_others_go_on()
  local errors, done = {}, {}
  do
    local p <close> = pool.new(2, function(job)
      if job == 2 then error({ job }) end
      done[#done + 1] = job
    end, { on_error = function(err, task) errors[#errors + 1] = { err, task:status() } end })
    for i = 1, 3 do p:submit(i) end
  end

  lu.assertEquals(errors, { { { 2 }, "running" } })
  lu.assertEquals(done, { 1, 3 })
end

function TestFailures:test_under_fail_the_first_error_ends_all_and_is_raised()
  local log = {}
  local time, ok, err = timed(pcall, rt.group, function()
    local p <close> = pool.new(2, function(job)
      local _ <close> = closer(log, job)
      rt.sleep(1)
      if job == "bad" then error("no", 0) end
      rt.sleep(9)
    end, { on_error = "fail" })
    p:submit("good")
    p:submit("bad")
    p:submit("late")
    p:wait()
  end)

  lu.assertEquals({ time, ok, err }, { 1.0, false, "no" })
  lu.assertEquals(log, { "bad cancelled", "good cancelled" })
end

TestTimeout = {}

function TestTimeout:test_each_attempt_has_a_limit()
  local log, starts = {}, {}
  local attempt = 0
  local p <close> = pool.new(1, function()
    attempt = attempt + 1
    starts[attempt] = rt.now()
    local _ <close> = closer(log, attempt)
    rt.spawn(function()
      local _ <close> = closer(log, attempt .. "'s task")
      rt.sleep(9)
    end)
    rt.sleep(attempt == 1 and 9 or 1.4)
  end, { timeout = 1.5, retries = 1, backoff = 0, results = "completed" })
  p:submit("job")
  p:close()
  local got = {}
  for job, ok, message, code, trace in p:results() do got[#got + 1] = { job, ok, message, code, tostring(trace) } end

  lu.assertEquals(got, { { "job", false, "timeout: the job took longer than 1.5 s", "timeout", "nil" } })
  lu.assertEquals(starts[2] - starts[1], 1.5)
  lu.assertEquals(log, { "1's task cancelled", "1 cancelled", "2", "2's task cancelled" })
end

function TestTimeout:test_who_is_in_time_keeps_its_results()
  local p <close> = pool.new(1, function(job)
    rt.sleep(job)
    return nil, "timeout", nil
  end, { timeout = 1, results = "completed" })
  p:submit(0.9)
  p:close()
  local got
  for _, ok, a, b, c in p:results() do got = table.pack(ok, a, b, c) end

  lu.assertEquals(got, table.pack(true, nil, "timeout", nil))
end

function TestTimeout:test_it_is_an_error_where_no_results_are_kept()
  local errors = {}
  do
    local p <close> = pool.new(1, rt.sleep, { timeout = 1, on_error = function(err) errors[#errors + 1] = err end })
    p:submit(2)
  end

  lu.assertEquals(errors, { "timeout: the job took longer than 1 s" })
end

TestRetry = {}

function TestRetry:test_a_function_says_whether_to_try_again()
  local asked = {}
  local calls = 0
  local p <close> = pool.new(4, function(job)
    if job == "slow" then rt.sleep(9) end
    if job == "often" then calls = calls + 1 end
    if job == "never" or calls <= 3 then error(job, 0) end
  end, {
    results = "submitted",
    timeout = 1,
    retry = function(...)
      asked[#asked + 1] = table.concat({ ... }, " ")
      return (...) ~= "never"
    end,
  })
  for _, job in ipairs({ "often", "never" }) do p:submit(job) end
  p:wait()

  lu.assertEquals(sorted(asked), { "never 1", "often 1", "often 2", "often 3" })
  asked = {}
  p:submit("slow")
  rt.sleep(1.1)
  lu.assertEquals(asked, { "timeout: the job took longer than 1 s 1 timeout" })
  p:stop()
  lu.assertEquals(results_of(p), { "often true nil", "never false never", "slow false cancelled" })
end

function TestRetry:test_it_is_asked_no_more_often_than_there_are_retries()
  local asked = 0
  local p <close> = pool.new(1, function() error("no", 0) end, { retries = 2, results = "completed",
    retry = function()
      asked = asked + 1
      return true
    end })
  p:submit(1)
  p:close()

  lu.assertEquals(results_of(p), { "1 false no" })
  lu.assertEquals({ asked, p:stats().retried }, { 2, 2 })
end

function TestRetry:test_its_own_error_is_that_of_the_job()
  local errors = {}
  local function retry() error("in retry", 0) end
  do
    local p <close> = pool.new(1, error, { retry = retry, on_error = function(err) errors[#errors + 1] = err end })
    p:submit("a")
  end
  local p <close> = pool.new(1, error, { retry = retry, results = "completed" })
  p:submit("b")
  p:close()

  lu.assertEquals(errors, { "in retry" })
  lu.assertEquals(results_of(p), { "b false in retry" })
end

TestTraceback = {}

local function buggy(job)
  local text = "line " .. debug.getinfo(1, "l").currentline + 1
  if job == "here" then error({ text }) end
  rt.spawn(function() error({ text }) end)
end

local function traces_of(given)
  local p <close> = pool.new(1, buggy, given)
  for _, job in ipairs({ "here", "in a task" }) do p:submit(job) end
  p:close()
  local traces = {}
  for _, ok, err, code, trace in p:results() do
    lu.assertEquals({ ok, type(err), code }, { false, "table" })
    traces[#traces + 1] = trace
  end
  return traces
end

function TestTraceback:test_results_have_that_of_the_error()
  for _, limit in ipairs({ 9, math.huge }) do
    local here, task = table.unpack(traces_of({ results = "completed", timeout = limit }))
    local line = debug.getinfo(buggy, "S").linedefined

    lu.assertStrContains(here, "stack traceback:\n")
    lu.assertStrContains(here, "test_pool.lua:" .. line + 2)
    lu.assertStrMatches(task, "task t%d+ %(spawned at .*")
    lu.assertStrContains(task, "test_pool.lua:" .. line + 3)
  end
end

function TestTraceback:test_the_last_attempt_fails_with_its_own_where_none_are_kept()
  local task
  local function catch() pcall(rt.group, error) end
  for _, retry in ipairs({ function() end, catch }) do
    local given = { retry = retry, on_error = function(_, failed) task = failed end }
    local p <close> = pool.new(1, buggy, given)
    p:submit("here")
    p:wait()
    rt.yield()

    lu.assertStrContains(task:where(), "test_pool.lua:" .. debug.getinfo(buggy, "S").linedefined + 2)
  end
end

function TestFailures:test_a_job_that_is_cancelled_alone_is_not_tried_again()
  local running
  local p <close> = pool.new(2, function(job)
    if job == 1 then running = rt.current() end
    rt.sleep(2)
  end, { results = "submitted", retries = 5 })
  p:submit(1)
  p:submit(2)
  p:close()
  rt.sleep(1)
  running:cancel()

  lu.assertEquals(results_of(p), { "1 false cancelled", "2 true nil" })
end

TestResults = {}

function TestResults:test_in_the_order_in_which_they_are_done()
  local p <close> = pool.new(3, function(job)
    rt.sleep(job)
    return rt.now()
  end, { results = "completed" })
  local start = rt.now()
  for _, seconds in ipairs({ 3, 1, 2 }) do p:submit(seconds) end
  p:close()
  local times = {}
  for job, ok, time in p:results() do times[#times + 1] = { job, ok, time - start, rt.now() - start } end

  lu.assertEquals(times, { { 1, true, 1.0, 1.0 }, { 2, true, 2.0, 2.0 }, { 3, true, 3.0, 3.0 } })
end

function TestResults:test_in_the_order_in_which_they_were_submitted()
  local p <close> = pool.new(3, function(job) rt.sleep(job) end, { results = "submitted" })
  local start = rt.now()
  for _, seconds in ipairs({ 3, 1, 2, 4 }) do p:submit(seconds) end
  p:close()
  local times = {}
  for job in p:results() do times[#times + 1] = { job, rt.now() - start } end

  lu.assertEquals(times, { { 3, 3.0 }, { 1, 3.0 }, { 2, 3.0 }, { 4, 5.0 } })
end

function TestResults:test_any_values_and_a_job_that_is_false()
  local p <close> = pool.new(1, function() return 1, nil, 3, nil end, { results = "completed" })
  p:submit(false)
  p:close()
  local got
  for job, ok, a, b, c, d in p:results() do got = table.pack(job, ok, a, b, c, d) end

  lu.assertEquals(got, table.pack(false, true, 1, nil, 3, nil))
end

function TestResults:test_each_goes_to_one_of_several_loops()
  local p <close> = pool.new(4, function() rt.sleep(1) end, { results = "completed" })
  local seen = {}
  local function take()
    for job in p:results() do
      seen[#seen + 1] = job
      rt.yield()
    end
  end
  local a, b = rt.spawn(take), rt.spawn(take)
  for i = 1, 20 do p:submit(i) end
  p:close()
  a:join()
  b:join()

  lu.assertEquals(#sorted(seen), 20)
  for i = 1, 20 do lu.assertEquals(seen[i], i) end
end

TestEnd = {}

local function busy_pool(log)
  return pool.new(2, function(job)
    local _ <close> = closer(log, job)
    rt.sleep(10)
  end, { queue = 10, results = "completed" })
end

function TestEnd:test_cancel_drops_what_waits_and_runs_the_closers()
  local log = {}
  local p <close> = busy_pool(log)
  for i = 1, 5 do p:submit(i) end
  rt.sleep(1)

  p:cancel()
  lu.assertEquals(timed(p.wait, p), 0.0)
  lu.assertEquals(sorted(log), { "1 cancelled", "2 cancelled" })
  lu.assertEquals({ p:submit(6) }, { nil, "closed" })
  lu.assertEquals(sorted(results_of(p)),
    { "1 false cancelled", "2 false cancelled", "3 false cancelled", "4 false cancelled", "5 false cancelled" })
end

function TestEnd:test_cancel_ends_the_loop_after_every_job_was_handed_out()
  for _, order in ipairs({ "completed", "submitted" }) do
    local p <close> = pool.new(2, function(job) rt.sleep(job) end, { queue = 10, results = order })
    for i = 1, 6 do p:submit(i) end
    rt.spawn(function()
      rt.sleep(2.5)
      p:cancel()
    end)
    local time, results = timed(results_of, p)

    lu.assertEquals(time, 2.5)
    lu.assertEquals(sorted(results), { "1 true nil", "2 true nil", "3 false cancelled", "4 false cancelled",
      "5 false cancelled", "6 false cancelled" })
  end
end

function TestEnd:test_stop_drops_what_waits_and_lets_the_others_end()
  local log = {}
  local p <close> = busy_pool(log)
  for i = 1, 4 do p:submit(i) end
  rt.sleep(1)
  p:stop()
  p:stop()

  lu.assertEquals(p:stats().waiting, 0)
  lu.assertEquals({ p:submit(5) }, { nil, "closed" })
  local time, results = timed(results_of, p)
  lu.assertEquals(time, 9.0)
  lu.assertEquals(results, { "3 false cancelled", "4 false cancelled", "1 true nil", "2 true nil" })
  lu.assertEquals(log, { "1", "2" })
end

function TestEnd:test_after_a_stop_the_results_are_still_in_order()
  local p <close> = pool.new(2, function(job)
    rt.sleep(job)
    return rt.cancelled()
  end, { queue = 10, results = "submitted", per_key = 1, key_delay = 1 })
  for i = 5, 1, -1 do p:submit(i, { key = i // 2 }) end
  rt.sleep(1)
  p:stop()

  lu.assertEquals(results_of(p),
    { "5 true false", "4 false cancelled", "3 true false", "2 false cancelled", "1 false cancelled" })
end

function TestEnd:test_a_stop_ends_submit_also_that_of_a_job()
  local p
  p = pool.new(1, function(job)
    rt.sleep(1)
    return select(2, p:submit(job + 1))
  end, { queue = 0, results = "completed" })
  local _ <close> = p
  p:submit(1)
  local blocked = rt.spawn(p.submit, p, 9)
  rt.yield()
  p:stop()

  lu.assertEquals({ blocked:join() }, { true, nil, "closed" })
  lu.assertEquals(results_of(p), { "1 true closed" })
end

function TestEnd:test_a_stop_lets_nothing_be_tried_again()
  local p <close> = pool.new(2, function(job)
    rt.sleep(job)
    error("no", 0)
  end, { results = "submitted", retries = 9, backoff = 99 })
  p:submit(1)
  p:submit(3)
  rt.sleep(2)
  p:stop()

  lu.assertEquals(timed(results_of, p), 1.0)
  lu.assertEquals({ p:stats().cancelled, p:stats().failed, p:stats().retried }, { 1, 1, 1 })
end

function TestEnd:test_a_job_that_is_cancelled_when_tried_again_has_not_failed()
  local attempt = 0
  local p <close> = pool.new(1, function()
    attempt = attempt + 1
    if attempt == 1 then error("first", 0) end
    rt.sleep(99)
  end, { results = "completed", retries = 9, backoff = 0 })
  p:submit(1)
  rt.sleep(1)
  p:cancel()

  lu.assertEquals(results_of(p), { "1 false cancelled" })
  lu.assertEquals({ p:stats().retried, p:stats().cancelled }, { 1, 1 })
end

function TestEnd:test_wait_waits_for_the_closers_of_cancelled_jobs()
  local p <close> = pool.new(1, function()
    local _ <close> = setmetatable({}, { __close = function() rt.shield(math.huge, rt.sleep, 3) end })
    rt.sleep(99)
  end)
  p:submit(1)
  rt.sleep(1)
  p:cancel()

  lu.assertEquals(timed(p.wait, p), 3.0)
end

function TestEnd:test_what_is_dropped_is_handed_out_in_the_order_of_submission()
  local p <close> = pool.new(1, rt.sleep, { queue = 100, results = "completed" })
  local expected = {}
  for i = 1, 50 do
    p:submit(i, { key = "key " .. i % 20, priority = i % 3 })
    expected[i] = i .. " false cancelled"
  end
  p:stop()

  lu.assertEquals(results_of(p), expected)
end

function TestEnd:test_stop_and_break_end_the_block_early()
  local time = timed(function()
    local p <close> = pool.new(1, function(job)
      rt.sleep(1)
      return job
    end, { results = "completed", queue = 100 })
    for i = 1, 100 do p:submit(i) end
    for job in p:results() do
      if job == 3 then
        p:stop()
        break
      end
    end
  end)

  lu.assertEquals(time, 3.0)
end

function TestEnd:test_who_takes_results_is_told_of_a_cancel_from_outside()
  local p
  rt.group(function(g)
    p = pool.new(1, rt.sleep, { results = "completed", queue = 9 })
    for i = 1, 3 do p:submit(i) end
    rt.sleep(1.5)
    g:cancel()
  end)
  local jobs = {}

  lu.assertErrorMsgContains("the pool was cancelled", function()
    for job, _, _, code in p:results() do jobs[#jobs + 1] = job .. tostring(code) end
  end)
  lu.assertEquals(sorted(jobs), { "1nil", "2cancelled", "3cancelled" })
end

function TestEnd:test_an_error_in_the_block_cancels_and_waits()
  local log = {}
  local ok, err = pcall(function()
    local p <close> = busy_pool(log)
    p:submit(1)
    rt.sleep(1)
    error("in the block", 0)
  end)

  lu.assertEquals({ ok, err }, { false, "in the block" })
  lu.assertEquals(log, { "1 cancelled" })
end

function TestEnd:test_a_cancel_of_the_block_cancels_and_waits()
  local log = {}
  local time, result, why = timed(rt.timeout, 1, function()
    local p <close> = busy_pool(log)
    p:submit(1)
    p:wait()
  end)

  lu.assertEquals({ time, result, why }, { 1.0, nil, "timeout" })
  lu.assertEquals(log, { "1 cancelled" })
end

function TestEnd:test_a_cancel_while_the_end_waits_does_too()
  local log = {}
  local time, result, why = timed(rt.timeout, 1, function()
    local p <close> = busy_pool(log)
    p:submit(1)
  end)

  lu.assertEquals({ time, result, why }, { 1.0, nil, "timeout" })
  lu.assertEquals(log, { "1 cancelled" })
end

function TestEnd:test_the_group_of_its_creator_takes_it_along()
  local log, p = {}, nil
  rt.group(function(g)
    p = busy_pool(log)
    p:submit(1)
    rt.sleep(1)
    g:cancel()
  end)

  lu.assertEquals(log, { "1 cancelled" })
  lu.assertEquals({ p:submit(2) }, { nil, "closed" })
end

function TestEnd:test_a_job_may_end_its_pool()
  local done = 0
  local p
  p = pool.new(1, function(job)
    rt.sleep(1)
    done = done + 1
    if job == 3 then p:cancel() end
    rt.sleep(1)
  end, { queue = 20 })
  local _ <close> = p
  for i = 1, 10 do p:submit(i) end
  p:wait()

  lu.assertEquals(done, 3)
end

TestMisuse = {}

function TestMisuse:test_bad_arguments_are_named_where_they_are()
  local function f() end
  local line = ".*test_pool.lua:%d+: "
  local p <close> = pool.new(1, f)
  for _, case in ipairs({
    { "bad argument #1 to 'new' %(positive integer expected%)", pool.new, 0, f },
    { "bad argument #1 to 'new'", pool.new, 1.5, f },
    { "bad argument #2 to 'new' %(function expected, got nil%)", pool.new, 1 },
    { "bad argument #3 to 'new' %(table expected, got number%)", pool.new, 1, f, 2 },
    { "unknown option 'worker'", pool.new, 1, f, { worker = 1 } },
    { "unknown option %[1%]", pool.new, 1, f, { 1 } },
    { "option 'retries': non%-negative integer or math.huge expected, got 0.5", pool.new, 1, f, { retries = 0.5 } },
    { "option 'per_key': positive integer", pool.new, 1, f, { per_key = 0 } },
    { "option 'queue': non%-negative integer or", pool.new, 1, f, { queue = -1 } },
    { "option 'backoff': non%-negative number of seconds", pool.new, 1, f, { backoff = 0 / 0 } },
    { "option 'timeout': non%-negative number of seconds", pool.new, 1, f, { timeout = -1 } },
    { "option 'retry': function expected, got 3", pool.new, 1, f, { retry = 3 } },
    { "option 'results': \"completed\" or", pool.new, 1, f, { results = "sorted" } },
    { "option 'on_error': .* got string", pool.new, 1, f, { on_error = "ignore" } },
    { "option 'on_error': errors are results", pool.new, 1, f, { on_error = "log", results = "completed" } },
    { "bad argument #1 to 'submit' %(value expected%)", p.submit, p },
    { "bad argument #2 to 'submit' %(option 'priority': number", p.submit, p, 1, { priority = "high" } },
    { "bad argument #2 to 'submit' %(option 'key': value other than NaN", p.submit, p, 1, { key = 0 / 0 } },
    { "this pool keeps no results", p.results, p },
  }) do
    local call = table.pack(table.unpack(case, 2, 5))
    local ok, err = pcall(function() local _ = call[1](table.unpack(call, 2)) end)
    lu.assertFalse(ok)
    lu.assertStrMatches(err, line .. ".*" .. case[1] .. ".*")
  end
end

function TestMisuse:test_a_job_cannot_wait_for_its_own_pool()
  local p
  p = pool.new(1, function() p:wait() end, { results = "completed" })
  local _ <close> = p
  p:submit(1)
  p:close()

  lu.assertStrContains(results_of(p)[1], "a job cannot wait for its own pool")
end

harness.run()
