-- coroutine.close and the closers of coroutines that fail.
local function closer(name, err)
  return setmetatable({}, { __close = function(_, given)
    print("closes", name, given)
    if err then error(err, 0) end
  end })
end

local function two(first_error, second_error, last)
  return coroutine.create(function()
    local _ <close> = closer("first", first_error)
    local _ <close> = closer("second", second_error)
    coroutine.yield("suspended")
    if last then error(last, 0) end
    return "returned"
  end)
end

for _, first in ipairs { false, "of the first" } do
  for _, second in ipairs { false, "of the second" } do
    local co = two(first, second)
    print(coroutine.resume(co))
    print(coroutine.close(co))
    print(coroutine.status(co), coroutine.close(co))
    print(coroutine.resume(co))
    co = two(first, second, "of the body")
    print(coroutine.resume(co))
    print(coroutine.resume(co))
    print(coroutine.status(co), coroutine.close(co))
    print(coroutine.close(co))
    co = two(first, second)
    print(coroutine.resume(co))
    print(coroutine.resume(co))
    print(coroutine.status(co), coroutine.close(co))
  end
end

print(coroutine.close(coroutine.create(print)))
print(pcall(coroutine.close, coroutine.running()))
local co = coroutine.create(function() error({}) end)
print(coroutine.resume(co))
print(type(select(2, coroutine.close(co))), coroutine.close(co))

-- Closers that yield, close and resume.
co = coroutine.create(function()
  local _ <close> = setmetatable({}, { __close = function() coroutine.yield("in a closer") end })
  coroutine.yield("in the body")
end)
print(coroutine.resume(co))
print(coroutine.close(co))
co = coroutine.create(function()
  local _ <close> = setmetatable({}, { __close = function() coroutine.yield("in a closer") end })
  return "in the body"
end)
print(coroutine.resume(co))
print(coroutine.resume(co))
co = coroutine.create(function()
  local _ <close> = setmetatable({}, { __close = function()
    print(pcall(coroutine.close, co))
    print(coroutine.resume(co))
    print(coroutine.status(co))
  end })
  coroutine.yield()
end)
coroutine.resume(co)
print(coroutine.close(co))

-- The same of coroutine.wrap, which closes at once.
for _, err in ipairs { false, "of the closer" } do
  local f = coroutine.wrap(function()
    local _ <close> = closer("wrapped", err)
    coroutine.yield(1)
    error("of the body", 0)
  end)
  print(f())
  print(pcall(f))
  print(pcall(f))
end
local f = coroutine.wrap(function()
  local ok, err = pcall(function()
    local _ <close> = setmetatable({}, { __close = function(_, given) print("yields", coroutine.yield(given)) end })
    error("below pcall", 0)
  end)
  return ok, err
end)
print(f())
print(f("resumed"))
for i in coroutine.wrap(function() for i = 1, 3 do coroutine.yield(i) end end) do io.write(i, " ") end
print()
