-- Hooks and tracebacks, inside coroutines above all.
-- The part that does not depend on who has called the program.
local function upper(traceback)
  local _, named = traceback:find("in local 'named'\n", 1, true)
  local _, last = traceback:find("hooks%.lua:%d+: in ", named or 1)
  return traceback:sub(1, last)
end

local function works()
  local sum = 0
  for i = 1, 3 do
    sum = sum + i
  end
  return sum
end

local function trace(mask, count, f)
  local events = {}
  debug.sethook(function(event, line)
    local info = debug.getinfo(2, "nS")
    events[#events + 1] = event .. " " .. tostring(line) .. " " .. tostring(info.name) .. " " .. info.what
  end, mask, count)
  f()
  debug.sethook()
  print(mask, count, #events)
  print(table.concat(events, "\n"))
end
trace("c", 0, works)
trace("r", 0, works)
trace("l", 0, works)
trace("crl", 0, works)
trace("", 10, works)
trace("crl", 0, function() return pcall(error, "caught") end)
trace("l", 0, function() return coroutine.resume(coroutine.create(works)) end)
trace("l", 0, function() local _ <close> = setmetatable({}, { __close = works }) end)
print(debug.gethook())

-- A hook belongs to its thread.
local lines = {}
local co = coroutine.create(function(a)
  local b = a
  coroutine.yield(b)
  return works()
end)
local function hook(_, line) lines[#lines + 1] = line end
debug.sethook(co, hook, "l")
print(debug.gethook(), debug.gethook(co) == hook, select(2, debug.gethook(co)))
while coroutine.status(co) ~= "dead" do print(coroutine.resume(co, 1)) end
print(table.concat(lines, " "))
print(pcall(function()
  debug.sethook(function()
    debug.sethook()
    error("of the hook", 0)
  end, "l")
  local x = 1
  return x
end))
print(coroutine.wrap(function()
  local count = 0
  debug.sethook(function() count = count + 1 end, "", 100)
  for _ = 1, 10000 do end
  debug.sethook()
  return count > 50, debug.gethook()
end)())
print(pcall(coroutine.wrap(function()
  debug.sethook(function() coroutine.yield() end, "l")
  local x = 1
  return x
end)))

-- Tracebacks of coroutines in every state.
co = coroutine.create(function(a)
  local b = 2
  local function inner() coroutine.yield(a + b) end
  inner()
  error("the end")
end)
print(debug.traceback(co))
coroutine.resume(co, 1)
print(debug.traceback(co))
print(debug.traceback(co, "title"))
print(debug.traceback(co, nil, 1))
print(debug.traceback(co, "title", 2))
print(debug.traceback(co, 5), debug.traceback(co, {}) ~= nil)
print(debug.getlocal(co, 2, 1))
print(debug.getlocal(co, 2, 2))
print(debug.setlocal(co, 2, 1, 40))
print(debug.getinfo(co, 0, "n").name, debug.getinfo(co, 1, "n").name, debug.getinfo(co, 3))
coroutine.resume(co)
print(debug.traceback(co))
print(coroutine.close(co))
print(debug.traceback(co))

print(upper(debug.traceback("here")))
print(upper(debug.traceback("here", 0)))
local function named(level) return debug.traceback("named", level) .. "" end
print(upper(named(1)))
print(upper(named(2)))
print(debug.traceback({}) ~= nil, debug.traceback(nil) ~= nil)
for _, name in ipairs { "pcall", "xpcall", "load", "error", "dofile", "require", "print" } do
  local info = debug.getinfo(_G[name], "Su")
  print(name, info.what, info.short_src, info.nparams, info.isvararg)
end
