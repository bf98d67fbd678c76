-- asyncrt: --virtual-time --seed=1
-- Errors on their way through tasks: the value stays the same, the traceback is
-- kept beside it, and nothing of either is left behind.
local rt = require("asyncrt")
local harness = require("harness")
local lu = require("luaunit")

local function closer(f)
  return setmetatable({}, { __close = f })
end

local objects = {
  text = "an error", number = 42, float = 1.5, yes = true, no = false, table = {}, f = print,
  thread = coroutine.create(print), userdata = io.stdout,
  tostring = setmetatable({}, { __tostring = function() return "made" end }),
  throwing = setmetatable({}, { __tostring = function() error("thrown") end }),
  strange = setmetatable({}, { __tostring = function() return 1 end }),
  named = setmetatable({}, { __name = "Named" }),
  locked = setmetatable({}, { __metatable = false }),
  control = "\27]0;title\7\0\n\r",
}

-- Each lets `raise` raise across some border and returns what arrives.
local borders = {
  pcall = function(raise) return pcall(raise) end,
  generator = function(raise) return coroutine.resume(coroutine.create(raise)) end,
  waiting_generator = function(raise)
    return coroutine.resume(coroutine.create(function()
      rt.yield()
      raise()
    end))
  end,
  join = function(raise)
    local ok, err
    rt.group({ on_error = "collect" }, function(g) ok, err = g:spawn(raise):join() end)
    return ok, err
  end,
  await = function(raise)
    return rt.group({ on_error = "collect" }, function(g)
      local task = g:spawn(raise)
      return pcall(task.await, task)
    end)
  end,
  event = function(raise)
    return rt.group({ on_error = "collect" }, function(g)
      return select(2, rt.select({ g:spawn(raise) }))
    end)
  end,
  group = function(raise) return pcall(rt.group, function(g) g:spawn(raise) end) end,
  group_block = function(raise)
    return pcall(function()
      local g <close> = rt.group()
      g:spawn(raise)
    end)
  end,
  group_body = function(raise) return pcall(rt.group, raise) end,
  nested_groups = function(raise)
    return pcall(rt.group, function(g)
      g:spawn(rt.group, function(inner)
        inner:spawn(rt.group, function(innermost) innermost:spawn(raise) end)
      end)
    end)
  end,
  implicit_group = function(raise)
    return rt.group({ on_error = "collect" }, function(g)
      return g:spawn(function()
        rt.spawn(rt.spawn, raise)
        rt.sleep(9)
      end):join()
    end)
  end,
  handler = function(raise)
    local seen = table.pack()
    rt.group({ on_error = function(err) seen = table.pack(false, err) end }, function(g) g:spawn(raise) end)
    return table.unpack(seen, 1, 2)
  end,
  timeout = function(raise) return pcall(rt.timeout, 5, raise) end,
  shield = function(raise) return pcall(rt.shield, 5, raise) end,
  deadline = function(raise)
    return pcall(function()
      local _ <close> = rt.deadline(5)
      raise()
    end)
  end,
  guard = function(raise) return pcall(rt.sync, rt.guard(raise)) end,
  wrap = function(raise) return pcall(rt.sync, rt.always():wrap(raise)) end,
  pcall_all = function(raise) return rt.pcall_all(raise) end,
  closer = function(raise)
    return pcall(function()
      local _ <close> = closer(function()
        rt.yield()
        raise()
      end)
    end)
  end,
  replaced = function(raise)
    return pcall(function()
      local _ <close> = closer(raise)
      error("replaced")
    end)
  end,
}

TestBorders = {}

for name, cross in pairs(borders) do
  TestBorders["test_every_error_object_crosses_" .. name] = function()
    for kind, object in pairs(objects) do
      for _, wait in ipairs({ function() end, rt.yield, function() rt.sleep(1) end }) do
        local ok, err = cross(function()
          wait()
          error(object, 0)
        end)
        lu.assertEquals(ok, false, kind)
        lu.assertTrue(rawequal(err, object), kind)
      end
    end
    local results = table.pack(cross(function() error() end))
    lu.assertEquals(results[1], false)
    lu.assertNil(results[2])
  end
end

TestTraces = {}

function TestTraces:test_the_trace_names_the_line_that_failed()
  rt.group({ on_error = "collect" }, function(g)
    local line
    local task = g:spawn(function()
      rt.yield()
      line = debug.getinfo(1, "l").currentline + 1
      error("here")
    end)
    task:join()
    lu.assertStrContains(task:where(), "test_errors.lua:" .. line .. ":")
  end)
end

function TestTraces:test_an_error_that_was_caught_leaves_no_trace()
  rt.group({ on_error = "collect" }, function(g)
    local task = g:spawn(function()
      local function old() error("old") end
      pcall(coroutine.wrap(old))
      rt.pcall_all(rt.group, function(inner) inner:spawn(old) end)
      rt.yield()
      local function new() error("new") end
      new()
    end)
    task:join()
    lu.assertStrContains(task:where(), "new")
    lu.assertNotStrContains(task:where(), "old")
    lu.assertNotStrContains(task:where(), "resumed by")
  end)
end

function TestTraces:test_an_awaited_error_shows_both_tasks()
  rt.group({ on_error = "collect" }, function(g)
    local function inner_body() error("inner") end
    local inner = g:spawn(inner_body)
    local function outer_body() inner:await() end
    local outer = g:spawn(outer_body)
    outer:join()
    local where = outer:where()
    lu.assertStrContains(where, "awaited by:")
    local first, second = where:match("test_errors%.lua:(%d+):.*awaited by:.*test_errors%.lua:(%d+):")
    lu.assertTrue(tonumber(first) < tonumber(second), where)
  end)
end

function TestTraces:test_a_trace_does_not_grow_from_one_catch_to_the_next()
  rt.group({ on_error = "collect" }, function(g)
    local task = g:spawn(function()
      for _ = 1, 200 do
        pcall(coroutine.wrap(function()
          rt.yield()
          error("again")
        end))
      end
      error("last")
    end)
    task:join()
    lu.assertTrue(#task:where() < 600, #task:where())
  end)
end

TestMany = {}

function TestMany:test_a_hundred_thousand_failures_leave_nothing_behind()
  local failures = 0
  local function round(n)
    rt.group({ on_error = function() failures = failures + 1 end, limit = 100 }, function(g)
      for i = 1, n do
        local object = objects[i % 2 == 0 and "text" or "table"]
        g:spawn(function()
          if i % 3 == 0 then rt.yield() end
          error(object)
        end)
      end
    end)
  end
  local n = harness.rounds(20000)
  round(n)
  collectgarbage()
  collectgarbage()
  local before = collectgarbage("count")
  for _ = 1, 4 do round(n) end
  collectgarbage()
  collectgarbage()

  lu.assertEquals(failures, 5 * n)
  lu.assertTrue(collectgarbage("count") - before < 100, collectgarbage("count") - before)
end

function TestMany:test_errors_of_generators_leave_nothing_behind()
  local function round(n)
    for _ = 1, n do
      pcall(coroutine.wrap(function()
        rt.yield()
        error("again")
      end))
      coroutine.resume(coroutine.create(error))
      pcall(rt.timeout, 1, error)
      pcall(rt.sync, rt.guard(error))
    end
  end
  round(harness.rounds(500))
  collectgarbage()
  collectgarbage()
  local before = collectgarbage("count")
  round(harness.rounds(3000))
  collectgarbage()
  collectgarbage()
  lu.assertTrue(collectgarbage("count") - before < 50, collectgarbage("count") - before)
end

harness.run()
