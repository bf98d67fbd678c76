-- asyncrt: --virtual-time --seed=1
local rt = require("asyncrt")
local harness = require("harness")
local lu = require("luaunit")

TestWatch = {}

function TestWatch:test_get_returns_the_value_and_its_version()
  local watch = rt.watch("a")

  lu.assertEquals({ watch:get() }, { "a", 0 })
  watch:set("b")
  lu.assertEquals({ watch:get() }, { "b", 1 })
  lu.assertEquals(watch:version(), 1)
end

function TestWatch:test_any_value_can_be_set()
  local watch = rt.watch()

  lu.assertEquals({ watch:get() }, { nil, 0 })
  watch:set(false)
  lu.assertEquals({ watch:get() }, { false, 1 })
  watch:set(nil)
  lu.assertEquals({ watch:get() }, { nil, 2 })
end

function TestWatch:test_an_unseen_change_is_ready_at_once()
  local watch = rt.watch(1)
  local _, seen = watch:get()
  watch:set(2)

  lu.assertEquals({ watch:changed(seen) }, { 2, 1 })
  lu.assertEquals({ rt.poll({ c = watch:changed_evt(seen) }) }, { "c", 2, 1 })
  lu.assertNil(rt.poll({ watch:changed_evt(1) }))
end

function TestWatch:test_changes_that_come_together_are_one()
  local watch = rt.watch(0)
  local seen = {}
  local t = rt.spawn(function()
    local value, version = watch:get()
    while value ~= "end" do
      value, version = watch:changed(version)
      seen[#seen + 1] = value
    end
  end)
  rt.yield()
  for i = 1, 3 do watch:set(i) end
  rt.yield()
  watch:set(4)
  rt.yield()
  watch:set("end")
  t:join()

  lu.assertEquals(seen, { 3, 4, "end" })
end

function TestWatch:test_all_who_wait_are_woken_in_order()
  local watch = rt.watch(0)
  local order = {}
  rt.group(function(g)
    for i = 1, 3 do
      g:spawn(function()
        lu.assertEquals({ watch:changed() }, { "new", 1 })
        order[#order + 1] = i
      end)
    end
    rt.yield()
    watch:set("new")
  end)

  lu.assertEquals(order, { 1, 2, 3 })
end

function TestWatch:test_without_a_version_only_later_changes_count()
  local watch = rt.watch(0)
  watch:set(1)

  lu.assertEquals({ rt.timeout(1, watch.changed, watch) }, { nil, "timeout" })
end

function TestWatch:test_an_event_without_a_version_counts_from_each_sync()
  local watch = rt.watch(0)
  local changed = watch:changed_evt()
  watch:set(1)
  lu.assertNil(rt.poll({ changed }))
  rt.spawn(function() watch:set(2) end)

  lu.assertEquals({ rt.sync(changed) }, { 2, 2 })
  lu.assertEquals({ rt.sync_timeout(1, changed) }, { nil, "timeout" })
end

function TestWatch:test_setting_the_same_value_is_a_change()
  local watch = rt.watch("x")
  watch:set("x")

  lu.assertEquals({ watch:changed(0) }, { "x", 1 })
end

function TestWatch:test_a_cancelled_waiter_leaves_the_others()
  local watch = rt.watch(0)
  local first = rt.spawn(watch.changed, watch)
  local second = rt.spawn(watch.changed, watch)
  rt.yield()
  first:cancel()
  watch:set(1)

  lu.assertEquals({ second:join() }, { true, 1, 1 })
  lu.assertEquals({ first:join() }, { false, "cancelled" })
end

function TestWatch:test_a_losing_arm_is_gone()
  local watch = rt.watch(0)
  lu.assertEquals(rt.select({ c = watch:changed_evt(), t = 1 }), "t")
  watch:set(1)

  lu.assertEquals({ watch:get() }, { 1, 1 })
end

function TestWatch:test_misuse_is_named()
  local watch = rt.watch(0)

  lu.assertErrorMsgContains("value expected", watch.set, watch)
  lu.assertErrorMsgContains("from 0 to 0", watch.changed, watch, 1)
  lu.assertErrorMsgContains("number expected", watch.changed_evt, watch, "x")
  lu.assertErrorMsgContains("asyncrt.watch expected", watch.get, 1)
  lu.assertErrorMsgContains("no event", rt.select, { watch })
end

harness.run()
