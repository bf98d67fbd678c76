-- asyncrt: --watch-ms=0
-- Code that runs for long without waiting: reported, and interrupted. It runs
-- in children, since what is reported goes to stderr.
local harness = require("harness")
local lu = require("luaunit")

-- The program that runs this file.
local function program()
  local i = 0
  while arg[i - 1] do i = i - 1 end
  return arg[i]
end

-- Runs `script` with `options`; returns stdout and stderr as they came.
local function run(options, script)
  local path = os.tmpname()
  local file <close> = assert(io.open(path, "w"))
  file:write([[
    local rt = require("asyncrt")
    io.stdout:setvbuf("no")
    -- Computes until `seconds` have passed.
    local function crunch(seconds)
      local finish, n = os.clock() + seconds, 0
      while os.clock() < finish do n = n + 1 end
      return n
    end
  ]], script)
  file:close()
  local pipe <close> = io.popen(("'%s' %s %s 2>&1"):format(program(), options,
    path))
  local output = pipe:read("a")
  os.remove(path)
  return (output:gsub(path:gsub("%p", "%%%0"), "script"))
end

local function count(text, pattern)
  return select(2, text:gsub(pattern, ""))
end

TestWatch = {}

function TestWatch:test_a_blocked_loop_is_reported_while_it_is_blocked()
  local output = run("--watch-ms=50", [[
    crunch(0.5)
    print("end")
  ]])

  lu.assertStrMatches(output, "asyncrt: the loop is blocked: main has run for " ..
    "%d+%.%d s without waiting\nstack traceback:\n.*\nend\n")
  lu.assertStrContains(output, "in local 'crunch'")
end

function TestWatch:test_the_report_names_the_task_and_its_coroutines()
  local output = run("--watch-ms=50", [[
    local g <close> = rt.group()
    g:spawn_with({ name = "busy" }, function()
      local generate = coroutine.wrap(function() crunch(0.4) end)
      generate()
    end)
  ]])

  lu.assertStrMatches(output, '.*t1 "busy" has run for.*resumed by:.*' ..
    "in local 'generate'.*")
end

function TestWatch:test_a_step_is_reported_once()
  local output = run("--watch-ms=50", [[
    crunch(0.6)
    rt.yield()
    crunch(0.3)
  ]])

  lu.assertEquals(count(output, "the loop is blocked"), 2)
end

function TestWatch:test_short_steps_and_waits_are_not_reported()
  lu.assertEquals(run("--watch-ms=1000", [[
    for _ = 1, 30 do
      crunch(0.04)
      rt.yield()
    end
    rt.sleep(1.3)
  ]]), "")
end

function TestWatch:test_it_can_be_turned_off()
  lu.assertEquals(run("--watch-ms=0", "crunch(0.3)"), "")
end

function TestWatch:test_a_function_in_c_is_reported_once_it_returns()
  local output = run("--watch-ms=50", [[
    os.execute("sleep 0.3")
    print("end")
  ]])

  lu.assertStrContains(output, "the loop is blocked")
end

function TestWatch:test_a_hook_of_the_script_stays()
  local output = run("--watch-ms=50", [[
    local calls, lines = 0, {}
    debug.sethook(function() calls = calls + 1 end, "", 1000)
    crunch(0.4)
    local before = calls
    crunch(0.1)
    print(debug.gethook() ~= nil, before > 10, calls > before)
  ]])

  lu.assertStrContains(output, "the loop is blocked")
  lu.assertStrContains(output, "true\ttrue\ttrue\n")
end

function TestWatch:test_the_signal_is_none_of_the_scripts()
  lu.assertEquals(run("--watch-ms=50", [[
    local calls = 0
    local usr1 <close> = rt.signal("USR1")
    for n = 34, 64 do
      local ok, signal = pcall(rt.signal, n)
      if ok then signal:close() else calls = calls + 1 end
    end
    print(calls)
  ]]), "1\n")
end

TestPreempt = {}

function TestPreempt:test_other_tasks_run_meanwhile()
  local output = run("--watch-ms=0 --preempt-ms=10", [[
    local done, ticks = false, 0
    rt.spawn(function()
      crunch(0.5)
      done = true
    end)
    while not done do
      ticks = ticks + 1
      rt.sleep(0)
    end
    print(ticks > 5)
  ]])

  lu.assertEquals(output, "true\n")
end

function TestPreempt:test_without_it_they_do_not()
  local output = run("--watch-ms=0", [[
    local done, ticks = false, 0
    rt.spawn(function()
      crunch(0.3)
      done = true
    end)
    while not done do
      ticks = ticks + 1
      rt.sleep(0)
    end
    print(ticks)
  ]])

  lu.assertEquals(output, "1\n")
end

function TestPreempt:test_what_is_computed_does_not_change()
  local output = run("--watch-ms=0 --preempt-ms=10", [[
    local function sum(n)
      local x = 0
      for i = 1, n do x = (x * 31 + i) % 1000003 end
      return x
    end
    local function three() return 1, 2, 3 end
    local function many(n)
      local x = 0
      for i = 1, n do
        local t = { three(), three() } -- open results on the stack
        x = x + #t + select("#", i, three())
      end
      return x
    end
    local function generated(n)
      local x = 0
      local next_ = coroutine.wrap(function()
        for i = 1, n do coroutine.yield(i) end
      end)
      for i in next_ do x = x + i end
      return x
    end
    local expected = { sum(1e6), many(3e5), generated(2e5) }
    local g <close> = rt.group()
    for _ = 1, 4 do
      g:spawn(function()
        for _ = 1, 3 do
          assert(sum(1e6) == expected[1])
          assert(many(3e5) == expected[2])
          assert(generated(2e5) == expected[3])
          assert(pcall(sum, 1e6))
        end
        print("right")
      end)
    end
  ]])

  lu.assertEquals(output, ("right\n"):rep(4))
end

function TestPreempt:test_a_place_that_cannot_yield_is_left_alone()
  local output = run("--watch-ms=0 --preempt-ms=10", [[
    local done
    local ran = false
    rt.spawn(function() ran = true end)
    table.sort({ 2, 1 }, function(a, b)
      if not done then crunch(0.2) end
      done = true
      return a < b
    end)
    print(ran)
    crunch(0.2)
    print(ran)
  ]])

  lu.assertEquals(output, "false\ntrue\n")
end

function TestPreempt:test_an_interrupted_task_can_be_cancelled()
  local output = run("--watch-ms=0 --preempt-ms=10", [[
    local closed
    local t = rt.spawn(function()
      local _ <close> = setmetatable({}, {
        __close = function() closed = true end,
      })
      while true do
        crunch(0.05)
        rt.poll({}) -- no cancellation point
        if rt.cancelled() then rt.sleep(1) end
      end
    end)
    rt.sleep(0.1)
    t:cancel()
    print(t:join())
    print(closed)
  ]])

  lu.assertEquals(output, "false\tcancelled\ntrue\n")
end

function TestPreempt:test_a_step_that_is_interrupted_is_no_blocked_loop()
  lu.assertEquals(run("--watch-ms=1000 --preempt-ms=20", "crunch(1.3)"), "")
end

harness.run()
