-- The figures in docs/reference/memory.md are those of the allocators: what
-- hundreds of a thing take, Lua's bytes and malloc's, divided by their number.
local net = require("asyncrt.net")
local rt = require("asyncrt")

local COUNT, CONNECTIONS, MARGIN = 1000, 200, 0.03
local POOLED = 300 -- more than the runtime keeps
local count = count -- luacheck: ignore 113

-- The figures of the table by the first column.
local function documented()
  local page <close> = assert(io.open("docs/reference/memory.md"))
  local figures = {}
  for line in page:lines() do
    local name, bytes = line:match("^| ([^|]-) | ([%d,]+) |")
    if name then figures[name] = tonumber((bytes:gsub(",", ""))) end
  end
  return figures
end

local function bytes()
  collectgarbage()
  collectgarbage()
  return count("lua_bytes") + count("bytes")
end

local figures, failures = documented(), 0

-- `make(i)` makes one, or two, and returns what is to be kept. Calls it `calls`
-- times.
local function check(name, make, calls, two)
  local kept = {}
  for i = 1, calls do kept[i] = false end
  local before = bytes()
  for i = 1, calls do kept[i] = make(i) or false end
  for _ = 1, calls do rt.yield() end
  local each = (bytes() - before) / calls / (two and 2 or 1)
  local figure = figures[name]
  if not figure or math.abs(each - figure) > MARGIN * figure then
    failures = failures + 1
    print(("%s: %.0f bytes, documented are %s"):format(name, each, figure))
  end
  return kept
end

-- Threads of ended tasks serve new ones: others hold these meanwhile.
local function in_group(f)
  rt.group(function(g)
    for _ = 1, POOLED do g:spawn(rt.sleep, 1000) end
    rt.yield()
    f(g)
    g:cancel()
  end)
end

-- Pools and tables get their size.
in_group(function(g)
  for _ = 1, COUNT do g:spawn(rt.sleep, 1000) end
  rt.yield()
end)

in_group(function(g)
  check("a task that sleeps", function() g:spawn(rt.sleep, 1000) end, COUNT)
end)
in_group(function(g)
  local ch = rt.channel()
  check("a task that waits in ten functions", function()
    local function f(n)
      if n == 1 then return (ch:recv()) end
      return (f(n - 1))
    end
    g:spawn(f, 10)
  end, COUNT)
end)
check("a task that has ended", function() return rt.spawn(rt.yield) end, COUNT)
check("a channel", function() return rt.channel() end, COUNT)
check("a channel of 100", function() return rt.channel(100) end, COUNT)
do
  local numbers, texts = rt.channel(COUNT), rt.channel(COUNT)
  check("a number in a channel", function(i) numbers:send(i + 0.5) end, COUNT)
  check("a string of 100 bytes in a channel",
    function(i) texts:send(("%08d"):format(i) .. ("."):rep(92)) end, COUNT)
end
do
  local arms = rt.arms()
  check("an arm of rt.arms, beside its event", function(i) arms[i] = rt.never end, COUNT)
end

in_group(function(g)
  local listener <close> = assert(net.listen("127.0.0.1:0"))
  local accepted = {}
  for i = 1, CONNECTIONS do accepted[i] = false end
  local clients = check("a connection", function(i)
    local client = assert(net.connect(listener:address()))
    accepted[i] = assert(listener:accept())
    return client
  end, CONNECTIONS, true)
  check("a task that reads from it", function(i)
    g:spawn(function() accepted[i]:read() end)
  end, CONNECTIONS)
  for i = 1, CONNECTIONS do
    clients[i]:reset()
    accepted[i]:reset()
  end
end)
assert(failures == 0)
