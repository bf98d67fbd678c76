-- asyncrt: --virtual-time --seed=1
-- Values that belong to a task and what it spawns: with and get.
local rt = require("asyncrt")
local harness = require("harness")
local lu = require("luaunit")

TestWith = {}

function TestWith:test_a_value_is_seen_inside_and_nowhere_else()
  lu.assertNil(rt.get("id"))
  rt.with("id", 1, function() lu.assertEquals(rt.get("id"), 1) end)
  lu.assertNil(rt.get("id"))
end

function TestWith:test_it_returns_what_the_function_returns()
  lu.assertEquals({ rt.with("id", 1, function(...)
    rt.sleep(1)
    return rt.get("id"), ...
  end, "a", nil, "c") }, { 1, "a", nil, "c" })
  lu.assertEquals(select("#", rt.with("id", 1, function() end)), 0)
end

function TestWith:test_the_innermost_one_counts()
  rt.with("id", 1, function()
    rt.with("other", "x", function()
      rt.with("id", 2, function()
        lu.assertEquals({ rt.get("id"), rt.get("other") }, { 2, "x" })
      end)
      lu.assertEquals(rt.get("id"), 1)
    end)
    lu.assertNil(rt.get("other"))
  end)
end

function TestWith:test_nil_hides_an_outer_value()
  rt.with("id", 1, function()
    rt.with("id", nil, function() lu.assertNil(rt.get("id")) end)
    lu.assertEquals(rt.get("id"), 1)
  end)
end

function TestWith:test_any_value_is_a_key()
  local key = {}
  rt.with(key, "table", function()
    rt.with(1.0, "number", function()
      lu.assertEquals({ rt.get(key), rt.get(1), rt.get({}) },
        { "table", "number" })
    end)
  end)
end

function TestWith:test_a_task_keeps_the_values_of_its_spawn()
  local seen = {}
  local function look() seen[#seen + 1] = rt.get("id") or "none" end
  local t, u
  rt.with("id", 1, function()
    t = rt.spawn(function()
      rt.sleep(2)
      look()
      rt.spawn(look):join()
    end)
    rt.with("id", 2, function()
      u = rt.spawn(look)
      rt.sleep(1)
    end)
  end)
  rt.spawn(look):join()
  t:join()
  u:join()

  lu.assertEquals(seen, { 2, "none", 1, 1 })
end

function TestWith:test_a_value_set_in_a_task_stays_in_it()
  rt.with("id", 1, function()
    local t = rt.spawn(rt.with, "id", 2, rt.sleep, 2)
    rt.sleep(1)
    lu.assertEquals(rt.get("id"), 1)
    t:join()
  end)
end

function TestWith:test_an_error_restores_and_passes()
  local err = {}
  rt.with("id", 1, function()
    local ok, raised = pcall(rt.with, "id", 2, function()
      rt.sleep(1)
      error(err)
    end)
    lu.assertFalse(ok)
    lu.assertIs(raised, err)
    lu.assertEquals(rt.get("id"), 1)
  end)
end

function TestWith:test_a_cancel_restores_and_passes()
  rt.with("id", 1, function()
    lu.assertEquals({ rt.timeout(1, rt.with, "id", 2, rt.sleep, 9) },
      { nil, "timeout" })
    lu.assertEquals(rt.get("id"), 1)
  end)
end

function TestWith:test_a_closer_inside_still_sees_the_value()
  local seen
  rt.timeout(1, rt.with, "id", 2, function()
    local _ <close> = setmetatable({}, {
      __close = function() seen = rt.get("id") end,
    })
    rt.sleep(9)
  end)

  lu.assertEquals(seen, 2)
end

function TestWith:test_a_coroutine_sees_the_values_of_its_task()
  rt.with("id", 1, function()
    local co = coroutine.wrap(function()
      coroutine.yield(rt.get("id"))
      return rt.with("id", 3, function()
        rt.sleep(1)
        return rt.get("id")
      end)
    end)
    lu.assertEquals({ co(), co(), rt.get("id") }, { 1, 3, 1 })
  end)
end

function TestWith:test_a_coroutine_cannot_yield_out_of_it()
  local co = coroutine.create(function()
    rt.with("id", 1, function() coroutine.yield("leaked") end)
  end)
  local ok, err = coroutine.resume(co)

  lu.assertFalse(ok)
  lu.assertStrContains(err, "cannot yield out of rt.with")
  lu.assertNil(rt.get("id"))

  -- One that yields beside it can.
  co = coroutine.wrap(function()
    rt.with("id", 1, function() end)
    coroutine.yield("fine")
  end)
  lu.assertEquals(co(), "fine")
end

function TestWith:test_it_says_where_its_function_failed()
  local t
  do
    local g <close> = rt.group({ on_error = "collect" })
    t = g:spawn(rt.with, "id", 1, function() error("inside") end)
  end

  lu.assertStrContains(t:where(), "test_bindings.lua")
end

function TestWith:test_misuse_is_named()
  lu.assertErrorMsgContains("a key cannot be nil", rt.with, nil, 1, print)
  lu.assertErrorMsgContains("function expected", rt.with, "id", 1)
  lu.assertErrorMsgContains("value expected", rt.get)
end

harness.run()
