--- The tests of streams, for every kind of them.
local lu = require("luaunit")
local rt = require("asyncrt")
local testing = require("asyncrt.testing")

local BIG = ("x"):rep(1 << 10):rep(1 << 13) -- more than any socket takes

local function yield(times)
  for _ = 1, times or 3 do rt.yield() end
end

-- Lets everything that is under way arrive.
local function settle()
  rt.sleep(0.005)
end

-- The tests of all kinds; `self.pair()` makes two ends.
local Stream = {}

function Stream:setUp()
  self.a, self.b = self.pair()
end

function Stream:tearDown()
  self.a:close()
  self.b:close()
  if self.c then
    self.c:close()
    self.d:close()
    self.c, self.d = nil, nil
  end
  yield()
end

function Stream:test_a_read_gets_what_was_written()
  lu.assertEquals(self.a:write("hello"), true)

  lu.assertEquals(self.b:read(), "hello")
end

function Stream:test_a_read_waits_for_bytes()
  local reader = rt.spawn(function() return self.b:read() end)
  yield()
  lu.assertEquals(reader:status(), "waiting")

  self.a:write("late")

  lu.assertEquals(reader:await(), "late")
end

function Stream:test_a_read_takes_at_most_n_bytes()
  self.a:write("abcdef")
  settle()

  lu.assertEquals(self.b:read(2), "ab")
  lu.assertEquals(self.b:read(3), "cde")
  lu.assertEquals(self.b:read(), "f")
end

function Stream:test_the_end_of_a_stream_is_nil_alone()
  self.a:write("x")
  self.a:close()

  lu.assertEquals(self.b:read(), "x")
  lu.assertEquals(table.pack(self.b:read()), { n = 1 })
  lu.assertEquals(table.pack(self.b:read_line()), { n = 1 })
  lu.assertEquals(table.pack(self.b:read_exact(4)), { n = 1 })
  lu.assertEquals(table.pack(self.b:read_until("x")), { n = 1 })
  lu.assertEquals(self.b:read_all(), "")
end

function Stream:test_the_end_ends_reading_only()
  self.a:shutdown()
  lu.assertNil(self.b:read())

  lu.assertEquals(self.b:write("still here"), true)

  lu.assertEquals(self.a:read(), "still here")
end

function Stream:test_shutdown_comes_after_what_was_written()
  local payload = ("x"):rep(1 << 10):rep(1 << 10)
  local reader = rt.spawn(function() return self.b:read_all() end)

  lu.assertEquals(self.a:write(payload), true)
  lu.assertEquals(self.a:shutdown(), true)
  lu.assertEquals(self.a:shutdown(), true)

  lu.assertEquals(#reader:await(), 1 << 20)
end

function Stream:test_a_write_after_shutdown_fails()
  self.a:shutdown()

  local ok, message, code = self.a:write("x")

  lu.assertNil(ok)
  lu.assertStrContains(message, "write ")
  lu.assertEquals(code, "EPIPE")
end

function Stream:test_read_exact_waits_for_all_its_bytes()
  local reader = rt.spawn(function() return self.b:read_exact(6) end)
  for _, part in ipairs({ "ab", "cd" }) do
    self.a:write(part)
    settle()
    lu.assertEquals(reader:status(), "waiting")
  end

  self.a:write("efg")

  lu.assertEquals(reader:await(), "abcdef")
  lu.assertEquals(self.b:read(), "g")
end

function Stream:test_read_exact_of_nothing_is_an_empty_string()
  lu.assertEquals(self.b:read_exact(0), "")
end

function Stream:test_read_exact_of_a_megabyte()
  local payload = ("0123456789abcdef"):rep(1 << 16)
  local writer = rt.spawn(function() return self.a:write(payload .. "tail") end)

  lu.assertTrue(self.b:read_exact(#payload) == payload)
  lu.assertEquals(self.b:read_exact(4), "tail")
  lu.assertEquals(writer:await(), true)
end

function Stream:test_a_partial_read_exact_gives_what_there_was()
  self.a:write("abc")
  self.a:close()

  lu.assertEquals(table.pack(self.b:read_exact(4)), {
    n = 4, nil, "unexpected end of stream", "EOF", "abc",
  })
  lu.assertEquals(table.pack(self.b:read()), { n = 1 })
end

function Stream:test_lines_end_with_either_terminator()
  self.a:write("one\ntwo\r\n\nfo\rur\nlast")
  self.a:close()

  lu.assertEquals(self.b:read_line(), "one")
  lu.assertEquals(self.b:read_line(), "two")
  lu.assertEquals(self.b:read_line(), "")
  lu.assertEquals(self.b:read_line(), "fo\rur")
  lu.assertEquals(self.b:read_line(), "last")
  lu.assertNil(self.b:read_line())
end

function Stream:test_a_line_arrives_byte_by_byte()
  local reader = rt.spawn(function() return self.b:read_line() end)

  for byte in ("slow\r\nx"):gmatch(".") do
    self.a:write(byte)
    settle()
  end

  lu.assertEquals(reader:await(), "slow")
  lu.assertEquals(self.b:read(), "x")
end

function Stream:test_a_line_over_the_limit_stays_unread()
  self.a:write("12345\n")

  local line, message, code = self.b:read_line({ max = 4 })

  lu.assertNil(line)
  lu.assertStrContains(message, "more than 4 bytes")
  lu.assertEquals(code, "ELIMIT")
  lu.assertEquals(self.b:read_line({ max = 5 }), "12345")
end

function Stream:test_the_limit_does_not_count_the_terminator()
  self.a:write("1234\r\n1234\n")

  lu.assertEquals(self.b:read_line({ max = 4 }), "1234")
  lu.assertEquals(self.b:read_line({ max = 4 }), "1234")
end

function Stream:test_an_endless_line_meets_the_limit()
  local writer = rt.spawn(function()
    return self.a:write(("x"):rep(70000))
  end)

  lu.assertEquals(select(3, self.b:read_line()), "ELIMIT")
  writer:join()
end

function Stream:test_read_until_gives_the_delimiter_too()
  self.a:write("a--b-")
  settle()
  local reader = rt.spawn(function() return self.b:read_until("--"),
    self.b:read_until("--") end)
  settle()

  self.a:write("-rest")

  lu.assertEquals({ reader:await() }, { "a--", "b--" })
  lu.assertEquals(self.b:read(), "rest")
end

function Stream:test_read_until_has_a_limit()
  self.a:write("12345;")

  lu.assertEquals(select(3, self.b:read_until(";", { max = 5 })), "ELIMIT")
  lu.assertEquals(self.b:read_until(";", { max = 6 }), "12345;")
end

function Stream:test_read_until_without_delimiter_gives_what_there_was()
  self.a:write("abc")
  self.a:close()

  lu.assertEquals(table.pack(self.b:read_until(";")), {
    n = 4, nil, "unexpected end of stream", "EOF", "abc",
  })
end

function Stream:test_read_all_waits_for_the_end()
  local reader = rt.spawn(function() return self.b:read_all() end)
  for i = 1, 3 do
    self.a:write(tostring(i))
    settle()
  end
  lu.assertEquals(reader:status(), "waiting")

  self.a:close()

  lu.assertEquals(reader:await(), "123")
end

function Stream:test_read_all_has_a_limit()
  self.a:write("12345")
  self.a:shutdown()

  lu.assertEquals(select(3, self.b:read_all({ max = 4 })), "ELIMIT")
  lu.assertEquals(self.b:read_all({ max = math.huge }), "12345")
end

function Stream:test_peek_takes_nothing()
  self.a:write("abc")

  lu.assertEquals(self.b:peek(), "a")
  lu.assertEquals(self.b:peek(3), "abc")
  lu.assertEquals(self.b:read(), "abc")
  self.a:write("xy")
  self.a:close()
  lu.assertEquals(self.b:peek(9), "xy")
  lu.assertEquals(self.b:read(), "xy")
  lu.assertNil(self.b:peek())
end

function Stream:test_chunks_end_with_the_stream()
  self.a:write("abc")
  self.a:close()

  local got = {}
  for chunk in self.b:chunks(2) do got[#got + 1] = chunk end

  lu.assertEquals(table.concat(got), "abc")
end

function Stream:test_lines_iterate()
  self.a:write("a\nb\r\nc")
  self.a:close()

  local got = {}
  for line in self.b:lines() do got[#got + 1] = line end

  lu.assertEquals(got, { "a", "b", "c" })
end

function Stream:test_a_failing_iteration_raises()
  self.a:write("too long\n")

  lu.assertErrorMsgContains("more than 3 bytes", function()
    for _ in self.b:lines({ max = 3 }) do lu.fail("no line expected") end
  end)
  self.b:close()
  lu.assertErrorMsgContains("closed", function()
    for _ in self.b:chunks() do lu.fail("no chunk expected") end
  end)
end

function Stream:test_a_table_of_strings_is_written_in_order()
  local parts = {}
  for i = 1, 200 do parts[i] = i % 2 == 0 and i or tostring(i) .. "," end
  parts[201] = ""

  lu.assertEquals(self.a:write(parts), true)
  lu.assertEquals(self.a:write({}), true)
  lu.assertEquals(self.a:write({ "", "" }), true)
  lu.assertEquals(self.a:write(""), true)
  self.a:close()

  lu.assertEquals(self.b:read_all(), table.concat(parts))
end

function Stream:test_a_table_that_waits_is_written_as_it_was()
  self.a:write(BIG)
  local parts = { "one", "two" }
  local writer = rt.spawn(function() return self.a:write(parts) end)
  yield()
  parts[1] = nil
  local reader = rt.spawn(function() return self.b:read_exact(#BIG) end)

  lu.assertEquals(#reader:await(), #BIG)
  lu.assertEquals(writer:await(), true)
  lu.assertEquals(self.b:read_exact(6), "onetwo")
end

function Stream:test_a_write_waits_while_much_is_queued()
  lu.assertEquals(self.a:write(BIG), true)
  local writer = rt.spawn(function() return self.a:write("y") end)
  yield()
  lu.assertEquals(writer:status(), "waiting")

  local reader = rt.spawn(function() return self.b:read_exact(#BIG) end)

  lu.assertEquals(writer:await(), true)
  lu.assertTrue(reader:await() == BIG)
  lu.assertEquals(self.b:read(), "y")
end

function Stream:test_a_losing_write_writes_nothing()
  self.a:write(BIG)
  lu.assertEquals(rt.select({ write = self.a:write_evt("LOST"), limit = 0.01 }),
    "limit")
  lu.assertNil(rt.timeout(0.01, self.a.write, self.a, "LOST TOO"))

  local reader = rt.spawn(function() return self.b:read_all() end)
  self.a:flush()
  self.a:write("next")
  self.a:close()

  local got = reader:await()
  lu.assertEquals(#got, #BIG + 4)
  lu.assertEquals(got:sub(-5), "xnext")
end

function Stream:test_a_losing_read_takes_nothing()
  self.a:write("ab")
  settle()

  for _, event in ipairs({
    self.b:read_exact_evt(3), self.b:read_line_evt(),
    self.b:read_until_evt("z"), self.b:read_all_evt(), self.b:peek_evt(3),
  }) do
    lu.assertEquals(rt.select({ item = event, late = 0.005 }), "late")
  end
  lu.assertNil(rt.timeout(0.005, self.b.read_exact, self.b, 3))
  lu.assertEquals({ rt.select({ x = self.b:read_evt(1) }) }, { "x", "a" })

  lu.assertEquals(self.b:read(), "b")
end

function Stream:test_an_event_of_a_whole_item_waits_for_it()
  local writer = rt.spawn(function()
    for _, part in ipairs({ "li", "ne\r", "\nrest" }) do
      settle()
      self.a:write(part)
    end
  end)

  lu.assertEquals({ rt.select({ line = self.b:read_line_evt(), t = 5 }) },
    { "line", "line" })
  lu.assertEquals(rt.sync(self.b:read_exact_evt(4)), "rest")
  writer:join()
end

function Stream:test_two_arms_may_read_one_stream()
  local arms = {
    two = self.b:read_exact_evt(2),
    five = self.b:read_exact_evt(5),
  }
  local writer = rt.spawn(function()
    settle()
    self.a:write("abc")
  end)

  lu.assertEquals({ rt.select(arms) }, { "two", "ab" })
  writer:join()
  self.a:write("defg")
  settle()
  arms.two = nil
  lu.assertEquals({ rt.select(arms) }, { "five", "cdefg" })
end

function Stream:test_an_event_can_be_used_again()
  local event = self.b:read_evt(1)
  self.a:write("xy")
  settle()

  lu.assertEquals(rt.sync(event), "x")
  lu.assertEquals(rt.sync(event), "y")
  lu.assertNil(rt.poll({ event }))
end

function Stream:test_a_cancelled_read_takes_nothing()
  local reader = rt.spawn(function() return self.b:read_exact(4) end)
  self.a:write("ab")
  settle()
  reader:cancel()
  lu.assertEquals({ reader:join() }, { false, "cancelled" })

  self.a:write("cd")

  lu.assertEquals(self.b:read_exact(4), "abcd")
end

function Stream:test_a_second_reader_is_misuse()
  local reader = rt.spawn(function() return self.b:read() end)
  yield()

  lu.assertErrorMsgContains("another task is already reading this stream",
    self.b.read, self.b)
  lu.assertErrorMsgContains("already reading", rt.poll, { self.b:read_evt() })
  self.a:write("x")
  lu.assertEquals(reader:await(), "x")
  self.a:write("y")
  lu.assertEquals(self.b:read(), "y")
end

function Stream:test_a_second_writer_is_misuse()
  self.a:write(BIG)
  local writer = rt.spawn(function() return self.a:write("y") end)
  yield()

  lu.assertErrorMsgContains("another task is already writing to this stream",
    self.a.write, self.a, "z")
  lu.assertErrorMsgContains("already writing", self.a.flush, self.a)
  writer:cancel()
  writer:join()
  self.a:reset()
end

function Stream:test_one_task_reads_while_another_writes()
  local echo = rt.spawn(function()
    for chunk in self.b:chunks() do self.b:write(chunk) end
    self.b:shutdown()
  end)
  local writer = rt.spawn(function()
    for _ = 1, 100 do self.a:write(("z"):rep(10007)) end
    self.a:shutdown()
  end)

  lu.assertEquals(#self.a:read_all(), 100 * 10007)
  echo:join()
  writer:join()
end

function Stream:test_close_wakes_a_blocked_reader()
  local reader = rt.spawn(function() return self.b:read() end)
  local other = rt.spawn(function() return self.a:read_exact(9) end)
  yield()

  lu.assertEquals(self.b:close(), true)

  lu.assertEquals({ reader:join() }, { true, nil, "closed", "ECLOSED" })
  lu.assertEquals({ other:join() }, { true, nil })
end

function Stream:test_close_wakes_a_blocked_writer()
  self.a:write(BIG)
  local writer = rt.spawn(function() return self.a:write("y") end)
  yield()

  self.a:reset()

  lu.assertEquals({ writer:join() }, { true, nil, "closed", "ECLOSED" })
end

function Stream:test_close_wakes_a_select()
  local waiter = rt.spawn(rt.select,
    { r = self.b:read_evt(), e = self.b:read_exact_evt(3), t = 5 })
  yield()

  self.b:close()

  local ok, key, value, message, code = waiter:join()
  lu.assertEquals({ ok, value, message, code },
    { true, nil, "closed", "ECLOSED" })
  lu.assertTrue(key == "r" or key == "e")
end

function Stream:test_every_call_on_a_closed_stream_says_closed()
  self.b:close()
  lu.assertEquals(self.b:close(), true)
  lu.assertEquals(self.b:reset(), true)
  lu.assertTrue(self.b:is_closed())
  lu.assertEquals(tostring(self.b), "stream (closed)")

  local calls = {
    read = {}, read_exact = { 1 }, read_line = {}, read_until = { "x" },
    read_all = {}, peek = {}, write = { "x" }, flush = {}, shutdown = {},
    address = {}, peer = {}, nodelay = {}, keepalive = { 1 },
    timeouts = { { read = 1 } },
  }
  for name, arguments in pairs(calls) do
    lu.assertEquals(
      table.pack(self.b[name](self.b, table.unpack(arguments))),
      { n = 3, nil, "closed", "ECLOSED" }, name)
  end
  lu.assertEquals({ rt.select({ e = self.b:read_evt() }) },
    { "e", nil, "closed", "ECLOSED" })
end

function Stream:test_close_still_sends_what_was_written()
  local payload = BIG
  self.a:write(payload)
  self.a:close()

  lu.assertTrue(self.b:read_all() == payload)
end

function Stream:test_reset_drops_what_was_written()
  self.a:write(BIG)
  self.a:reset()
  settle()

  local _, message, code
  repeat _, message, code = self.b:read() until not _

  lu.assertEquals(code, "ECONNRESET")
  lu.assertStrContains(message, "read ")
  lu.assertStrContains(message, ": connection reset by peer")
  lu.assertEquals(select(3, self.b:read()), "ECONNRESET")
end

function Stream:test_a_reset_wakes_a_blocked_writer()
  self.a:write(BIG)
  local writer = rt.spawn(function() return self.a:write("y") end)
  yield()

  self.b:reset()

  local ok, result, message, code = writer:join()
  lu.assertEquals({ ok, result }, { true, nil })
  lu.assertTrue(code == "ECONNRESET" or code == "EPIPE", message)
  lu.assertNil(self.a:write("z"))
  lu.assertNil(self.a:flush())
  lu.assertNil(self.a:shutdown())
end

function Stream:test_a_scope_closes_a_stream()
  do
    local stream <close> = self.a
    stream:write("bye")
  end

  lu.assertEquals(self.b:read_all(), "bye")
end

function Stream:test_a_collected_stream_is_closed()
  self.a:write("bye")
  self.a = { close = function() end }
  collectgarbage()
  collectgarbage()
  require("asyncrt.core.test").mark() -- that it was forgotten is no failure

  lu.assertEquals(self.b:read_all(), "bye")
end

function Stream:test_a_read_has_a_time_limit()
  self.b:timeouts({ read = 60 })
  self.a:write("ab")
  lu.assertEquals(self.b:read(), "ab")
  self.a:write("cd")
  settle()
  self.b:timeouts({ read = 0.01 })

  local item, message, code = self.b:read_exact(3)

  lu.assertNil(item)
  lu.assertStrContains(message, "read_exact ")
  lu.assertStrContains(message, "timed out")
  lu.assertEquals(code, "ETIMEDOUT")
  lu.assertEquals(self.b:read(), "cd")
  lu.assertEquals(select(3, self.b:read()), "ETIMEDOUT")
  self.b:timeouts({ read = math.huge })
  lu.assertEquals(rt.select({ r = self.b:read_evt(), t = 0.03 }), "t")
end

function Stream:test_a_trickle_does_not_extend_the_time_limit()
  self.b:timeouts({ read = 0.04 })
  local trickle = rt.spawn(function()
    while self.a:write(".") do rt.sleep(0.01) end
  end)
  local before = rt.now()

  lu.assertEquals(select(3, self.b:read_line()), "ETIMEDOUT")

  lu.assertTrue(rt.now() - before < 2)
  trickle:cancel()
  trickle:join()
end

function Stream:test_an_idle_limit_counts_from_the_last_byte()
  self.b:timeouts({ idle = 0.25 })
  local trickle = rt.spawn(function()
    for _ = 1, 8 do
      rt.sleep(0.01)
      self.a:write(".")
    end
  end)

  lu.assertEquals(self.b:read_exact(8), "........")
  lu.assertEquals(select(3, self.b:read()), "ETIMEDOUT")
  trickle:join()
end

function Stream:test_a_write_has_a_time_limit()
  self.a:timeouts({ write = 0.01 })
  self.a:write(BIG)

  local ok, message, code = self.a:write("y")

  lu.assertNil(ok)
  lu.assertStrContains(message, "timed out")
  lu.assertEquals(code, "ETIMEDOUT")
  self.a:reset()
end

function Stream:test_limits_are_for_waits_that_begin_after_them()
  local reader = rt.spawn(function() return self.a:read() end)
  yield()
  self.a:timeouts({ read = 0.001, write = 0.02, idle = 0.02 })
  self.a:write(BIG)

  lu.assertEquals(select(3, self.a:write("x")), "ETIMEDOUT")

  lu.assertEquals(reader:status(), "waiting")
  self.b:write("late")
  lu.assertEquals(reader:await(), "late")
  self.a:reset()
end

function Stream:test_a_wait_without_limits_has_none_later()
  local reader = rt.spawn(function() return self.a:read_exact(2) end)
  yield()
  self.a:timeouts({ read = 0.001, idle = 0.001 })
  self.b:write("1")
  rt.sleep(0.02)

  lu.assertEquals(reader:status(), "waiting")
  self.b:write("2")
  lu.assertEquals(reader:await(), "12")
end

function Stream:test_a_select_has_a_time_limit_too()
  self.b:timeouts({ read = 0.01 })

  local code = select(4, rt.select({ r = self.b:read_evt(), t = 5 }))

  lu.assertEquals(code, "ETIMEDOUT")
  self.a:write("x")
  lu.assertEquals(self.b:read(), "x")
end

function Stream:test_random_cancellation_loses_no_byte()
  local frames = {}
  for i = 1, 60 do frames[i] = ("%d:"):format(i):rep(1 + i * 37 % 90) end
  local writer = rt.spawn(function()
    for _, frame in ipairs(frames) do
      local bytes = ("%04d%s"):format(#frame, frame)
      for from = 1, #bytes, 29 do
        self.a:write(bytes:sub(from, from + 28))
        rt.yield()
      end
    end
    self.a:close()
  end)
  local attempt = 0
  local function read_exact(n)
    while true do
      attempt = attempt + 1
      local key, item
      if attempt % 3 == 0 then
        key, item = rt.select({ item = self.b:read_exact_evt(n), gone = 0 })
      elseif attempt % 3 == 1 then
        item = rt.timeout(0.0001, self.b.read_exact, self.b, n)
        key = item and item ~= "timeout" and "item"
      else
        local reader = rt.spawn(function() return self.b:read_exact(n) end)
        yield(attempt % 4)
        reader:cancel()
        local ok, result = reader:join()
        key, item = ok and "item", result
      end
      if key == "item" then return item end
    end
  end

  for _, frame in ipairs(frames) do
    local size = tonumber(read_exact(4))
    lu.assertEquals(read_exact(size), frame)
  end
  lu.assertNil(self.b:read())
  writer:join()
end

function Stream:test_a_buffer_is_filled_and_written()
  local buffer = rt.buffer(4)
  self.a:write("abcdef")
  settle()

  self.a:shutdown()

  lu.assertEquals(buffer:capacity(), 4)
  lu.assertEquals(#buffer, 0)
  local got = ""
  while true do
    local size = self.b:read_into(buffer)
    if not size then break end
    lu.assertTrue(size >= 1 and size <= 4)
    lu.assertEquals(#buffer, size)
    lu.assertEquals(self.b:write(buffer), true)
    got = got .. buffer:tostring()
  end
  self.b:close()

  lu.assertEquals(got, "abcdef")
  lu.assertEquals(self.a:read_all(), "abcdef")
end

function Stream:test_a_buffer_takes_what_a_framed_read_left()
  local buffer = rt.buffer()
  self.a:write("line\nrest")

  lu.assertEquals(self.b:read_line(), "line")
  lu.assertEquals(self.b:read_into(buffer), 4)
  lu.assertEquals(tostring(buffer), "rest")
end

function Stream:test_a_buffer_that_waits_is_written_as_it_was()
  local buffer = rt.buffer(4)
  self.b:write("old!")
  self.a:read_into(buffer)
  local old = buffer:tostring()
  self.a:write(BIG)
  local writer = rt.spawn(function() return self.a:write(buffer) end)
  yield()
  self.b:write("NEW!")
  self.a:read_into(buffer)

  self.b:read_exact(#BIG)

  lu.assertEquals(writer:await(), true)
  lu.assertEquals(self.b:read_exact(#old), old)
end

-- A pair that is closed after the test.
function Stream:another_pair()
  self.c, self.d = testing.stream_pair()
  return self.c, self.d
end

function Stream:test_a_copy_ends_with_its_source()
  local c, d = self:another_pair()
  local writer = rt.spawn(function()
    self.a:write("head\n")
    self.a:write(BIG)
    self.a:close()
  end)
  local reader = rt.spawn(function() return d:read_all() end)
  lu.assertEquals(self.b:read_line(), "head")

  lu.assertEquals(rt.copy(self.b, c), #BIG)
  c:close()

  lu.assertTrue(reader:await() == BIG)
  writer:join()
end

function Stream:test_a_copy_into_a_slow_stream()
  local c, d = self:another_pair()
  c:write(BIG)
  c:close()
  local reader = rt.spawn(function() return self.b:read_all() end)

  lu.assertEquals(rt.copy(d, self.a), #BIG)
  self.a:close()

  lu.assertTrue(reader:await() == BIG)
end

function Stream:test_a_copy_has_a_limit()
  local c, d = self:another_pair()
  self.a:write("abcdef")
  settle()

  lu.assertEquals(rt.copy(self.b, c, { max = 2 }), 2)
  lu.assertEquals(rt.copy(self.b, c, { max = 3 }), 3)
  lu.assertEquals(rt.copy(self.b, c, { max = 0 }), 0)

  lu.assertEquals(d:read_exact(5), "abcde")
  lu.assertEquals(self.b:read(), "f")
end

function Stream:test_a_failing_copy_says_how_far_it_came()
  local c, d = self:another_pair()
  self.a:write("abc")
  settle()
  local copier = rt.spawn(rt.copy, self.b, c)
  settle()
  self.b:close()
  lu.assertEquals({ copier:join() }, { true, nil, "closed", "ECLOSED", 3 })

  d:close()
  self.a:close()
  lu.assertErrorMsgContains("unknown option", rt.copy, self.a, c, { most = 1 })
  lu.assertErrorMsgContains("stream expected", rt.copy, self.a, {})
  lu.assertEquals({ rt.copy(self.a, c) }, { nil, "closed", "ECLOSED", 0 })
end

function Stream:test_a_copy_into_a_gone_stream_fails()
  local c, d = self:another_pair()
  d:close()
  self.a:write("abc")
  settle()

  lu.assertEquals({ rt.copy(self.b, c) },
    { nil, "write memory: broken pipe", "EPIPE", 0 })
end

function Stream:test_wrong_arguments_raise()
  local a = self.a
  -- The error names the caller's line, the method and the argument.
  local function raises(method, problem, ...)
    local call = "local a = ... a:" .. method .. "(select(2, ...))"
    local expected = ("call:1: bad argument #1 to '%s' (%s"):format(method,
      problem)

    local _, message = pcall(load(call, "=call"), a, ...)

    lu.assertEquals(message:sub(1, #expected), expected)
  end

  for _, n in ipairs({ 0, -1, 2 ^ 60 }) do
    raises("read", "integer from 1", n)
  end
  for _, method in ipairs({ "read", "read_exact", "peek" }) do
    raises(method, "integer from", -1)
    raises(method, "number has no integer representation", 1.5)
    raises(method, "number has no integer representation", 0 / 0)
    raises(method, "number expected, got string", "8")
  end
  raises("read_exact", "number expected, got no value")
  raises("read_line", "unknown option 'maximum'", { maximum = 1 })
  raises("read_line", "unknown option [1]", { 1 })
  raises("read_line", "option 'max': number of bytes", { max = "x" })
  raises("read_line", "table expected, got number", 5)
  raises("read_until", "delimiter", "")
  raises("read_until", "string expected", 5)
  raises("write", "string expected, got no value")
  raises("write", "string expected, got boolean", true)
  raises("write", "string expected at index 2, got boolean", { "x", true })
  raises("timeouts", "unknown option 'reed'", { reed = 1 })
  raises("timeouts", "option 'read'", { read = -1 })
  raises("timeouts", "option 'idle'", { idle = 0 / 0 })
  raises("keepalive", "seconds from 0", -1)
  raises("nodelay", "boolean expected", 1)
  lu.assertErrorMsgContains("stream expected, got table", a.read, {})
  lu.assertErrorMsgContains("stream expected", a.write, io.stdout, "x")
end

function Stream:test_a_number_is_written_as_text()
  self.a:write(42)
  self.a:write({ 1, 2.5 })
  self.a:close()

  lu.assertEquals(self.b:read_all(), "4212.5")
end

--- The tests as a class; `pair()` makes two ends.
return function(pair)
  local class = {}
  for name, method in pairs(Stream) do
    class[name] = function(self)
      self.pair = pair
      return method(self)
    end
  end
  return class
end
