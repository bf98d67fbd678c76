-- asyncrt: --virtual-time --seed=1
-- Every function of the library and every method of what it makes, with values
-- that they may not be made for: each call ends, in a result or in one error
-- that names the caller's line, and the runtime goes on.
--
-- The calls are generated, so that a new function is tested without being named
-- here.
local rt = require("asyncrt")
local harness = require("harness")
local lu = require("luaunit")

-- Not called: it ends the run.
local EXCLUDED = { exit = true }

-- Stands for the task that makes the call.
local CURRENT = {}

local function ended(f)
  local task
  rt.group({ on_error = "collect" }, function(g)
    task = g:spawn(f)
    task:join()
  end)
  return task
end

local values = {
  ["nil"] = function() return nil end,
  ["true"] = function() return true end,
  ["false"] = function() return false end,
  ["-1"] = function() return -1 end,
  ["0"] = function() return 0 end,
  ["1.5"] = function() return 1.5 end,
  ["NaN"] = function() return 0 / 0 end,
  ["inf"] = function() return math.huge end,
  ["-inf"] = function() return -math.huge end,
  ["2^53"] = function() return 2 ^ 53 end,
  ["2^31"] = function() return 1 << 31 end,
  ["maxinteger"] = function() return math.maxinteger end,
  ["mininteger"] = function() return math.mininteger end,
  ["'8080'"] = function() return "8080" end,
  ["''"] = function() return "" end,
  ["text with NUL"] = function() return "a\0b" end,
  ["{}"] = function() return {} end,
  ["{1}"] = function() return { 1 } end,
  ["strange table"] = function()
    return setmetatable({}, { __index = error, __newindex = error, __len = error, __call = function() end,
      __name = "strange", __tostring = error, __metatable = 1 })
  end,
  ["function"] = function() return function() end end,
  ["thread"] = function() return coroutine.create(print) end,
  ["file"] = function() return io.stdout end,
  ["open channel"] = function() return rt.channel() end,
  ["closed channel"] = function()
    local ch = rt.channel()
    ch:close()
    return ch
  end,
  ["set event"] = function()
    local e = rt.event()
    e:set(1)
    return e
  end,
  ["ended task"] = function() return ended(function() end) end,
  ["failed task"] = function() return ended(error) end,
  ["calling task"] = function() return CURRENT end,
  ["closed group"] = function()
    local kept
    rt.group(function(g) kept = g end)
    return kept
  end,
  ["never"] = function() return rt.never end,
  ["choice"] = function() return rt.choose(rt.never) end,
}

local function names_of(set)
  local names = {}
  for name in pairs(set) do names[#names + 1] = name end
  table.sort(names, function(a, b) return tostring(a) < tostring(b) end)
  return names
end

local value_names = names_of(values)

-- Errors that carry no line, because there is none that is to blame alone.
local function is_exempt(err)
  return err:find("must return an event", 1, true) -- a guard, found out in a sync
    or err:find("^asyncrt/event%.lua:%d+: a task cannot join itself$")
end

local problems

local function complain(...)
  problems[#problems + 1] = string.format(...)
end

-- Runs one call in a task of its own, for at most so long.
local function try(label, call, ...)
  local arguments = table.pack(...)
  local results
  local task = ended(function()
    for i = 1, arguments.n do
      if rawequal(arguments[i], CURRENT) then arguments[i] = rt.current() end
    end
    results = table.pack(pcall(rt.timeout, 20000, call, table.unpack(arguments, 1, arguments.n)))
  end)
  if task:status() ~= "done" and task:status() ~= "cancelled" then
    local _, err = task:join()
    complain("%s: the task ended %s: %s", label, task:status(),
      type(err) == "string" and err or type(err))
  end
  if rt.cancelled() or not rt.can_block() then
    complain("%s: the caller is cancelled or cannot wait", label)
  end
  if results and results[1] == false then
    local err = results[2]
    if type(err) ~= "string" then
      -- What a function that was passed raised.
      if err ~= nil and type(err) ~= "table" and type(err) ~= "userdata" then
        complain("%s: error object %s", label, type(err))
      end
    elseif not err:find("^call:1: .") and not is_exempt(err) then
      complain("%s: %s", label, err)
    elseif #err > 200 or err:find("\n") then
      complain("%s: long: %s", label, err)
    end
    return nil
  end
  return results and table.unpack(results, 2, results.n)
end

-- Not a tail call, so that the line is on the stack.
local call_function = load("local f, a, b, c = ... ; local r, s = f(a, b, c) ; return r, s", "=call")
local call_method = load("local o, m, a, b, c = ... ; local r, s = o[m](o, a, b, c) ; return r, s", "=call")

-- Functions with a name of their own, whose messages carry it.
local function check_function(name, f, classes)
  local function note(object)
    if type(object) ~= "userdata" and type(object) ~= "table" then return end
    local metatable = debug.getmetatable(object)
    local index = type(metatable) == "table" and metatable.__index
    if type(index) == "table" and not classes[index] and type(metatable.__name) == "string"
      and metatable.__name:find("^asyncrt") then
      classes[index] = { name = metatable.__name, methods = index }
    end
  end

  note((try(name .. "()", call_function, f)))
  for _, first in ipairs(value_names) do
    note((try(("%s(%s)"):format(name, first), call_function, f, values[first]())))
  end
  if harness.rounds(20) < 20 then return end -- slow enough without
  for _, second in ipairs(value_names) do
    for _, first in ipairs({ "1.5", "function", "{}", "open channel", "closed group", "never", "'8080'" }) do
      note((try(("%s(%s, %s)"):format(name, first, second), call_function, f, values[first](),
        values[second]())))
    end
  end
end

-- Makers of one object of each class in several states.
local makers = {
  ["asyncrt.channel"] = {
    function() return rt.channel() end, function() return rt.channel(2) end, values["closed channel"],
  },
  ["asyncrt.event"] = { function() return rt.event() end, values["set event"] },
  ["asyncrt.task"] = {
    values["ended task"], values["failed task"], values["calling task"],
    function() return rt.spawn(rt.sleep, 1) end,
  },
  ["asyncrt.group"] = { values["closed group"] },
  ["asyncrt.event_object"] = { values.never, values.choice, function() return rt.after(1) end },
}

local function check_class(class)
  for _, method in ipairs(names_of(class.methods)) do
    local f = class.methods[method]
    if type(f) == "function" then
      local label = class.name .. "." .. method
      -- With a self that is none of its own.
      try(label .. " without self", call_function, f)
      for _, value in ipairs(value_names) do
        try(("%s with self %s"):format(label, value), call_function, f, values[value]())
      end
      for i, make in ipairs(makers[class.name] or {}) do
        local name = ("%s #%d"):format(label, i)
        try(name .. "()", call_method, make(), method)
        for _, first in ipairs(value_names) do
          try(("%s(%s)"):format(name, first), call_method, make(), method, values[first]())
          try(("%s({}, %s)"):format(name, first), call_method, make(), method, {}, values[first]())
        end
      end
    end
  end
end

TestMisuse = {}

function TestMisuse:setUp()
  problems = {}
end

function TestMisuse:tearDown()
  local fine = rt.spawn(function(a)
    rt.sleep(1)
    return a
  end, "fine"):await()
  lu.assertEquals(fine, "fine")
end

local classes = {}
for _, name in ipairs(names_of(rt)) do
  if type(rt[name]) == "function" and not EXCLUDED[name] then
    TestMisuse["test_1_function_" .. name] = function()
      check_function(name, rt[name], classes)
      lu.assertEquals(problems, {})
    end
  end
end

function TestMisuse:test_2_the_methods_of_every_class()
  for _, object in ipairs({ rt.channel(), rt.event(), rt.current(), rt.never, values["closed group"]() }) do
    local index = debug.getmetatable(object).__index
    classes[index] = { name = debug.getmetatable(object).__name, methods = index }
  end
  local sorted = {}
  for _, class in pairs(classes) do sorted[#sorted + 1] = class end
  table.sort(sorted, function(a, b) return a.name < b.name end)
  for _, class in ipairs(sorted) do check_class(class) end
  lu.assertTrue(#sorted >= 5)
  rt.sleep(2) -- for the tasks that were made
  lu.assertEquals(problems, {})
end

harness.run()
