-- load, loadfile and dofile, beside what tests/cli/binary_chunk.txtar shows.
local rt = require("asyncrt")
local harness = require("harness")
local lu = require("luaunit")

TestLoad = {}

local function write(text)
  local path = os.tmpname()
  local file <close> = assert(io.open(path, "w"))
  file:write(text)
  return path
end

function TestLoad:test_load_takes_the_pieces_of_a_function()
  local pieces = { "return ", "1 ", "+ 2", nil }
  local i = 0

  local chunk = load(function()
    i = i + 1
    return pieces[i]
  end)

  lu.assertEquals(chunk(), 3)
end

function TestLoad:test_a_function_is_not_called_again_after_its_nil()
  local pieces = { nil, "return 1" }
  local calls = 0

  local chunk = load(function()
    calls = calls + 1
    return pieces[calls]
  end)

  lu.assertEquals(calls, 1)
  lu.assertNil(chunk())
end

function TestLoad:test_a_binary_chunk_may_come_in_pieces_that_end_with_an_empty_one()
  local binary = string.dump(function(x) return x * 2 end)
  local pieces = { binary:sub(1, 1), binary:sub(2, 9), binary:sub(10), "" }
  local calls = 0
  local function reader()
    calls = calls + 1
    return pieces[calls]
  end

  lu.assertEquals(load(reader, "=name", "b")(4), 8)
  lu.assertEquals(calls, 4)
end

function TestLoad:test_a_piece_may_be_a_number()
  local pieces = { "return ", 4, 2 }
  local i = 0

  local chunk = load(function()
    i = i + 1
    return pieces[i]
  end)

  lu.assertEquals(chunk(), 42)
end

function TestLoad:test_a_reader_that_gives_no_string_is_told_at_the_line_of_load()
  local line = debug.getinfo(1, "l").currentline + 4
  local expected = ".*:" .. line .. ": reader function must return a string"
  local function try(reader) -- without the message handler of luaunit
    local _, chunk, message = pcall(function()
      local chunk, message = load(reader)
      return chunk, message
    end)
    return chunk, message
  end

  for _, first in ipairs { "", "return 1 ", string.dump(function() end) } do
    local pieces = { first ~= "" and first or false, true }
    local calls = 0
    local chunk, message = try(function()
      calls = calls + 1
      return pieces[calls]
    end)
    lu.assertNil(chunk)
    lu.assertStrMatches(message, expected)
  end
end

function TestLoad:test_a_message_handler_sees_the_error_of_a_reader()
  local ok, chunk, message = xpcall(load, function(m) return "handled " .. m end, function()
    error("in the reader", 0)
  end)

  lu.assertTrue(ok)
  lu.assertNil(chunk)
  lu.assertEquals(message, "handled in the reader")
end

function TestLoad:test_what_cannot_be_dumped_is_named()
  local function refuses(message, ...)
    local _, err = pcall(string.dump, ...)
    lu.assertStrContains(err, message)
  end
  local _, err = pcall(function() string.dump(print) end)

  refuses("bad argument #1 to 'string.dump' (function expected, got no value)")
  refuses("unable to dump given function", print)
  lu.assertStrMatches(err, ".*%.lua:%d+: unable to dump given function")
end

function TestLoad:test_load_reports_a_syntax_error_with_its_name()
  local chunk, message = load("x = = 1", "=named")

  lu.assertNil(chunk)
  lu.assertEquals(message, "named:1: unexpected symbol near '='")
end

function TestLoad:test_load_keeps_the_globals_unless_given_others()
  lu.assertIs(load("return string")(), string)
  lu.assertEquals(load("return string", nil, nil, { string = 1 })(), 1)
  lu.assertError(load("return string", "=chunk", "t", nil))
end

function TestLoad:test_wrong_arguments_are_named()
  local function refuses(message, f, ...)
    local _, err = pcall(f, ...)
    lu.assertStrContains(err, message)
  end

  refuses("bad argument #1 to 'load' (function expected, got nil)", load, nil)
  refuses("bad argument #3 to 'load'", load, "", "", {})
  refuses("bad argument #1 to 'loadfile'", loadfile, {})
  refuses("bad argument #1 to 'dofile'", dofile, {})
end

function TestLoad:test_loadfile_takes_an_environment()
  local path = write("return x, ...")

  local chunk = loadfile(path, nil, { x = 1 })

  os.remove(path)
  lu.assertEquals({ chunk(2) }, { 1, 2 })
end

function TestLoad:test_a_file_that_is_not_there_is_named()
  local chunk, message = loadfile("/none/such.lua")

  lu.assertNil(chunk)
  lu.assertStrContains(message, "/none/such.lua")
end

function TestLoad:test_dofile_may_wait_and_returns_all_results()
  local path = write("require('asyncrt').sleep(0) return 1, nil, 3")

  local results = table.pack(dofile(path))

  os.remove(path)
  lu.assertEquals(results, { 1, nil, 3, n = 3 })
end

function TestLoad:test_dofile_passes_an_error_on()
  local path = write("error({ code = 7 })")

  local ok, err = pcall(dofile, path)

  os.remove(path)
  lu.assertFalse(ok)
  lu.assertEquals(err, { code = 7 })
end

function TestLoad:test_a_cancel_goes_through_dofile()
  local path = write("require('asyncrt').sleep(60)")

  local result, reason = rt.timeout(0.001, dofile, path)

  os.remove(path)
  lu.assertNil(result)
  lu.assertEquals(reason, "timeout")
end

harness.run()
