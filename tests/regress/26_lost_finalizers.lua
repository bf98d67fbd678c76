-- asyncrt: --virtual-time
-- Lua loses a finalizer that finds the stack full, and frees its object in the
-- next cycle. What stood behind the object, a listener or a stream, went on to
-- write to that memory once it was closed, at the end of the run if not before;
-- a send found arms in its queue that were not there any more.
local rt = require("asyncrt")
local journal = require("asyncrt.journal")
local net = require("asyncrt.net")
local testing = require("asyncrt.testing")

-- Calls f with so many calls of C above it.
local function beneath(levels, f)
  local function go()
    if levels == 0 then return f() end
    levels = levels - 1
    return string.gsub("x", "x", go)
  end
  return pcall(go)
end

-- The smallest number with which f fails.
local function deepest(f)
  for levels = 1, 250 do
    if not beneath(levels, f) then return levels end
  end
  error("the stack has no end")
end

local lost = 0
local mark = { __gc = function() lost = lost - 1 end }

-- Drops what `make` returns, and collects it on a stack with no room for
-- finalizers; then once more, which frees it.
local function lose(make)
  local full = deepest(collectgarbage)
  collectgarbage("stop")
  for levels = full - 6, full - 1 do
    for _ = 1, 2 do
      setmetatable({}, mark)
      lost = lost + 1
      make()
    end
    beneath(levels, collectgarbage)
  end
  collectgarbage("restart")
  collectgarbage()
  collectgarbage()
end

warn("@off")
local path = os.tmpname()
local channel = rt.channel(4)
local gone = rt.arms()
gone.x = channel:recv_evt()
lose(function() return net.listen("127.0.0.1:0") end)
lose(function() return testing.listener() end)
lose(function() return testing.stream_pair() end)
lose(function() return rt.signal("USR1") end)
lose(function() return (journal.open(path)) end)
lose(function()
  local arms = rt.arms({ channel:recv_evt() })
  rt.poll(arms)
end)
rt.timeout(1, function()
  lose(function() return rt.deadline(1) end)
end)
os.remove(path)
assert(lost > 0)
channel:send(1)
assert(channel:recv() == 1)
