-- asyncrt: --virtual-time --seed=7
-- Streams and listeners in memory, under virtual time.
local harness = require("harness")
local lu = require("luaunit")
local rt = require("asyncrt")
local testing = require("asyncrt.testing")

local opened = {} -- in a test of TestStreamPair

local function pair(options)
  local a, b = testing.stream_pair(options)
  opened[#opened + 1], opened[#opened + 2] = a, b
  return a, b
end

-- What the reader of a pair gets, and when, of `count` writes.
local function trace(options, count)
  local a, b = pair(options)
  local start = rt.now()
  local events = {}
  local reader = rt.spawn(function()
    while true do
      local chunk, _, code = b:read()
      events[#events + 1] = ("%.6f %s"):format(rt.now() - start, chunk or code)
      if not chunk then return end
    end
  end)
  for i = 1, count do
    if not a:write(("<%d>"):format(i)) then break end
    rt.sleep(0.5)
  end
  a:close()
  reader:join()
  b:close()
  return events
end

TestStreamPair = {}

function TestStreamPair:tearDown()
  for _, stream in ipairs(opened) do stream:close() end
  opened = {}
end

function TestStreamPair:test_bytes_arrive_at_once()
  local a, b = pair()
  local before = rt.now()
  rt.spawn(a.write, a, "x")

  lu.assertEquals(b:read(), "x")

  lu.assertEquals(rt.now(), before)
end

function TestStreamPair:test_bytes_arrive_after_the_delay()
  local a, b = pair({ delay = 3 })
  local before = rt.now()

  a:write("x")
  lu.assertEquals(b:read(), "x")
  lu.assertEquals(rt.now() - before, 3.0)
  a:close()
  lu.assertNil(b:read())

  lu.assertEquals(rt.now() - before, 6.0)
end

function TestStreamPair:test_a_jitter_of_microseconds_is_one()
  local a, b = pair({ jitter = 1e-5 })
  local start, times = rt.now(), {}
  for _ = 1, 50 do
    a:write("x")
    b:read()
    times[rt.now()] = true
  end

  lu.assertNotNil(next(times, next(times)))
  lu.assertTrue(rt.now() > start and rt.now() - start <= 50e-5)
end

function TestStreamPair:test_delayed_bytes_are_not_for_a_poll()
  local a, b = pair({ delay = 1 })
  a:write("x")

  lu.assertNil(rt.poll({ b:read_evt() }))
  lu.assertEquals(rt.select({ read = b:read_evt(), late = 0.5 }), "late")
  lu.assertEquals({ rt.select({ read = b:read_evt(), late = 0.6 }) },
    { "read", "x" })
end

function TestStreamPair:test_jitter_keeps_the_order()
  local a, b = pair({ delay = 1, jitter = 2 })
  for i = 1, 50 do a:write(i .. " ") end
  a:close()

  local got = {}
  for number in b:read_all():gmatch("%d+") do got[#got + 1] = number end

  lu.assertEquals(#got, 50)
  for i = 1, 50 do lu.assertEquals(got[i], tostring(i)) end
end

function TestStreamPair:test_split_cuts_anywhere_and_loses_nothing()
  local a, b = pair({ split = true })
  local sent = ("0123456789"):rep(500)
  a:write(sent)
  a:close()

  local sizes, got = {}, {}
  for chunk in b:chunks() do
    got[#got + 1] = chunk
    sizes[#chunk] = true
  end

  lu.assertEquals(table.concat(got), sent)
  lu.assertTrue(#got > 1)
  lu.assertNotNil(next(sizes, next(sizes)))
end

function TestStreamPair:test_a_reset_is_seen_by_both_ends()
  local a, b = pair({ reset = 1 })

  local ok, message, code = a:write("x")

  lu.assertNil(ok)
  lu.assertEquals(message, "write memory: connection reset by peer")
  lu.assertEquals(code, "ECONNRESET")
  lu.assertEquals(select(3, a:read()), "ECONNRESET")
  lu.assertEquals(select(3, b:read()), "ECONNRESET")
  lu.assertEquals(select(3, b:write("y")), "ECONNRESET")
end

function TestStreamPair:test_a_half_close_ends_one_direction()
  local a, b = pair({ half_close = 1 })

  lu.assertEquals(a:write("last"), true)

  lu.assertEquals(select(3, a:write("more")), "EPIPE")
  lu.assertEquals(b:read_all(), "last")
  lu.assertEquals(b:write("answer"), true)
  lu.assertEquals(a:read_all(), "answer")
end

function TestStreamPair:test_the_faults_happen_now_and_then()
  local resets = 0
  for _ = 1, 200 do
    local events = trace({ reset = 0.1 }, 3)
    if events[#events]:find("ECONNRESET") then resets = resets + 1 end
  end

  lu.assertTrue(resets > 20 and resets < 100, resets)
end

function TestStreamPair:test_the_high_water_mark_counts_unread_bytes()
  local a, b = pair(4)
  a:write("123")
  a:write("456") -- 3 bytes are below the mark
  local writer = rt.spawn(function() return a:write("7"), rt.now() end)
  local before = rt.now()
  rt.sleep(1)

  lu.assertEquals(b:read(3), "123")

  lu.assertEquals({ writer:await() }, { true, before + 1 })
  lu.assertEquals(b:read_exact(4), "4567")
end

function TestStreamPair:test_a_write_to_a_closed_end_fails()
  local a, b = pair()
  b:close()

  lu.assertEquals(select(3, a:write("x")), "EPIPE")
  lu.assertNil(a:read())
end

function TestStreamPair:test_bytes_survive_the_close_of_their_writer()
  local a, b = pair({ delay = 1 })
  a:write("x")
  a:close()

  lu.assertEquals(b:read_all(), "x")
end

function TestStreamPair:test_limits_are_kept_in_virtual_time()
  local a, b = pair()
  local before = rt.now()
  a:timeouts({ read = 3600 })

  lu.assertEquals(select(3, a:read()), "ETIMEDOUT")

  lu.assertEquals(rt.now() - before, 3600.0)
  b:close() -- held until here: a stream that is collected is closed
end

function TestStreamPair:test_an_idle_limit_in_virtual_time()
  local a, b = pair()
  local start = rt.now()
  a:timeouts({ idle = 10 })
  local writer = rt.spawn(function()
    for _ = 1, 5 do
      rt.sleep(9)
      b:write(".")
    end
  end)

  lu.assertEquals(a:read_exact(5), ".....")
  lu.assertEquals(rt.now() - start, 45.0)
  rt.sleep(100) -- while nothing waits, nothing is idle
  lu.assertEquals(select(3, a:read()), "ETIMEDOUT")

  lu.assertEquals(rt.now() - start, 155.0)
  writer:join()
end

function TestStreamPair:test_wrong_options_raise()
  local function raises(problem, options)
    local ok, message = pcall(testing.stream_pair, options)
    lu.assertFalse(ok)
    lu.assertStrContains(message, problem)
  end

  raises("unknown option 'lag'", { lag = 1 })
  raises("option 'delay'", { delay = -1 })
  raises("option 'jitter'", { jitter = 1e300 })
  raises("option 'reset': number from 0 to 1 expected", { reset = 1.1 })
  raises("option 'half_close': number from 0 to 1 expected",
    { half_close = 0 / 0 })
  raises("option 'split': boolean expected", { split = 1 })
  raises("option 'high_water'", { high_water = 0 })
  raises("integer from 1", 0)
  raises("table expected", "x")
end

TestListener = {}

function TestListener:test_dialled_connections_are_accepted_in_order()
  local listener <close> = testing.listener()
  local a <close> = listener:dial()
  local b <close> = listener:dial()
  a:write("first")
  b:write("second")

  local first <close> = listener:accept()
  local second <close> = listener:accept()
  lu.assertEquals(first:read(), "first")
  lu.assertEquals(second:read(), "second")
end

function TestListener:test_a_close_resets_what_was_not_accepted()
  local listener <close> = testing.listener()
  local conn <close> = listener:dial()

  listener:close()

  lu.assertEquals(select(3, conn:read()), "ECONNRESET")
  lu.assertEquals({ listener:dial() },
    { nil, "dial memory: connection refused", "ECONNREFUSED" })
end

function TestListener:test_a_waiting_acceptor_is_woken()
  local listener <close> = testing.listener()
  local acceptor = rt.spawn(listener.accept, listener)
  rt.yield()

  local conn <close> = listener:dial()

  conn:write("x")
  local accepted <close> = acceptor:await()
  lu.assertEquals(accepted:read(), "x")
end

function TestListener:test_its_options_are_those_of_the_connections()
  local listener <close> = testing.listener({ delay = 5 })
  local conn <close> = listener:dial()
  local before = rt.now()

  conn:write("x")

  local accepted <close> = listener:accept()
  lu.assertEquals(accepted:read(), "x")
  lu.assertEquals(rt.now() - before, 5.0)
end

TestCopyAndWrite = {}

function TestCopyAndWrite:test_a_copy_raises_where_a_write_waits_and_loses_nothing()
  for _, write in ipairs({
    function(to) return to:write("tail") end,
    function(to) return select(2, rt.select({ to:write_evt("tail"), rt.never })) end,
  }) do
    local source, from = testing.stream_pair()
    local to, sink = testing.stream_pair(10)
    local copier = rt.spawn(pcall, rt.copy, from, to)
    rt.yield()
    to:write(("x"):rep(20))
    local writer = rt.spawn(write, to)
    rt.yield()
    source:write("bytes")
    local _, copied, err = copier:join()

    lu.assertFalse(copied)
    lu.assertStrContains(err, "another task is already writing")
    lu.assertEquals(sink:read(20), ("x"):rep(20))
    lu.assertEquals({ writer:join() }, { true, true })
    lu.assertEquals({ sink:read(), from:read() }, { "tail", "bytes" })
    for _, stream in ipairs({ source, from, to, sink }) do stream:close() end
  end
end

harness.run()
