-- One of everything; with an argument of false only loads what it needs.
local rt = require("asyncrt")
if not ... then return end

local function closer(f) return setmetatable({}, { __close = f }) end

-- Tasks, joins, errors.
local function work(n)
  if n > 0 then
    rt.spawn(work, n - 1)
    rt.yield()
  end
  return n
end
rt.spawn(work, 3):await()
pcall(rt.group, function(g)
  g:spawn(rt.sleep, 5)
  g:spawn(function()
    rt.sleep(1)
    error("expected")
  end)
  local _ <close> = closer(function() rt.shield(5, rt.sleep, 1) end)
  rt.sleep(9)
end)
rt.group({ on_error = "collect", limit = 2 }, function(g)
  for i = 1, 5 do g:spawn_with({ name = "n" .. i, daemon = i == 1 }, rt.sleep, i) end
  local failed = g:spawn(error, "text")
  failed:join()
  local _ = failed:where()
  for task in g:completed() do task:name() end
end)

-- Channels and select.
local ch, big = rt.channel(2), rt.channel(math.huge)
local reader = rt.spawn(function()
  local sum = 0
  for v in ch:iter() do sum = sum + v end
  return sum
end)
for i = 1, 6 do
  ch:send(i)
  big:send({ i })
end
ch:close()
assert(reader:await() == 21)
local e = rt.event()
local watcher = rt.spawn(function() return rt.select({ a = e, b = rt.channel(), t = 9 }) end)
rt.yield()
e:set(1, 2)
watcher:join()
local nack
rt.select({
  rt.with_nack(function(n)
    nack = n
    return rt.choose(rt.never, rt.after(7)):wrap(function() end)
  end),
  rt.guard(function() return rt.after(1) end),
})
assert(nack:is_set())
rt.poll({ big, ch, e })
rt.sync_timeout(1, rt.choose(ch, rt.never))

-- Coroutines.
local g = coroutine.wrap(function()
  local _ <close> = closer(rt.yield)
  for i = 1, 3 do
    rt.sleep(1)
    coroutine.yield(i)
  end
  error("of the generator")
end)
for _ = 1, 3 do g() end
pcall(g)
rt.timeout(1, function()
  local co = coroutine.create(function()
    local _ <close> = closer(function() rt.cancelled() end)
    coroutine.wrap(rt.sleep)(9)
  end)
  coroutine.resume(co)
end)
pcall(function()
  local _ <close> = rt.deadline(1)
  rt.sleep(5)
end)
