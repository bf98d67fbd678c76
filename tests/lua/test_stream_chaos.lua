-- asyncrt: --virtual-time --seed=11 --random-order
-- directly: it leaves streams to the collector
-- Random calls on shared streams that fail at random: whatever is called, each
-- call returns, and nothing waits for ever.
local harness = require("harness")
local lu = require("luaunit")
local rt = require("asyncrt")
local testing = require("asyncrt.testing")

local random = math.random

local function pick(pool)
  return pool[random(#pool)]
end

local function take(pool)
  return #pool > 1 and table.remove(pool, random(#pool)) or pool[1]
end

-- What a task may do with the streams in `pool` and their listener.
local actions = {
  function(pool, listener) pool[#pool + 1] = listener:dial() end,
  function(pool, listener)
    local conn = listener:accept()
    pool[#pool + 1] = conn
  end,
  function(pool, listener)
    local _, conn = rt.select({ listener, random() * 0.02 })
    pool[#pool + 1] = conn
  end,
  function(pool) pick(pool):write(("x"):rep(random(200000))) end,
  function(pool) pick(pool):write({ "a\n", ("b"):rep(random(99)), "\n" }) end,
  function(pool) pick(pool):read(random(70000)) end,
  function(pool) pick(pool):read_exact(random(5000)) end,
  function(pool) pick(pool):read_line() end,
  function(pool) pick(pool):read_until("x\n", { max = random(2, 500) }) end,
  function(pool) pick(pool):read_all({ max = random(10000) }) end,
  function(pool) pick(pool):peek(random(100)) end,
  function(pool)
    local buffer = rt.buffer(random(100))
    if pick(pool):read_into(buffer) then pick(pool):write(buffer) end
  end,
  function(pool) rt.copy(pick(pool), pick(pool), { max = random(300000) }) end,
  function(pool)
    pick(pool):timeouts({ read = random() * 0.01, idle = random() * 0.02 })
  end,
  function(pool) pick(pool):timeouts({ write = random() * 0.01 }) end,
  function(pool)
    local a, b = pick(pool), pick(pool)
    rt.select({
      a:read_evt(), a:peek_evt(3), a:read_line_evt(), b:write_evt("z"),
      b:flush_evt(), pick(pool):read_exact_evt(random(3000)), 0.01,
    })
  end,
  function(pool) rt.poll({ pick(pool):read_evt() }) end,
  function(pool) pick(pool):flush() end,
  function(pool) pick(pool):shutdown() end,
  function(pool) take(pool):close() end,
  function(pool) take(pool):reset() end,
  function(pool) take(pool) end, -- for the collector
}

local function run(options)
  local listener <close> = testing.listener(options)
  local pool = { listener:dial() }
  rt.group({ on_error = "collect" }, function(tasks)
    local started = {}
    for _ = 1, 100 do
      for _ = 1, 5 do
        started[#started + 1] = tasks:spawn(rt.timeout, random() * 0.05,
          pick(actions), pool, listener)
      end
      if random(3) == 1 then pick(started):cancel() end
      if random(9) == 1 then collectgarbage() end
      rt.sleep(random() * 0.002)
    end
    for _, task in ipairs(started) do
      local ok, message = task:join()
      if not ok and message ~= "cancelled" then
        lu.assertStrContains(message, "another task is already")
      end
    end
  end)
  for _, stream in ipairs(pool) do stream:close() end
end

TestChaos = {}

function TestChaos:test_random_calls_on_streams_that_fail_at_random()
  for seed = 1, 15 do
    math.randomseed(seed)
    run({
      split = random(2) == 1,
      delay = random(3) == 1 and 0.001 or 0,
      jitter = random(3) == 1 and 0.002 or 0,
      reset = random(4) == 1 and 0.02 or 0,
      half_close = random(4) == 1 and 0.02 or 0,
      high_water = random(2) == 1 and 10 or 65536,
    })
  end
end

harness.run()
