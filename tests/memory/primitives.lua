-- The other primitives, and in-memory streams.
local rt = require("asyncrt")
local testing = require("asyncrt.testing")
if not ... then return end

local s, m = rt.semaphore(1), rt.mutex()
rt.group(function(g)
  for _ = 1, 3 do
    g:spawn(function()
      local _ <close> = s:acquire()
      local _ <close> = m:acquire()
      rt.sleep(1)
    end)
  end
end)

local a, b = testing.stream_pair()
rt.group(function(g)
  g:spawn(function()
    for i = 1, 5 do a:write(("line %d\n"):format(i)) end
    a:write(("x"):rep(100000))
    a:close()
  end)
  for _ = 1, 5 do b:read_line() end
  local size = 0
  for chunk in b:chunks() do size = size + #chunk end
  assert(size == 100000)
end)
b:close()

local all = { rt.all(function() return 1 end, function() rt.sleep(1) return 2 end) }
assert(all[2] == 2)
rt.race(function() rt.sleep(1) end, function() rt.sleep(2) end)
assert(#rt.tasks() == 1)

-- Deep generators and long queues.
local function nest(depth)
  if depth == 0 then
    rt.sleep(1)
    return coroutine.yield(depth)
  end
  for value in coroutine.wrap(function() nest(depth - 1) end) do coroutine.yield(value) end
end
for _ in coroutine.wrap(function() nest(10) end) do end
local ch = rt.channel()
for i = 1, 40 do rt.spawn(function() ch:send(i) end) end
local sum = 0
for _ = 1, 40 do
  local _, v = rt.select({ ch, 5, rt.never })
  sum = sum + v
end
assert(sum == 820)
