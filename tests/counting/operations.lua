-- asyncrt: --virtual-time
--
-- What an operation allocates, exactly: nothing, or what it is there to make.
local rt = require("asyncrt")
local testing = require("asyncrt.testing")

local ROUNDS = 1000
local failures = 0

local count = count -- luacheck: ignore 113
local names = { "lua_allocations", "lua_blocks", "mallocs", "blocks" }
local before, after = {}, {}

local function read_counts(into)
  for i = 1, #names do into[i] = count(names[i]) end
end

--- Calls `round` often enough for pools and tables to have their size, then
--- ROUNDS times, while nothing is collected. `expected` has for each count what
--- one round adds to it; what it leaves out adds nothing.
local function check(name, round, expected)
  for _ = 1, 300 do round() end
  collectgarbage()
  collectgarbage()
  collectgarbage("stop")
  for _ = 1, 300 do round() end
  read_counts(before)
  read_counts(after)
  read_counts(before)
  for _ = 1, ROUNDS do round() end
  read_counts(after)
  collectgarbage("restart")
  for i, what in ipairs(names) do
    local got = after[i] - before[i]
    local wanted = (expected and expected[what] or 0) * ROUNDS
    if got ~= wanted then
      failures = failures + 1
      print(("%s: %d %s in %d rounds, not %d"):format(name, got, what, ROUNDS, wanted))
    end
  end
end

-- Runs `round` against a task that does `other` for ever.
local function check_against(name, other, round, expected)
  local task = rt.spawn(function()
    while true do other() end
  end)
  rt.yield()
  check(name, round, expected)
  task:cancel()
  task:join()
end

check("yield", rt.yield)
check("sleep", function() rt.sleep(0.25) end)

local co = coroutine.wrap(function()
  while true do coroutine.yield() end
end)
check("a coroutine", co)
check("a sleep in a coroutine", coroutine.wrap(function()
  while true do
    rt.sleep(1)
    coroutine.yield()
  end
end))

local buffered = rt.channel(8)
check("send and recv", function()
  buffered:send(1)
  buffered:recv()
end)

local meeting = rt.channel()
check_against("a rendezvous", function() meeting:recv() end,
  function() meeting:send(1) end)

local a, b = rt.channel(), rt.channel()
local kept = { a = a, b = b, limit = 5 }
local arms = rt.arms(kept)
local many = rt.arms()
for i = 1, 1000 do many[i] = rt.channel() end
check_against("select, a kept table", function()
  a:send(1)
  b:send(2)
end, function() rt.select(kept) end)
check_against("select, rt.arms", function()
  a:send(1)
  b:send(2)
end, function() rt.select(arms) end)
check_against("select, rt.arms of 1,000", function()
  many[500]:send(1)
  many[1000]:send(2)
end, function() rt.select(many) end)
check("select that times out", function() rt.select(kept) end)
check("poll", function() rt.poll(kept) end)

local ready = rt.channel(1)
local function send_and_recv()
  ready:send(1)
  return ready:recv()
end
check("a time limit around what is ready",
  function() rt.timeout(10, send_and_recv) end)
-- Lua calls the handler of the error one level deeper, and frees that level.
check("a time limit that strikes", function() rt.timeout(1, rt.sleep, 5) end,
  { lua_allocations = 1 })

local semaphore, mutex = rt.semaphore(2), rt.mutex()
local function nothing() end
check("semaphore:with", function() semaphore:with(nothing) end)
check("mutex:with", function() mutex:with(nothing) end)
check("a permit", function()
  local permit <close> = semaphore:acquire() -- luacheck: ignore 211
end, { lua_allocations = 1, lua_blocks = 1 })

local cond, watch, ticker = rt.cond(), rt.watch(0), rt.ticker(1)
check_against("cond", function() cond:wait() end, function()
  cond:notify()
  rt.yield()
end)
check_against("watch", function() watch:changed() end, function()
  watch:set(1)
  rt.yield()
end)
check("ticker", function() ticker:wait() end)

local bus = rt.broadcast(4)
local subscription = bus:subscribe()
check("broadcast", function()
  bus:send(1)
  subscription:recv()
end)

-- A task is its userdata, and a thread that is used again.
check("spawn and join", function() rt.spawn(nothing):join() end,
  { lua_allocations = 1, lua_blocks = 1 })

local near, far = testing.stream_pair()
local buffer = rt.buffer(64)
-- What was written waits in a chunk until it is read.
check("write, and read_into a buffer", function()
  far:write("twelve bytes")
  near:read_into(buffer)
end, { mallocs = 1 })

assert(failures == 0)
