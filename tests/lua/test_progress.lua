-- asyncrt: --virtual-time --seed=1
local progress = require("asyncrt.progress")
local rt = require("asyncrt")
local harness = require("harness")
local lu = require("luaunit")

-- What is written to it, with the time of each write.
local function fake_stream(columns)
  local stream = { writes = {}, start = rt.now() }
  function stream.is_tty() return columns ~= nil end
  function stream.window_size()
    if not columns then return nil, "no terminal", "ENOTTY" end
    return stream.columns or columns, 24
  end
  function stream.write(self, parts)
    assert(not self.busy, "another task is already writing to this stream")
    self.busy = true
    local _ <close> = setmetatable({}, { __close = function() self.busy = false end })
    rt.yield() -- as if it had to wait
    self.writes[#self.writes + 1] = { rt.now() - self.start, table.concat(parts) }
    return true
  end
  function stream.text(self)
    local texts = {}
    for i, write in ipairs(self.writes) do texts[i] = write[2] end
    return table.concat(texts)
  end
  return stream
end

-- The lines that a terminal shows in the end, which knows "\r" and "\n" only.
local function screen(text)
  local lines, row, column = { {} }, 1, 1
  for _, code in utf8.codes(text) do
    local c = utf8.char(code)
    if c == "\r" then
      column = 1
    elseif c == "\n" then
      row, column = row + 1, 1
      lines[row] = {}
    else
      lines[row][column], column = c, column + 1
    end
  end
  for i, line in ipairs(lines) do lines[i] = table.concat(line):gsub(" +$", "") end
  return lines
end

TestPlain = {}

function TestPlain:test_a_line_every_few_seconds_and_one_at_the_end()
  local stream = fake_stream()
  do
    local bar <close> = progress.bar({ total = 40, label = "pages", stream = stream })
    for i = 1, 12 do
      rt.sleep(1)
      bar:update({ done = 2 * i, failed = i, active = 4 })
    end
  end

  lu.assertEquals(stream.writes, {
    { 5.0, "pages: 8/40 done, 4 active, 4 failed, 2.4/s, 0:12 left\n" },
    { 10.0, "pages: 18/40 done, 4 active, 9 failed, 2.7/s, 0:05 left\n" },
    { 12.0, "pages: 24/40 done, 4 active, 12 failed, 3.0/s, took 12.0 s\n" },
  })
end

function TestPlain:test_nothing_new_is_no_line()
  local stream = fake_stream()
  do
    local bar <close> = progress.bar({ stream = stream, every = 1 })
    rt.sleep(3.5)
    bar:update({ done = 7 })
    rt.sleep(100)
  end

  lu.assertEquals(stream.writes, {
    { 1.0, "0 done, 0.0/s\n" },
    { 3.5, "7 done, 2.0/s\n" },
    { 103.5, "7 done, 0.1/s, took 1:44\n" },
  })
end

function TestPlain:test_log_writes_a_line()
  local stream = fake_stream()
  do
    local bar <close> = progress.bar({ stream = stream })
    lu.assertTrue(bar:log("one\ntwo"))
    lu.assertTrue(bar:finish())
    lu.assertTrue(bar:log("after the end"))
    lu.assertTrue(bar:finish())
  end

  lu.assertEquals(stream:text(), "one\ntwo\n0 done, 0.0/s, took 0.0 s\nafter the end\n")
end

TestLive = {}

function TestLive:test_it_is_drawn_at_most_ten_times_a_second()
  local stream = fake_stream(80)
  do
    local bar <close> = progress.bar({ stream = stream, total = 1000 })
    for i = 1, 1000 do
      rt.sleep(0.001)
      bar:update({ done = i })
    end
  end

  lu.assertTrue(#stream.writes >= 10 and #stream.writes <= 12)
  lu.assertEquals(screen(stream:text()), { "1000/1000 done, 1000.0/s, took 1.0 s", "" })
end

function TestLive:test_the_last_change_is_shown_though_no_other_follows()
  local stream = fake_stream(80)
  local bar <close> = progress.bar({ stream = stream })
  rt.sleep(0.01)
  for i = 1, 5 do bar:update({ done = i }) end
  rt.sleep(0.5)

  lu.assertEquals(#stream.writes, 2)
  lu.assertAlmostEquals(stream.writes[2][1], 0.1, 1e-9)
  lu.assertStrContains(stream.writes[2][2], "5 done")
end

function TestLive:test_it_goes_on_once_a_second_while_nothing_changes()
  local stream = fake_stream(80)
  local bar <close> = progress.bar({ stream = stream, total = 100 })
  rt.sleep(10)
  bar:update({ done = 50 })
  rt.sleep(4.9)

  local before = #stream.writes
  rt.sleep(1)
  lu.assertEquals(#stream.writes, before + 1)
  lu.assertStrContains(stream.writes[before + 1][2], "0:10 left")
end

function TestLive:test_the_rate_is_that_of_the_last_seconds()
  local stream = fake_stream(80)
  local bar <close> = progress.bar({ stream = stream, total = 1e6 // 1 })
  for i = 1, 30 do
    rt.sleep(1)
    bar:update({ done = i <= 15 and 100 * i or 1500 })
  end

  lu.assertStrContains(stream.writes[#stream.writes][2], " 0.0/s")
end

function TestLive:test_shorter_lines_cover_longer_ones()
  local stream = fake_stream(80)
  do
    local bar <close> = progress.bar({ stream = stream, label = "x" })
    bar:update({ done = 1, failed = 1000000, active = 1000000 })
    rt.sleep(0.15)
    bar:update({ failed = 1, active = 1 })
    rt.sleep(0.15)
    lu.assertEquals(screen(stream:text()), { "x: 1 done, 1 active, 1 failed, 13.3/s" })
    lu.assertTrue(bar:log("short"))
  end

  lu.assertEquals(screen(stream:text()), { "short", "x: 1 done, 1 active, 1 failed, 6.7/s, took 0.3 s", "" })
end

function TestLive:test_it_is_cut_to_the_width_of_the_terminal()
  local stream = fake_stream(20)
  do
    local bar <close> = progress.bar({ stream = stream, label = "päges of the manual" })
    rt.sleep(0.15)
    stream.columns = 10
    rt.sleep(1)
    stream.columns = 0 -- one that does not know
    bar:update({ done = 1 })
    rt.sleep(1)
  end

  lu.assertEquals(stream.writes[1][2], "\rpäges of the manual")
  lu.assertEquals(stream.writes[2][2], "\rpäges of " .. (" "):rep(10))
  lu.assertStrContains(stream.writes[3][2], "päges of the manual: 1 done")
end

function TestLive:test_a_log_is_not_torn_and_the_line_comes_again()
  local stream = fake_stream(80)
  do
    local bar <close> = progress.bar({ stream = stream })
    local g <close> = rt.group()
    for task = 1, 4 do
      g:spawn(function()
        for i = 1, 20 do
          rt.sleep(math.random() / 10)
          bar:update({ done = i })
          lu.assertTrue(bar:log(("task %d line %d"):format(task, i)))
        end
      end)
    end
  end

  local lines, seen = screen(stream:text()), {}
  lu.assertEquals(#lines, 82)
  for i = 1, 80 do
    lu.assertStrMatches(lines[i], "task %d line %d+")
    seen[lines[i]] = true
  end
  for task = 1, 4 do
    for i = 1, 20 do lu.assertTrue(seen[("task %d line %d"):format(task, i)]) end
  end
  lu.assertStrContains(lines[81], "20 done")
end

function TestLive:test_what_comes_from_elsewhere_drives_no_terminal()
  local stream = fake_stream(80)
  local bar <close> = progress.bar({ stream = stream, label = "a\27]0;title\a" })
  rt.yield()
  bar:log("\27[31mred\u{9b}31m\r\0\127\tok")
  rt.sleep(0.01)

  local text = stream:text():gsub("\r", "")
  lu.assertStrContains(text, "a\\x1B]0;title\\x07: 0 done")
  lu.assertStrContains(text, "\\x1B[31mred\\x9B31m\\x0D\\x00\\x7F\tok")
end

TestEnd = {}

function TestEnd:test_a_cancelled_block_has_a_last_line()
  local stream = fake_stream()
  rt.timeout(2, function()
    local bar <close> = progress.bar({ stream = stream })
    bar:update({ done = 3 })
    rt.sleep(9)
  end)

  lu.assertEquals(stream.writes, { { 2.0, "3 done, 1.5/s, took 2.0 s\n" } })
end

function TestEnd:test_it_keeps_no_task_from_ending()
  local stream = fake_stream(80)
  local start = rt.now()
  rt.spawn(function() progress.bar({ stream = stream }) end):join()

  lu.assertEquals(rt.now(), start)
end

function TestEnd:test_a_stream_that_fails_ends_the_drawing_alone()
  local stream = fake_stream(80)
  local calls = 0
  function stream.write()
    calls = calls + 1
    return nil, "write: broken pipe", "EPIPE"
  end
  local bar <close> = progress.bar({ stream = stream })
  for i = 1, 10 do
    rt.sleep(1)
    bar:update({ done = i })
  end

  lu.assertEquals(calls, 1)
  lu.assertEquals({ bar:log("x") }, { nil, "write: broken pipe", "EPIPE" })
  lu.assertEquals(select(3, bar:finish()), "EPIPE")
end

function TestEnd:test_a_terminal_that_is_stopped_holds_nobody_up()
  local stream = fake_stream(80)
  function stream.write() rt.sleep(math.huge) end
  local start = rt.now()
  do
    local bar <close> = progress.bar({ stream = stream })
    rt.sleep(1)
    for i = 1, 10 do bar:update({ done = i }) end
  end

  lu.assertEquals(rt.now() - start, 2.0)
end

TestMisuse = {}

function TestMisuse:test_bad_arguments_are_named()
  local bar <close> = progress.bar({ stream = fake_stream() })
  lu.assertErrorMsgContains("bad argument #1 to 'bar' (option 'total': non-negative integer expected, got -1)",
    progress.bar, { total = -1 })
  lu.assertErrorMsgContains("bad argument #1 to 'bar' (unknown option 'width'; there are every, label, stream, total)",
    progress.bar, { width = 5 })
  lu.assertErrorMsgContains("bad argument #1 to 'update' (unknown option 'ready'; there are ", bar.update, bar, { ready = 1 })
  lu.assertErrorMsgContains("option 'done': non-negative integer expected, got 1.5", bar.update, bar, { done = 1.5 })
  lu.assertErrorMsgContains("bad argument #1 to 'log' (string expected, got nil)", bar.log, bar)
end

harness.run()
