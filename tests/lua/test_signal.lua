-- Signals, sent by a child of this process. What INT and TERM do without a
-- subscription is tested in tests/cli.
local rt = require("asyncrt")
local harness = require("harness")
local lu = require("luaunit")

local function kill(name)
  assert(io.popen("kill -" .. name .. " $PPID"):close())
end

-- Lets the loop take the signals that were sent.
local function settle() rt.sleep(0.01) end

TestSignal = {}

function TestSignal:test_a_waiting_task_gets_the_name()
  local usr1 <close> = rt.signal("USR1")
  local t = rt.spawn(usr1.wait, usr1)
  rt.yield()
  kill("USR1")

  lu.assertEquals({ t:join() }, { true, "USR1" })
end

function TestSignal:test_one_that_came_before_is_there_at_once()
  local usr1 <close> = rt.signal("SIGUSR1")
  kill("USR1")
  settle()

  lu.assertEquals({ rt.poll({ usr1 = usr1 }) }, { "usr1", "USR1" })
end

function TestSignal:test_several_that_came_before_are_one()
  local usr1 <close> = rt.signal("USR1")
  for _ = 1, 3 do
    kill("USR1")
    settle()
  end

  lu.assertEquals(usr1:wait(), "USR1")
  lu.assertNil(rt.poll({ usr1 }))
end

function TestSignal:test_every_subscription_gets_it()
  local one <close> = rt.signal("USR1")
  local two <close> = rt.signal("USR1")
  kill("USR1")

  lu.assertEquals(rt.select({ one = one, t = 5 }), "one")
  lu.assertEquals(rt.select({ two = two, t = 5 }), "two")
end

function TestSignal:test_it_wakes_one_task_of_a_subscription_in_order()
  local usr1 <close> = rt.signal("USR1")
  local first = rt.spawn(usr1.wait, usr1)
  local second = rt.spawn(usr1.wait, usr1)
  rt.yield()
  kill("USR1")
  first:join()
  settle()
  lu.assertEquals(second:status(), "waiting")
  kill("USR1")

  lu.assertEquals({ second:join() }, { true, "USR1" })
end

function TestSignal:test_a_cancelled_waiter_leaves_the_signal()
  local usr1 <close> = rt.signal("USR1")
  local t = rt.spawn(usr1.wait, usr1)
  rt.yield()
  t:cancel()
  kill("USR1")
  t:join()

  lu.assertEquals(rt.select({ usr1 = usr1:wait_evt(), t = 5 }), "usr1")
end

function TestSignal:test_an_arm_that_loses_leaves_the_signal()
  local usr1 <close> = rt.signal("USR1")
  local ready = rt.event()
  ready:set()
  kill("USR1")
  settle()
  while rt.select({ usr1 = usr1, ready = ready }) == "usr1" do
    kill("USR1")
    settle()
  end

  lu.assertEquals(rt.poll({ usr1 = usr1 }), "usr1")
end

function TestSignal:test_signals_are_told_apart()
  local usr1 <close> = rt.signal("USR1")
  local usr2 <close> = rt.signal("USR2")
  kill("USR2")

  lu.assertEquals({ rt.select({ a = usr1, b = usr2, t = 5 }) }, { "b", "USR2" })
end

function TestSignal:test_a_number_is_a_signal()
  local winch <close> = rt.signal(28)
  kill("WINCH")

  lu.assertEquals(winch:wait(), "WINCH")
end

function TestSignal:test_iter_ends_when_it_is_closed()
  local usr1 = rt.signal("USR1")
  local got = {}
  local t = rt.spawn(function()
    for name in usr1:iter() do got[#got + 1] = name end
    return "ended"
  end)
  rt.yield()
  kill("USR1")
  settle()
  usr1:close()

  lu.assertEquals({ t:join() }, { true, "ended" })
  lu.assertEquals(got, { "USR1" })
end

function TestSignal:test_a_closed_one_says_so()
  local usr1 = rt.signal("USR1")
  local keep <close> = rt.signal("USR1")
  kill("USR1")
  settle()
  usr1:close()
  usr1:close()

  lu.assertEquals({ usr1:wait() }, { nil, "closed", "ECLOSED" })
  lu.assertEquals({ rt.poll({ s = usr1 }) }, { "s", nil, "closed", "ECLOSED" })
  lu.assertEquals(keep:wait(), "USR1")
end

function TestSignal:test_one_that_is_forgotten_is_closed()
  settle() -- until those of other tests are closed
  local before = rt.stats().handles
  local usr1 = rt.signal("USR1")
  lu.assertEquals(rt.stats().handles, before + 1)
  lu.assertNotNil(usr1)
  usr1 = nil -- luacheck: ignore 311
  collectgarbage()
  collectgarbage()
  settle()

  lu.assertEquals(rt.stats().handles, before)
end

function TestSignal:test_a_task_that_waits_for_one_is_no_deadlock()
  local usr1 <close> = rt.signal("USR1")
  io.popen("sleep 0.05; kill -USR1 $PPID &")

  lu.assertEquals(usr1:wait(), "USR1")
end

function TestSignal:test_misuse_is_named()
  lu.assertErrorMsgContains("unknown signal 'NONE'", rt.signal, "NONE")
  lu.assertErrorMsgContains("cannot be caught", rt.signal, "KILL")
  lu.assertErrorMsgContains("cannot be caught", rt.signal, "SIGSTOP")
  lu.assertErrorMsgContains("tells of a crash", rt.signal, "SEGV")
  lu.assertErrorMsgContains("integer from 1 to", rt.signal, 0)
  lu.assertErrorMsgContains("string expected", rt.signal)
  local usr1 <close> = rt.signal("USR1")
  lu.assertErrorMsgContains("asyncrt.signal expected", usr1.wait, {})
end

function TestSignal:test_a_failure_of_the_system_is_returned()
  local signal, message, code = rt.signal(33) -- kept by the C library

  lu.assertNil(signal)
  lu.assertStrContains(message, "signal")
  lu.assertEquals(code, "EINVAL")
end

harness.run()
