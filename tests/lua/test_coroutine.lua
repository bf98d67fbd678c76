-- asyncrt: --virtual-time --seed=1
local rt = require("asyncrt")
local harness = require("harness")
local lu = require("luaunit")

local function closer(f)
  return setmetatable({}, { __close = f })
end

--- What a chunk prints, run inside a task.
local function in_task(chunk)
  local lines = {}
  local env = setmetatable({
    print = function(...)
      local words = table.pack(...)
      for i = 1, words.n do words[i] = tostring(words[i]) end
      lines[#lines + 1] = table.concat(words, "\t") .. "\n"
    end,
  }, { __index = _G })
  local f = assert(load(chunk, "=chunk", "t", env))
  rt.spawn(function() env.print(pcall(f)) end):await()
  return table.concat(lines)
end

--- What lua prints for it.
local function in_lua(chunk)
  local path = os.tmpname()
  local file = assert(io.open(path, "w"))
  file:write("print(pcall(assert(load([====[\n", chunk, "]====], '=chunk'))))\n")
  file:close()
  local pipe = assert(io.popen("lua5.4 " .. path .. " 2>&1"))
  local output = pipe:read("a")
  pipe:close()
  os.remove(path)
  return output
end

-- Each runs under lua and inside a task; the output must be the same.
local chunks = {
  identity = [[
    local co, main = coroutine.running()
    print(type(co), main, coroutine.isyieldable(), coroutine.isyieldable(co))
    print(coroutine.status(co), pcall(coroutine.resume, co))
    print(pcall(coroutine.close, co))
    print(pcall(coroutine.yield, 1))
    coroutine.wrap(function()
      local inner, is_main = coroutine.running()
      print(inner ~= co, is_main, coroutine.isyieldable(), coroutine.isyieldable(co))
      print(coroutine.status(co), coroutine.status(inner))
      print(pcall(coroutine.close, co))
      print(coroutine.resume(co))
    end)()
  ]],
  values = [[
    local co = coroutine.create(function(...)
      print(...)
      print(coroutine.yield(select("#", ...)))
      print(coroutine.yield())
      return nil, 2, nil
    end)
    print(coroutine.resume(co, 1, nil, nil))
    print(coroutine.resume(co, nil))
    print(coroutine.resume(co))
    print(coroutine.resume(co))
    print(coroutine.status(co))
  ]],
  misuse = [[
    for _, name in ipairs { "create", "wrap", "resume", "status", "close", "isyieldable" } do
      for _, value in ipairs { "1", "nil", "{}", "print", "'x'", "" } do
        print(name, value, pcall(load("return coroutine." .. name .. "(" .. value .. ")")) and true)
      end
    end
    print(pcall(function() coroutine.resume(1) end))
    print(pcall(function() coroutine.status() end))
    print(pcall(function() coroutine.create("f") end))
    print(pcall(function() coroutine.wrap() end))
    print(pcall(function() coroutine.close({}) end))
    print(pcall(pcall))
    print(pcall(xpcall))
    print(pcall(xpcall, print))
    print(pcall(xpcall, print, 1))
    print(xpcall(1, function(e) return "handled " .. e end))
    print(pcall(1), pcall(nil), pcall({}))
  ]],
  pcall_results = [[
    print(pcall(function() end))
    print(pcall(function(...) return ... end, nil, 2, nil))
    print(xpcall(function(...) return ... end, print, 1, nil))
    print(select("#", pcall(table.unpack, {}, 1, 200)))
    print(pcall(error), pcall(error, nil), pcall(error, { 1 }) )
    print(pcall(error, "m"), pcall(error, "m", 0), pcall(error, "m", 1), pcall(error, "m", 2))
    print(pcall(pcall, error, "x"), pcall(pcall, pcall, error, "x"))
    print(xpcall(error, function(e) return e .. "!" end, "x"))
    print(xpcall(function() error("deep") end, function(e) return e .. "!" end))
    print(xpcall(error, error))
    print(xpcall(error, function() error("again") end, 1))
    print((select(2, xpcall(function() local x = nil + 1 end, debug.traceback))):match("^[^\n]*"))
    print(pcall(xpcall, error, error))
  ]],
  handlers = [[
    local function fails()
      local kept = "a local of the function"
      error("failed")
    end
    local function adds()
      local kept = "another"
      return nil + kept
    end
    print(xpcall(fails, function() return select(2, debug.getlocal(3, 1)) end))
    print(xpcall(adds, function() return select(2, debug.getlocal(2, 1)) end))
    print(xpcall(fails, function()
      local raises, failing = debug.getinfo(2, "nS"), debug.getinfo(3, "nl")
      return raises.name .. raises.what .. failing.currentline
    end))
    for level = 2, 3 do
      local text = select(2, xpcall(fails, function(m) return debug.traceback(m, level) end))
      print((text:gsub("%[C%]: in function 'xpcall'.*", "")))
    end
    print((select(2, xpcall(fails, debug.traceback)):gsub("%[C%]: in function 'xpcall'.*", "")))
    print(select("#", xpcall(fails, function() return 1, 2, 3 end)))
    print(xpcall(fails, function() end), xpcall(fails, string.upper))
    print(xpcall(fails, function() error("again") end))
    print(pcall(xpcall, fails, setmetatable({}, { __call = print })))
    print(xpcall(function()
      local _ <close> = setmetatable({}, { __close = function(_, e) error(e .. ", closing", 0) end })
      error("failed", 0)
    end, function(m) return "handled " .. m end))
    print(xpcall(function()
      print(xpcall(fails, function(m) return "inner " .. m end))
      return coroutine.wrap(fails)()
    end, function(m) return "outer " .. m end))
  ]],
  yields_across = [[
    local mt = {}
    for _, event in ipairs { "add", "sub", "mul", "div", "mod", "pow", "unm", "idiv", "band", "bor",
      "bxor", "shl", "shr", "bnot", "concat", "len", "eq", "lt", "le", "index", "call" } do
      mt["__" .. event] = function() return coroutine.yield(event) end
    end
    mt.__newindex = function(t, k, v) coroutine.yield("newindex " .. k .. v) end
    mt.__close = function() coroutine.yield("close") end
    mt.__pairs = function(t) coroutine.yield("pairs") return next, { 1 } end
    local function new() return setmetatable({}, mt) end
    local co = coroutine.wrap(function()
      local a, b = new(), new()
      print(a + b, a - b, a * b, a / b, a % b, a ^ b, -a, a // b, a & b, a | b, a ~ b, a << b, a >> b,
        ~a, a .. b, #a, a == b, a < b, a <= b, a > b, a >= b, a.x, a[1], a(1))
      a.k = 1
      for k, v in pairs(a) do print(k, v) end
      for i in function(_, i) i = i + 1 coroutine.yield("iterator") return i < 3 and i or nil end, nil, 0 do
        print(i)
      end
      do local _ <close> = new() end
      print(pcall(function() local _ <close> = new() return 1, 2, 3 end))
      print(pcall(function() local _ <close> = new() error("e", 0) end))
      print(xpcall(function() return coroutine.yield("in xpcall") end, print))
      print(pcall(pcall, pcall, coroutine.yield, "nested"))
      print(select(2, load("return ...")(1, coroutine.yield("dofile"))))
      return "end"
    end)
    local n, got = 0
    repeat
      n = n + 1
      got = co(n)
      print(n, got)
    until got == "end"
  ]],
  no_yields = [[
    local function try(f, ...) print(coroutine.wrap(function(...) return pcall(f, ...) end)(...)) end
    try(table.sort, { 3, 2, 1 }, function() coroutine.yield() end)
    try(string.gsub, "a", ".", function() coroutine.yield() end)
    try(tostring, setmetatable({}, { __tostring = function() coroutine.yield() end }))
    try(load, function() coroutine.yield() end)
    try(table.concat, setmetatable({}, { __index = coroutine.yield, __len = function() return 1 end }))
    try(function()
      local t = setmetatable({}, { __gc = function() print("gc", pcall(coroutine.yield)) end })
      t = nil
      collectgarbage()
    end)
    print(pcall(table.sort, { 3, 2, 1 }, coroutine.yield))
  ]],
  errors = [[
    local co = coroutine.create(function() local x = {} ; x = x.y.z end)
    print(coroutine.resume(co))
    print(coroutine.status(co), coroutine.resume(co))
    for _, value in ipairs { "text", 1, false, print } do
      print(coroutine.resume(coroutine.create(error), value) == false,
        select(2, coroutine.resume(coroutine.create(error), value)) == value)
      print(select(2, pcall(coroutine.wrap(error), value)) == value)
    end
    print(coroutine.resume(coroutine.create(error)))
    print(pcall(coroutine.wrap(error)))
    print(pcall(coroutine.wrap(function() error("a") end)))
    print(pcall(coroutine.wrap(function() error("a", 0) end)))
    local w
    w = coroutine.wrap(function() coroutine.wrap(function() error("inner") end)() end)
    print(pcall(w))
    print(pcall(w))
    print(pcall(coroutine.wrap(function() return coroutine.wrap(error)({}) end)) )
  ]],
  closing = [[
    local function c(name, e)
      return setmetatable({}, { __close = function(_, err)
        print("close", name, err, coroutine.isyieldable())
        if e then error(e, 0) end
      end })
    end
    local co = coroutine.create(function()
      local a <close> = c("a")
      local b <close> = c("b", "from b")
      local d <close> = c("d", "from d")
      coroutine.yield(1)
    end)
    print(coroutine.resume(co))
    print(coroutine.close(co))
    print(coroutine.status(co), coroutine.close(co))
    co = coroutine.create(function()
      local a <close> = c("a")
      error("dies", 0)
    end)
    print(coroutine.resume(co))
    print(coroutine.status(co), coroutine.close(co))
    print(coroutine.close(co))
    print(coroutine.close(coroutine.create(print)))
    co = coroutine.create(function()
      local x <close> = setmetatable({}, { __close = function() print(pcall(coroutine.close, co)) end })
      coroutine.yield()
    end)
    coroutine.resume(co)
    print(coroutine.close(co))
    local w = coroutine.wrap(function()
      local x <close> = setmetatable({}, { __close = function() print(pcall(w)) end })
      error("w", 0)
    end)
    print(pcall(w))
    co = coroutine.wrap(function()
      return pcall(function()
        local x <close> = setmetatable({}, { __close = function(_, e) print("y", coroutine.yield(e)) end })
        error("during", 0)
      end)
    end)
    print(co())
    print(co("resumed"))
  ]],
  statuses = [[
    local outer, inner
    outer = coroutine.create(function()
      inner = coroutine.create(function()
        print(coroutine.status(outer), coroutine.status(inner))
        print(coroutine.resume(outer))
        print(pcall(coroutine.close, outer))
        coroutine.yield()
      end)
      coroutine.resume(inner)
      print(coroutine.status(outer), coroutine.status(inner))
      coroutine.yield()
    end)
    print(coroutine.status(outer))
    coroutine.resume(outer)
    print(coroutine.status(outer), coroutine.status(inner))
    coroutine.resume(outer)
    print(coroutine.status(outer), coroutine.status(inner))
    local w
    w = coroutine.wrap(function() return pcall(w) end)
    print(w())
    print(pcall(w))
  ]],
  bodies_in_c = [[
    print(coroutine.wrap(print)("printed"))
    print(coroutine.wrap(pcall)(error, "e"))
    local y = coroutine.wrap(coroutine.yield)
    print(y(1, 2))
    print(y(3))
    print(pcall(y))
    print(coroutine.resume(coroutine.create(coroutine.yield), 7))
    print(coroutine.wrap(coroutine.wrap)(print) ~= nil)
    local co = coroutine.create(coroutine.running)
    print(select(3, coroutine.resume(co)), select(2, coroutine.resume(co)))
    print(coroutine.wrap(table.unpack)({ 1, 2, 3 }))
    print(coroutine.wrap(xpcall)(function() return coroutine.yield("x") end, print))
    print(coroutine.wrap(select)("#"))
  ]],
  tracebacks = [[
    local co = coroutine.create(function()
      local function deep() coroutine.yield() end
      deep()
      error("late")
    end)
    print(debug.traceback(co))
    coroutine.resume(co)
    print(debug.traceback(co))
    print(debug.traceback(co, "title", 1))
    local info = debug.getinfo(co, 1, "Sln")
    print(info.currentline, info.name, info.short_src)
    print(debug.getlocal(co, 1, 1))
    coroutine.resume(co)
    print(debug.traceback(co))
    print(coroutine.status(co), debug.getinfo(co, 0, "n").name)
  ]],
  hooks = [[
    local events = {}
    local co = coroutine.create(function()
      coroutine.yield(10)
      return 20
    end)
    debug.sethook(co, function(event) events[#events + 1] = event end, "clr")
    while coroutine.resume(co) do end
    print(table.concat(events, " "))
    print(debug.gethook(co))
    print(debug.gethook())
  ]],
  deep = [[
    local function nest(n)
      if n == 0 then return coroutine.yield("bottom") end
      return coroutine.wrap(function() return nest(n - 1) end)()
    end
    local w = coroutine.wrap(nest)
    print(w(1))
    local function rec(n) return n == 0 and 0 or 1 + rec(n - 1) end
    print(coroutine.wrap(rec)(10000))
    print(pcall(function() local function f() return 1 + f() end return f() end))
    print((select(2, coroutine.resume(coroutine.create(function()
      local function f() return 1 + f() end return f()
    end))):match("stack overflow")))
    local function many(n) local co = coroutine.create(many) local ok, e = coroutine.resume(co) return e end
    print(tostring(many()):match("C stack overflow"))
    print(#table.pack(coroutine.wrap(function() return table.unpack({}, 1, 5000) end)()),
      select("#", coroutine.wrap(function() return table.unpack({}, 1, 5000) end)()))
    print(pcall(coroutine.wrap(function(...) return select("#", ...) end), table.unpack({}, 1, 5000)))
  ]],
  producers = [[
    local function gen(n) return coroutine.wrap(function() for i = 2, n do coroutine.yield(i) end end) end
    local function filter(p, g)
      return coroutine.wrap(function()
        for n in g do if n % p ~= 0 then coroutine.yield(n) end end
      end)
    end
    local x, primes = gen(100), {}
    while true do
      local n = x()
      if not n then break end
      primes[#primes + 1] = n
      x = filter(n, x)
    end
    print(table.concat(primes, " "))
    local function permute(a, n)
      if n == 0 then coroutine.yield(a) return end
      for i = 1, n do
        a[n], a[i] = a[i], a[n]
        permute(a, n - 1)
        a[n], a[i] = a[i], a[n]
      end
    end
    local out = {}
    for p in coroutine.wrap(function() permute({ 1, 2, 3 }, 3) end) do out[#out + 1] = table.concat(p) end
    print(table.concat(out, " "))
  ]],
  collected = [[
    local weak = setmetatable({}, { __mode = "k" })
    for i = 1, 100 do
      local co = coroutine.create(function(self) coroutine.yield(self) end)
      coroutine.resume(co, co)
      weak[co] = true
      weak[coroutine.wrap(function() coroutine.yield() end)] = true
    end
    collectgarbage()
    collectgarbage()
    print(next(weak))
  ]],
  error_in_handler = [[
    local n = 0
    print(xpcall(error, function(e) n = n + 1 if n < 5 then error("again") end return n end, "x"))
    print(n)
    print(xpcall(function() error({ code = 1 }) end, function(e) return type(e), e.code end))
    print(xpcall(function() error() end, function(e) return tostring(e) end))
    print(coroutine.wrap(function()
      return xpcall(function() coroutine.yield(1) error("late", 0) end, function(e) return "h:" .. e end)
    end)())
    local co = coroutine.wrap(function()
      return xpcall(function() coroutine.yield(1) error("late", 0) end, function(e) return "h:" .. e end)
    end)
    print(co(), co())
    print(xpcall(function() local t <close> = setmetatable({}, { __close = function() error("c", 0) end }) error("b", 0) end,
      function(e) return "<" .. tostring(e) .. ">" end))
  ]],
  to_be_closed_returns = [[
    local function c(f) return setmetatable({}, { __close = f }) end
    local function returns()
      local x <close> = c(coroutine.yield)
      local y <close> = c(function() coroutine.yield("y") end)
      return table.unpack({ 10, 20, nil, 40 }, 1, 4)
    end
    local w = coroutine.wrap(returns)
    print(w())
    print(type(w()))
    print(w())
    w = coroutine.wrap(function()
      for i = 1, 3 do
        local x <close> = c(function() coroutine.yield("loop " .. i) end)
        if i == 2 then break end
      end
      do local x <close> = c(function() coroutine.yield("goto") end) goto out end
      ::out::
      return "done"
    end)
    for _ = 1, 4 do print(w()) end
  ]],
}

local function addressless(text) return (text:gsub("0x%x+", "0x")) end

TestAsPlainLua = {}

for name, chunk in pairs(chunks) do
  TestAsPlainLua["test_" .. name .. "_as_under_lua"] = function()
    lu.assertEquals(addressless(in_task(chunk)), addressless(in_lua(chunk)))
  end
end

-- --- Waits inside coroutines ---

-- A wrapped generator inside `depth` others that pass its values on.
local function nested(depth, f)
  if depth == 0 then return coroutine.wrap(f) end
  local inner = nested(depth - 1, f)
  return coroutine.wrap(function(...)
    local values = table.pack(inner(...))
    while true do
      values = table.pack(inner(coroutine.yield(table.unpack(values, 1, values.n))))
    end
  end)
end

TestWaits = {}

function TestWaits:test_a_wait_passes_through_generators_of_any_depth()
  for depth = 0, 50 do
    local start = rt.now()
    local g = nested(depth, function(a)
      while true do
        rt.sleep(1)
        a = coroutine.yield(a * 2, rt.now() - start)
      end
    end)
    for i = 1, 3 do
      local value, time = g(i)
      lu.assertEquals(value, 2 * i)
      lu.assertEquals(time, i)
    end
  end
end

function TestWaits:test_two_tasks_wait_in_nested_generators_at_once()
  local log = {}
  local function run(name, step)
    local g = nested(7, function()
      for i = 1, 3 do
        rt.sleep(step)
        coroutine.yield(i)
      end
    end)
    for _ = 1, 3 do
      local entry = name .. g()
      log[#log + 1] = entry
    end
  end

  local a, b = rt.spawn(run, "a", 2), rt.spawn(run, "b", 3)
  a:join()
  b:join()

  lu.assertEquals(table.concat(log, " "), "a1 b1 a2 b2 a3 b3")
end

function TestWaits:test_a_generator_started_in_one_task_goes_on_in_another()
  local g = coroutine.wrap(function()
    for i = 1, 4 do
      rt.sleep(1)
      coroutine.yield(i, rt.current())
    end
  end)

  for i = 1, 4 do
    local task = rt.spawn(function()
      local value, inside = g()
      return value, inside == rt.current()
    end)
    local value, same = task:await()
    lu.assertEquals(value, i)
    lu.assertTrue(same)
  end
end

function TestWaits:test_a_wait_works_wherever_a_yield_does()
  local function wait(value)
    rt.sleep(0.25)
    return value
  end
  local waits = 0
  local mt = { __close = function() waits = waits + 1 rt.sleep(0.25) end }
  for _, event in ipairs({ "add", "sub", "mul", "div", "mod", "pow", "unm", "idiv", "band", "bor",
    "bxor", "shl", "shr", "bnot", "concat", "len", "eq", "lt", "le", "index", "call" }) do
    mt["__" .. event] = function()
      waits = waits + 1
      return wait(1)
    end
  end
  mt.__newindex = function() waits = waits + 1 rt.sleep(0.25) end
  mt.__pairs = function() waits = waits + 1 return wait(next), { 5 }, nil end
  local a, b = setmetatable({}, mt), setmetatable({}, mt)

  local results = table.pack(a + b, a - b, a * b, a / b, a % b, a ^ b, -a, a // b, a & b, a | b,
    a ~ b, a << b, a >> b, ~a, a .. b, #a, a == b, a < b, a <= b, a.x, a(1))
  a.k = 1
  for _, v in pairs(a) do results[#results + 1] = v end
  for i in function(_, i) return wait(i < 3 and i + 1 or nil) end, nil, 0 do
    results[#results + 1] = i
  end
  do local _ <close> = a end
  results[#results + 1] = select(2, pcall(wait, "pcall"))
  results[#results + 1] = select(2, xpcall(wait, print, "xpcall"))
  results[#results + 1] = select(2, pcall(pcall, pcall, wait, "deep"))
  results[#results + 1] = select(2, rt.pcall_all(wait, "pcall_all"))

  local words = {}
  for i, v in ipairs(results) do words[i] = tostring(v) end
  lu.assertEquals(table.concat(words, " "), "1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 true true true 1 1 "
    .. "5 1 2 3 pcall xpcall true pcall_all")
  lu.assertEquals(waits, 24)
end

function TestWaits:test_where_lua_cannot_yield_a_wait_raises_and_the_task_goes_on()
  local ch = rt.channel()
  local places = {
    sort = function(f) table.sort({ 1, 2, 3 }, f) end,
    gsub = function(f) string.gsub("a", ".", f) end,
    tostring = function(f) tostring(setmetatable({}, { __tostring = f })) end,
    load = function(f) assert(load(f)) end,
    concat = function(f)
      table.concat(setmetatable({}, { __index = f, __len = function() return 1 end }))
    end,
    handler = function(f) xpcall(error, function() f() end) error("not raised") end,
    closer = function(f)
      local co = coroutine.create(function()
        local _ <close> = closer(f)
        coroutine.yield()
      end)
      coroutine.resume(co)
      local ok, err = coroutine.close(co)
      if not ok then error(err, 0) end
    end,
  }
  local waits = {
    sleep = function() rt.sleep(1) end,
    yield = function() rt.yield() end,
    send = function() ch:send(1) end,
    recv = function() ch:recv() end,
    select = function() rt.select({ ch }) end,
    composite = function() rt.select({ rt.choose(ch) }) end,
    sync = function() rt.sync(ch) end,
    sync_timeout = function() rt.sync_timeout(1, ch) end,
    join = function() rt.current():join() end,
    group = function() rt.group() end,
    group_call = function() rt.group(function() end) end,
    event = function() rt.event():wait() end,
  }
  for place, call in pairs(places) do
    for name, wait in pairs(waits) do
      local seen
      local ok, err = pcall(call, function()
        lu.assertFalse(rt.can_block())
        -- An error in a handler calls the handler again.
        seen = seen or table.pack(pcall(wait))
        error(seen[2], 0)
      end)
      lu.assertFalse(ok, place .. " " .. name)
      lu.assertStrContains(tostring(seen[2]), "cannot block here")
      if place ~= "handler" then lu.assertStrContains(tostring(err), "cannot block here") end
      lu.assertTrue(rt.can_block())
    end
  end
  lu.assertNil(rt.poll({ ch, ch:send_evt(1) }))
  lu.assertEquals(#ch, 0)
end

function TestWaits:test_in_a_coroutine_below_a_c_function_a_wait_raises_too()
  local ok, err = pcall(table.sort, { 2, 1 }, function()
    return coroutine.wrap(function()
      lu.assertFalse(rt.can_block())
      rt.sleep(1)
    end)()
  end)

  lu.assertFalse(ok)
  lu.assertStrContains(err, "non-yieldable C call")
end

function TestWaits:test_a_finalizer_cannot_wait()
  local seen
  setmetatable({}, { __gc = function() seen = table.pack(rt.can_block(), pcall(rt.sleep, 1)) end })
  collectgarbage()
  collectgarbage()

  lu.assertEquals(seen[1], false)
  lu.assertEquals(seen[2], false)
  lu.assertStrContains(seen[3], "cannot block here")
end

function TestWaits:test_a_waiting_coroutine_belongs_to_its_task()
  local co = coroutine.create(function() rt.sleep(2) return "done" end)
  local owner = rt.spawn(function() return coroutine.resume(co) end)
  rt.sleep(1)

  lu.assertEquals(coroutine.status(co), "normal")
  lu.assertEquals({ coroutine.resume(co) }, { false, "cannot resume non-suspended coroutine" })
  lu.assertErrorMsgContains("cannot close a normal coroutine", coroutine.close, co)
  lu.assertEquals({ owner:await() }, { true, "done" })
  lu.assertEquals(coroutine.status(co), "dead")
end

function TestWaits:test_a_wrapped_generator_that_waits_cannot_be_called_by_another_task()
  local g = coroutine.wrap(function() rt.sleep(1) end)
  local owner = rt.spawn(g)
  rt.yield()

  lu.assertErrorMsgContains("cannot resume non-suspended coroutine", g)
  owner:await()
end

function TestWaits:test_main_of_each_task_is_its_own_main_coroutine()
  local main = coroutine.running()
  rt.spawn(function()
    local co, is_main = coroutine.running()
    lu.assertTrue(is_main)
    lu.assertNotEquals(tostring(co), tostring(main))
    lu.assertFalse(coroutine.isyieldable())
    lu.assertErrorMsgContains("outside a coroutine", coroutine.yield)
    lu.assertEquals(coroutine.status(main), "normal")
    lu.assertEquals({ coroutine.resume(main) }, { false, "cannot resume non-suspended coroutine" })
    lu.assertErrorMsgContains("cannot close a normal", coroutine.close, main)
  end):await()
end

function TestWaits:test_the_thread_of_an_ended_task_is_dead()
  local thread
  local task = rt.spawn(function()
    thread = coroutine.running()
    rt.yield()
  end)
  task:join()
  rt.spawn(function() lu.assertNotEquals(tostring(coroutine.running()), tostring(thread)) end):await()

  lu.assertEquals(coroutine.status(thread), "dead")
  lu.assertEquals({ coroutine.resume(thread) }, { false, "cannot resume dead coroutine" })
  lu.assertEquals(coroutine.close(thread), true)
end

-- --- Errors and closers ---

TestErrors = {}

function TestErrors:test_closers_of_a_failing_wrapped_generator_may_wait()
  for depth = 0, 20 do
    local start, log = rt.now(), {}
    local g = nested(depth, function()
      local _ <close> = closer(function(_, err)
        rt.sleep(1)
        log[#log + 1] = err .. (rt.now() - start)
      end)
      local _ <close> = closer(function(_, err)
        rt.sleep(1)
        log[#log + 1] = err .. (rt.now() - start)
      end)
      coroutine.yield("ready")
      error("broken", 0)
    end)

    lu.assertEquals(g(), "ready")
    local ok, err = pcall(g)

    lu.assertFalse(ok)
    -- Each level of wrap puts its position before a string.
    lu.assertStrMatches(err, ".*broken")
    lu.assertEquals(log, { "broken1.0", "broken2.0" })
  end
end

function TestErrors:test_closers_of_a_dead_created_coroutine_cannot_wait()
  local refused
  local co = coroutine.create(function()
    local _ <close> = closer(function() refused = table.pack(pcall(rt.sleep, 1)) end)
    error("dies", 0)
  end)

  lu.assertEquals({ coroutine.resume(co) }, { false, "dies" })
  lu.assertNil(refused)
  lu.assertEquals({ coroutine.close(co) }, { false, "dies" })
  lu.assertFalse(refused[1])
  lu.assertStrContains(refused[2], "cannot block here")
end

function TestErrors:test_an_error_crosses_a_generator_that_waited_unchanged()
  local object = setmetatable({}, { __tostring = function() return "object" end })
  for depth = 0, 20 do
    local g = nested(depth, function()
      rt.sleep(1)
      error(object)
    end)
    local ok, err = pcall(g)
    lu.assertFalse(ok)
    lu.assertIs(err, object)
    lu.assertFalse((pcall(g)))
  end
end

function TestErrors:test_an_error_in_a_closer_replaces_that_of_the_generator()
  local g = coroutine.wrap(function()
    local _ <close> = closer(function()
      rt.sleep(1)
      error("second", 0)
    end)
    rt.sleep(1)
    error("first", 0)
  end)
  local ok, err = pcall(g)

  lu.assertFalse(ok)
  lu.assertStrMatches(err, ".*second")
end

function TestErrors:test_the_trace_of_a_failed_task_has_every_coroutine()
  rt.group({ on_error = "collect" }, function(g)
    local task = g:spawn(function()
      local function in_generator()
        rt.sleep(1)
        error("trace me")
      end
      local function in_outer() coroutine.wrap(in_generator)() end
      local function in_body() coroutine.wrap(in_outer)() end
      in_body()
    end)
    task:join()

    local where = task:where()
    lu.assertEquals(task:status(), "failed")
    local places = {}
    for line in where:gmatch("test_coroutine%.lua:(%d+):") do places[#places + 1] = tonumber(line) end
    lu.assertTrue(#places >= 4, where)
    for i = 2, #places do lu.assertTrue(places[i] >= places[i - 1], where) end
    local _, resumed = where:gsub("resumed by:", "")
    lu.assertEquals(resumed, 2, where)
  end)
end

function TestErrors:test_where_shows_every_coroutine_of_a_waiting_task()
  local task = rt.spawn(function()
    nested(3, function() rt.sleep(5) end)()
  end)
  rt.yield()

  local where = task:where()
  local _, resumed = where:gsub("resumed by:", "")
  lu.assertEquals(resumed, 4, where)
  lu.assertStrContains(where, "sleep")
  task:cancel()
  task:join()
  lu.assertEquals(task:status(), "cancelled")
end

-- --- Cancellation ---

TestCancel = {}

function TestCancel:test_a_cancel_unwinds_generators_innermost_first()
  for depth = 0, 30 do
    local log = {}
    local function level(n)
      local _ <close> = closer(function(_, err)
        log[#log + 1] = n
        lu.assertEquals(tostring(err), "cancelled")
        lu.assertTrue(rt.cancelled())
      end)
      if n == 0 then rt.sleep(9) else coroutine.wrap(level)(n - 1) end
      log[#log + 1] = "NEVER"
    end

    lu.assertEquals({ rt.timeout(1, level, depth) }, { nil, "timeout" })
    local expected = {}
    for n = 0, depth do expected[#expected + 1] = n end
    lu.assertEquals(log, expected)
  end
end

function TestCancel:test_a_cancel_through_resume_closes_the_coroutine()
  local closed, co
  rt.timeout(1, function()
    co = coroutine.create(function()
      local _ <close> = closer(function() closed = table.pack(pcall(rt.poll, {})) end)
      rt.sleep(9)
    end)
    coroutine.resume(co)
    error("NEVER")
  end)

  lu.assertEquals(closed[1], true)
  lu.assertEquals(coroutine.status(co), "dead")
  lu.assertEquals(coroutine.close(co), true)
end

function TestCancel:test_pcall_in_a_generator_does_not_catch_a_cancel()
  local caught = 0
  local g = coroutine.wrap(function()
    while true do
      local ok = pcall(rt.sleep, 9)
      caught = caught + 1
      if ok then coroutine.yield() end
    end
  end)

  lu.assertEquals({ rt.timeout(1, g) }, { nil, "timeout" })
  lu.assertEquals(caught, 0)
  lu.assertFalse((pcall(g)))
end

function TestCancel:test_a_generator_suspended_by_yield_survives_the_cancel_of_its_consumer()
  local g = coroutine.wrap(function()
    for i = 1, 10 do
      coroutine.yield(i)
      rt.sleep(0)
    end
  end)

  rt.timeout(1, function()
    lu.assertEquals(g(), 1)
    rt.sleep(9)
  end)
  lu.assertEquals(g(), 2)
end

function TestCancel:test_a_timeout_inside_a_generator_is_absorbed_there()
  local g = coroutine.wrap(function()
    while true do
      coroutine.yield(select("#", rt.timeout(1, rt.sleep, 9)), select(2, rt.timeout(1, rt.sleep, 9)))
    end
  end)

  for _ = 1, 3 do
    lu.assertEquals({ g() }, { 2, "timeout" })
  end
end

function TestCancel:test_no_yield_leaves_an_open_scope()
  local scopes = {
    timeout = function(f) return rt.timeout(5, f) end,
    shield = function(f) return rt.shield(5, f) end,
    deadline = function(f)
      local _ <close> = rt.deadline(5)
      return f()
    end,
    group = function(f)
      local _ <close> = rt.group()
      return f()
    end,
    group_call = function(f) return rt.group(f) end,
  }
  for name, scope in pairs(scopes) do
    local g = coroutine.wrap(function()
      scope(function() coroutine.yield("escaped") end)
      return "ended"
    end)
    local ok, err = pcall(g)
    lu.assertFalse(ok, name)
    lu.assertStrContains(err, "cannot yield out of an open")
    -- A scope of the consumer is no obstacle.
    local value = scope(function() return coroutine.wrap(function() coroutine.yield("fine") end)() end)
    lu.assertEquals(value, "fine", name)
  end
end

function TestCancel:test_a_coroutine_that_dies_with_an_open_group_awaits_it_in_resume()
  local start, gone = rt.now()
  local co = coroutine.create(function()
    local g <close> = rt.group()
    g:spawn(function()
      local _ <close> = closer(function()
        rt.shield(5, rt.sleep, 2)
        gone = rt.now() - start
      end)
      rt.sleep(99)
    end)
    rt.sleep(1)
    error("dies", 0)
  end)

  lu.assertEquals({ coroutine.resume(co) }, { false, "dies" })
  lu.assertEquals(gone, 3)
  lu.assertEquals({ coroutine.close(co) }, { false, "dies" })
  lu.assertFalse(rt.cancelled())
end

function TestCancel:test_a_generator_that_returns_with_an_open_group_awaits_it()
  local start = rt.now()
  local seen
  -- Reported on stderr; not what this test is about.
  local g = coroutine.wrap(function()
    local group = rt.group()
    group:spawn(function()
      local _ <close> = closer(function() seen = rt.cancelled() end)
      rt.sleep(99)
    end)
    rt.sleep(1)
    return "value"
  end)

  lu.assertEquals(g(), "value")
  lu.assertTrue(seen)
  lu.assertEquals(rt.now() - start, 1)
end

harness.run()
