-- asyncrt: --virtual-time --seed=1
local rt = require("asyncrt")
local harness = require("harness")
local lu = require("luaunit")

TestEvent = {}

function TestEvent:test_wait_returns_the_values_it_was_set_with()
  for _, values in ipairs({ {}, { 1 }, { false }, { "a", "b" }, { {}, print, 3 } }) do
    local e = rt.event()
    local task = rt.spawn(function() return select("#", e:wait()), e:wait() end)
    rt.yield()
    lu.assertTrue(e:set(table.unpack(values)))
    lu.assertEquals({ task:await() }, { #values, table.unpack(values) })
    lu.assertEquals({ e:wait() }, values)
  end
end

function TestEvent:test_nil_values_keep_their_places()
  local e = rt.event()
  e:set(nil, nil, 3, nil)
  local values = table.pack(e:wait())
  lu.assertEquals(values.n, 4)
  lu.assertEquals(values[3], 3)

  e = rt.event()
  e:set(nil)
  lu.assertEquals(select("#", e:wait()), 1)
end

function TestEvent:test_only_the_first_set_counts()
  local e = rt.event()
  lu.assertFalse(e:is_set())
  lu.assertEquals({ e:set("first"), e:set("second"), e:set() }, { true, false, false })
  lu.assertTrue(e:is_set())
  lu.assertEquals(e:wait(), "first")
end

function TestEvent:test_set_wakes_all_in_the_order_of_their_waits()
  local e, log = rt.event(), {}
  for i = 1, 5 do
    rt.spawn(function()
      if i % 2 == 0 then rt.select({ rt.never, e }) else e:wait() end
      log[#log + 1] = i
    end)
  end
  rt.yield()
  e:set()
  rt.yield()

  lu.assertEquals(log, { 1, 2, 3, 4, 5 })
end

function TestEvent:test_it_stays_true_for_those_who_come_later()
  local e = rt.event()
  e:set("v")
  lu.assertEquals({ rt.select({ e = e }) }, { "e", "v" })
  lu.assertEquals({ rt.poll({ e = e }) }, { "e", "v" })
  lu.assertEquals(rt.sync_timeout(0, e), "v")
  lu.assertEquals({ rt.select({ e, 0 }) }, { 1, "v" })
end

function TestEvent:test_a_waiter_may_give_up()
  local e = rt.event()
  lu.assertEquals({ rt.timeout(1, e.wait, e) }, { nil, "timeout" })
  lu.assertEquals({ rt.sync_timeout(1, e) }, { nil, "timeout" })
  local task = rt.spawn(e.wait, e)
  rt.yield()
  task:cancel()
  lu.assertTrue(e:set())
  lu.assertEquals({ task:join() }, { false, "cancelled" })
end

function TestEvent:test_set_before_a_cancel_delivers()
  local e, got = rt.event(), nil
  local task = rt.spawn(function() got = e:wait() end)
  rt.yield()
  e:set("v")
  task:cancel()
  task:join()

  lu.assertEquals(got, "v")
end

function TestEvent:test_set_inside_a_finalizer_and_where_lua_cannot_yield()
  local e = rt.event()
  setmetatable({}, { __gc = function() e:set("gc") end })
  collectgarbage()
  collectgarbage()
  lu.assertEquals(e:wait(), "gc")

  e = rt.event()
  table.sort({ 2, 1 }, function(a, b)
    e:set("sort")
    return a < b
  end)
  lu.assertEquals(e:wait(), "sort")
end

function TestEvent:test_many_waiters()
  local e, woken = rt.event(), 0
  for _ = 1, 2000 do
    rt.spawn(function()
      e:wait()
      woken = woken + 1
    end)
  end
  rt.yield()
  e:set()
  rt.yield()

  lu.assertEquals(woken, 2000)
end

function TestEvent:test_tostring()
  local e = rt.event()
  lu.assertStrMatches(tostring(e), "event 0x%x+ %(not set%)")
  e:set()
  lu.assertStrMatches(tostring(e), "event 0x%x+ %(set%)")
end

function TestEvent:test_a_name_is_for_reports_and_leaves_the_values_alone()
  local e = rt.event("ready")
  local waiter = rt.spawn(e.wait, e)
  rt.yield()
  lu.assertStrContains(rt.dump(), ' waits for event "ready" ')
  e:set("a", nil, "c")

  lu.assertEquals(table.pack(waiter:await()), table.pack("a", nil, "c"))
  lu.assertEquals(tostring(e), 'event "ready" (set)')
  lu.assertErrorMsgContains("bad argument #1 to 'event' (string expected, got number)", function() rt.event(1) end)
end

TestNack = {}

function TestNack:test_a_nack_cannot_be_set_by_its_receiver()
  local nack
  rt.sync_timeout(0, rt.with_nack(function(n)
    nack = n
    lu.assertFalse(n:is_set())
    lu.assertErrorMsgContains("a nack cannot be set", n.set, n)
    return rt.never
  end))

  lu.assertTrue(nack:is_set())
  nack:wait()
  lu.assertErrorMsgContains("a nack cannot be set", nack.set, nack)
end

harness.run()
