-- The scheduler's workloads, for every host that speaks Lua.
--
-- Each host has a file beside this one that calls it with its vocabulary:
-- channel(n), group(body), sleep(s), sleep_until(t), now(), yield(),
-- first(arms), timeout(s, f), and keep(arms) where it has it. Arguments of the
-- host: WORKLOAD N [K]. Prints lines `metric value`. Works under LuaJIT too: no
-- syntax of Lua 5.4 here.
local host = ...
local name, N, K = arg[1], tonumber(arg[2]), tonumber(arg[3] or 0)

local function out(metric, value)
  print(metric .. " " .. string.format("%.6g", value))
end

-- Pages of this process in memory, in bytes.
local function rss()
  local file = assert(io.open("/proc/self/statm"))
  local _, pages = file:read("*n", "*n")
  file:close()
  return pages * 4096
end

-- The same sequence in every language: Park and Miller's.
local state = 42
local function random(n)
  state = state * 16807 % 2147483647
  return state % n
end

-- Runs f, and prints nanoseconds an operation: of the clock, and of the CPU.
local function measure(operations, f)
  local clock, cpu = host.now(), os.clock()
  f()
  clock, cpu = host.now() - clock, os.clock() - cpu
  out("wall_ns", clock / operations * 1e9)
  out("cpu_ns", cpu / operations * 1e9)
end

local function channels(n, capacity)
  local list = {}
  for i = 1, n do list[i] = host.channel(capacity) end
  return list
end

-- N values, each to one of K channels, by a task beside the one that selects.
local function send_to_any(g, list)
  g:spawn(function()
    for i = 1, N do list[random(K) + 1]:send(i) end
  end)
end

local workloads = {}

function workloads.spawn()
  measure(N, function()
    local count = 0
    local function f() count = count + 1 end
    host.group(function(g)
      for _ = 1, N do g:spawn(f) end
    end)
    assert(count == N)
  end)
end

function workloads.groups()
  measure(N, function()
    local count = 0
    local function f() count = count + 1 end
    local function body(g)
      for _ = 1, 100 do g:spawn(f) end
    end
    for _ = 1, N / 100 do host.group(body) end
    assert(count == N)
  end)
end

function workloads.pingpong()
  local ping, pong = host.channel(0), host.channel(0)
  host.group(function(g)
    g:spawn(function()
      for _ = 1, N do pong:send(ping:recv()) end
    end)
    measure(N, function()
      for i = 1, N do
        ping:send(i)
        pong:recv()
      end
    end)
  end)
end

-- The floor of a ping-pong: what Lua itself asks for two switches and back.
function workloads.resume()
  local co = coroutine.create(function()
    while true do coroutine.yield(1) end
  end)
  local resume = coroutine.resume
  measure(N, function()
    for i = 1, N do
      resume(co, i)
      resume(co, i)
    end
  end)
end

function workloads.yield()
  local each = N / K
  measure(N, function()
    host.group(function(g)
      for _ = 1, K do
        g:spawn(function()
          for _ = 1, each do host.yield() end
        end)
      end
    end)
  end)
end

function workloads.channel()
  local ch = host.channel(128)
  measure(N, function()
    host.group(function(g)
      g:spawn(function()
        for i = 1, N do ch:send(i) end
      end)
      for _ = 1, N do ch:recv() end
    end)
  end)
end

function workloads.producers()
  local ch = host.channel(128)
  measure(N, function()
    host.group(function(g)
      for _ = 1, 64 do
        g:spawn(function()
          for i = 1, N / 64 do ch:send(i) end
        end)
      end
      for _ = 1, N do ch:recv() end
    end)
  end)
end

function workloads.daisy()
  measure(N, function()
    host.group(function(g)
      local first = host.channel(0)
      local left = first
      for _ = 1, N do
        local to, from = left, host.channel(0)
        g:spawn(function() to:send(1 + from:recv()) end)
        left = from
      end
      g:spawn(function() left:send(0) end)
      assert(first:recv() == N)
    end)
  end)
end

-- The table of arms is made for each select.
function workloads.select()
  local list, unpack = channels(K, 0), table.unpack or rawget(_G, "unpack")
  measure(N, function()
    host.group(function(g)
      send_to_any(g, list)
      for _ = 1, N do host.first({ unpack(list) }) end
    end)
  end)
end

local function select_among(arms, list)
  measure(N, function()
    host.group(function(g)
      send_to_any(g, list)
      for _ = 1, N do host.first(arms) end
    end)
  end)
end

-- The table of arms is kept.
function workloads.select_kept()
  local list = channels(K, 0)
  select_among(list, list)
end

-- What the host makes of the table to keep the arms themselves.
function workloads.select_arms()
  local list = channels(K, 0)
  select_among(host.keep(list), list)
end

-- 128 tasks run; whenever one ends, the next one starts. They say so on a
-- channel each, as not every host can wait for the end of a task.
local function pool(keep)
  local size = 128
  local list = channels(size, 0)
  local arms = keep and keep(list) or list
  local function job(done, steps)
    for _ = 1, steps do host.yield() end
    done:send(true)
  end
  measure(N, function()
    host.group(function(g)
      for i = 1, size do g:spawn(job, list[i], random(16) + 1) end
      for ended = 1, N do
        local i = host.first(arms)
        if ended <= N - size then g:spawn(job, list[i], random(16) + 1) end
      end
    end)
  end)
end

function workloads.pool() pool(nil) end

function workloads.pool_arms() pool(host.keep) end

function workloads.timeout()
  local ch = host.channel(1)
  local function f()
    ch:send(1)
    return ch:recv()
  end
  measure(N, function()
    for _ = 1, N do host.timeout(10, f) end
  end)
  local start = host.now()
  for _ = 1, N do f() end
  out("bare_ns", (host.now() - start) / N * 1e9)
end

function workloads.timers()
  local cpu = os.clock()
  host.group(function(g)
    for _ = 1, N do g:spawn(host.sleep, random(1000) / 1000) end
  end)
  out("cpu_ns", (os.clock() - cpu) / N * 1e9)
end

-- N tasks sleep at once. The first is due K seconds after the start, the last
-- one a second later, and no two of them together.
local function sleepers(until_instant)
  collectgarbage()
  collectgarbage()
  local before, cpu, start = rss(), os.clock(), host.now()
  local asleep, disorder, last, late = 0, 0, -1, 0
  local function sleeper(place)
    local due = start + K + place / N
    asleep = asleep + 1
    if until_instant then
      host.sleep_until(due)
    else
      host.sleep(math.max(0, due - host.now()))
    end
    if place < last then disorder = disorder + 1 end
    last = place
    late = math.max(late, host.now() - due)
  end
  host.group(function(g)
    for i = 1, N do g:spawn(sleeper, i * 7919 % N) end
    while asleep < N do host.yield() end
    out("create_s", host.now() - start)
    out("rss", rss())
    out("bytes", (rss() - before) / N)
  end)
  out("disorder", disorder)
  out("late_ms", late * 1e3)
  out("cpu_ns", (os.clock() - cpu) / N * 1e9)
end

-- Each sleeps for the time that is left. A task that loses the CPU between
-- reading the clock and going to sleep is late, so the order means nothing.
function workloads.sleepers()
  sleepers(false)
end

-- Each waits for an instant, so the order in which they wake is determined.
function workloads.wake_order()
  sleepers(true)
end

function workloads.hello()
  print("hello")
end

function workloads.idle()
  out("rss", rss())
end

workloads[name]()
