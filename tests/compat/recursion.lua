-- Where recursion ends: of Lua functions, of C functions, of metamethods.
warn("@off") -- a finalizer may find no stack left
local function first_line(text) return (tostring(text):gsub("\n.*", "")) end

local function overflows(f, ...)
  local ok, err = pcall(f, ...)
  err = first_line(err):gsub("^.-: ", "")
  print(ok, err)
end

local function recurse() return 1 + recurse() end
overflows(recurse)
overflows(function() return (xpcall(recurse, debug.traceback)) or error("caught", 0) end)
print(xpcall(recurse, function(m) return first_line(m) end))
print(xpcall(recurse, function() return recurse() end))
print(xpcall(recurse, function() return "handled" end))
local _, traceback = xpcall(recurse, debug.traceback)
print(select(2, traceback:gsub("in upvalue 'recurse'", "")) > 10, (traceback:match("%.%.%.")))

local t = setmetatable({}, {})
getmetatable(t).__index = function(self, key) return self[key] end
overflows(function() return t.key end)
getmetatable(t).__add = function(a, b) return a + b end
overflows(function() return t + t end)
getmetatable(t).__tostring = function(self) return tostring(self) end
overflows(tostring, t)
local loop = {}
overflows(function() return setmetatable(loop, { __index = loop }).key end)
local function gsub() return string.gsub("a", ".", gsub) end
overflows(gsub)
local function sort() return table.sort({ 1, 2, 3 }, sort) end
overflows(sort)
overflows(string.rep, "x", -1)
overflows(function() return table.unpack({}, 1, 1e7) end)
overflows(function() return string.format(("%d"):rep(300), table.unpack({}, 1, 300)) end)

local function resumes()
  local ok, err = coroutine.resume(coroutine.create(resumes))
  return ok and err or first_line(err)
end
print(resumes())
local ok, err = coroutine.resume(coroutine.create(recurse))
print(ok, first_line(err))
ok, err = pcall(coroutine.wrap(recurse))
print(ok, first_line(err))
local co = coroutine.create(recurse)
coroutine.resume(co)
print(coroutine.status(co), #debug.traceback(co) > 200, coroutine.close(co) == false)

local function deep(n) return n == 0 and "the bottom" or (deep(n - 1)) end
print(deep(100000), coroutine.wrap(deep)(100000))
local function tail(n)
  if n == 0 then return "no stack used" end
  return tail(n - 1)
end
print(tail(1000000))
