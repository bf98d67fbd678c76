-- asyncrt: --virtual-time --seed=1
local journal = require("asyncrt.journal")
local rt = require("asyncrt")
local harness = require("harness")
local lu = require("luaunit")

-- A path that does not exist, and is removed at the end of the block.
local function new_path()
  local path = os.tmpname()
  os.remove(path)
  return path, setmetatable({}, { __close = function() os.remove(path) end })
end

local function write_file(path, bytes)
  local file = assert(io.open(path, "wb"))
  file:write(bytes)
  file:close()
end

local function read_file(path)
  local file = assert(io.open(path, "rb"))
  local bytes = file:read("a")
  file:close()
  return bytes
end

local function lines_of(path)
  local j <close> = assert(journal.open(path))
  local all = {}
  for line in j:lines() do all[#all + 1] = line end
  return all
end

TestJournal = {}

function TestJournal:test_lines_are_there_when_it_is_opened_again()
  local path, _ <close> = new_path()
  for round = 1, 3 do
    local j <close> = assert(journal.open(path))
    lu.assertTrue(j:append("one of " .. round))
    lu.assertTrue(j:append(""))
    lu.assertEquals(read_file(path):sub(-#"one of n\n\n"), ("one of %d\n\n"):format(round))
  end

  lu.assertEquals(lines_of(path), { "one of 1", "", "one of 2", "", "one of 3", "" })
end

function TestJournal:test_what_is_appended_later_is_not_among_its_lines()
  local path, _ <close> = new_path()
  write_file(path, "a\nb\n")
  local j <close> = assert(journal.open(path))
  local seen = {}
  for line in j:lines() do
    seen[#seen + 1] = line
    j:append("more")
  end

  lu.assertEquals(seen, { "a", "b" })
end

function TestJournal:test_a_torn_line_is_cut_off()
  local long = ("x"):rep(200000)
  for _, case in ipairs({
    { "", "" },
    { "a", "" },
    { "a\nb", "a\n" },
    { "a\nb\n", "a\nb\n" },
    { "a\nb\0\0\0\n", "a\n" },
    { "a\n\0\0\0\0", "a\n" },
    { "a\n\0\nb\n", "a\n" },
    { "\0", "" },
    { long .. "\n" .. long, long .. "\n" },
    { long .. "\na\n" .. long .. "\0" .. long .. "\n", long .. "\na\n" },
  }) do
    local path, _ <close> = new_path()
    write_file(path, case[1])
    do
      local j <close> = assert(journal.open(path))
      lu.assertEquals(read_file(path), case[2])
      j:append("next")
    end
    lu.assertEquals(read_file(path), case[2] .. "next\n")
  end
end

function TestJournal:test_only_one_has_it_open()
  local path, _ <close> = new_path()
  local j = assert(journal.open(path))
  local other, message, code = journal.open(path)
  lu.assertNil(other)
  lu.assertEquals({ message, code }, { "open " .. path .. ": resource busy or locked", "EBUSY" })

  j:close()
  local again <close> = assert(journal.open(path))
  lu.assertTrue(again:append("x"))
end

function TestJournal:test_what_cannot_be_opened_is_told()
  for path, code in pairs({ ["/nonexistent/x"] = "ENOENT", ["/"] = "EISDIR", ["/dev/null"] = "EINVAL" }) do
    local j, message, got = journal.open(path)
    lu.assertNil(j)
    lu.assertEquals(got, code)
    lu.assertStrContains(message, "open " .. path .. ": ")
  end
end

function TestJournal:test_a_closed_one_says_so()
  local path, _ <close> = new_path()
  local j = assert(journal.open(path))

  lu.assertTrue(j:close())
  lu.assertTrue(j:close())
  lu.assertEquals({ j:append("x") }, { nil, "closed", "ECLOSED" })
  lu.assertEquals({ j:sync() }, { nil, "closed", "ECLOSED" })
end

TestSync = {}

function TestSync:test_many_wait_for_the_disk_together()
  local path, _ <close> = new_path()
  local j <close> = assert(journal.open(path, { sync = math.huge }))
  local g <close> = rt.group()
  local done = 0
  for i = 1, 100 do
    g:spawn(function()
      for _ = 1, i % 5 do
        lu.assertTrue(j:append("line " .. i))
        lu.assertEquals({ j:sync() }, { true })
        done = done + 1
      end
    end)
  end
  g:wait()

  lu.assertEquals(done, 200)
  lu.assertEquals({ j:sync() }, { true })
end

function TestSync:test_a_cancelled_sync_goes_on_without_its_task()
  local path, _ <close> = new_path()
  local j <close> = assert(journal.open(path, { sync = math.huge }))
  for i = 1, 20 do
    j:append("line " .. i)
    local task = rt.spawn(j.sync, j)
    rt.yield()
    task:cancel()
    lu.assertFalse(task:join())
  end

  lu.assertEquals({ j:sync() }, { true })
end

function TestSync:test_a_close_wakes_who_waits()
  local path, _ <close> = new_path()
  for _ = 1, 20 do
    local j = assert(journal.open(path, { sync = math.huge }))
    j:append("line")
    local task = rt.spawn(j.sync, j)
    rt.yield()
    j:close()
    lu.assertEquals({ task:join() }, { true, nil, "closed", "ECLOSED" })
  end
end

function TestSync:test_a_short_interval_and_none()
  for _, seconds in ipairs({ 0, 0.5, math.huge }) do
    local path, _ <close> = new_path()
    local j <close> = assert(journal.open(path, { sync = seconds }))
    for i = 1, 30 do
      lu.assertTrue(j:append("line " .. i))
      rt.sleep(0.1)
    end
  end
end

TestMisuse = {}

function TestMisuse:test_bad_arguments_are_named()
  local path, _ <close> = new_path()
  local j <close> = assert(journal.open(path))
  for _, line in ipairs({ "a\n", "\n", "a\0b" }) do
    lu.assertErrorMsgContains("a line without newline and zero expected", j.append, j, line)
  end
  lu.assertErrorMsgContains("string expected, got nil", j.append, j)
  lu.assertErrorMsgContains("embedded NUL", journal.open, "a\0b")
  lu.assertErrorMsgContains("bad argument #2 to 'open' (unknown option 'fsync'; there are sync)",
    journal.open, path, { fsync = 1 })
  lu.assertEquals(read_file(path), "")
end

harness.run()
