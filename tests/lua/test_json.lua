-- component: json
-- Values to text and back. The grammar is in test_json_grammar.lua.
local harness = require("harness")
local json = require("asyncrt.json")
local lu = require("luaunit")

local function refused(expected, ...)
  local ok, message = pcall(json.encode, ...)

  lu.assertFalse(ok)
  lu.assertEquals(message, "json.encode: " .. expected)
end

TestEncode = {}

function TestEncode:test_plain_values()
  lu.assertEquals(json.encode(true), "true")
  lu.assertEquals(json.encode(false), "false")
  lu.assertEquals(json.encode(json.null), "null")
  lu.assertEquals(json.encode("x"), '"x"')
  lu.assertEquals(json.encode(""), '""')
  lu.assertEquals(json.encode({}), "{}")
  lu.assertEquals(json.encode({ 1, "a", { b = false } }), '[1,"a",{"b":false}]')
end

function TestEncode:test_integers_are_exact()
  lu.assertEquals(json.encode(0), "0")
  lu.assertEquals(json.encode(math.maxinteger), "9223372036854775807")
  lu.assertEquals(json.encode(math.mininteger), "-9223372036854775808")
end

function TestEncode:test_floats_are_short_and_stay_floats()
  lu.assertEquals(json.encode(0.1), "0.1")
  lu.assertEquals(json.encode(1.0), "1.0")
  lu.assertEquals(json.encode(-0.0), "-0.0")
  lu.assertEquals(json.encode(1e100), "1e+100")
  lu.assertEquals(json.encode(2.0 ^ 53), "9007199254740992.0")
  lu.assertEquals(json.encode(5e-324), "4.94065645841247e-324")
  lu.assertEquals(json.encode(1 / 3), "0.3333333333333333")
end

function TestEncode:test_floats_are_read_as_they_were()
  local numbers = { 0.1, -0.0, 1e15, 1e16, 1e17, 123456789012345680.0, 5e-324, 1.7976931348623157e308, math.pi }
  for _ = 1, harness.rounds(20000) do
    local bits = string.pack("i8", math.random(0))
    numbers[#numbers + 1] = string.unpack("d", bits)
  end

  for _, number in ipairs(numbers) do
    if number == number and math.abs(number) ~= math.huge then
      local again = json.decode(json.encode(number))
      lu.assertEquals(string.pack("d", again), string.pack("d", number))
    end
  end
end

function TestEncode:test_floats_in_a_locale_with_a_comma()
  local before = os.setlocale(nil, "numeric")
  local found
  for _, name in ipairs({ "de_DE.UTF-8", "fr_FR.UTF-8", "de_DE", "ps_AF" }) do
    found = found or os.setlocale(name, "numeric")
  end
  if not found then lu.skip("no locale with a comma is installed") end

  local ok, text = pcall(json.encode, { 1.5, 2.0, 1e-7 })
  local decoded = json.decode("[1.5]")
  os.setlocale(before, "numeric")

  lu.assertTrue(ok)
  lu.assertEquals(text, "[1.5,2.0,1e-07]")
  lu.assertEquals(decoded[1], 1.5)
end

function TestEncode:test_strings_are_escaped()
  lu.assertEquals(json.encode("a\"b\\c/d"), [["a\"b\\c/d"]])
  lu.assertEquals(json.encode("\b\f\n\r\t"), [["\b\f\n\r\t"]])
  lu.assertEquals(json.encode("\0\1\31 \127"), "\"\\u0000\\u0001\\u001f \127\"")
  lu.assertEquals(json.encode("é€😀\u{7FF}\u{10FFFF}"), '"é€😀\u{7FF}\u{10FFFF}"')
end

function TestEncode:test_strings_that_are_no_utf8_are_refused()
  for _, bytes in ipairs({ "\x80", "\xC3", "\xC0\xAF", "\xE0\x80\xAF", "\xED\xA0\x80", "\xF0\x80\x80\x80",
                           "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xFF", "\xE2\x82", "\xE2\x82a", "a\xF0\x9F\x98" }) do
    refused("$[2]: the string is not UTF-8", { "ok", bytes })
  end
  refused([[$.a["b\xFF"]: the key is not UTF-8]], { a = { ["b\xFF"] = 1 } })
end

function TestEncode:test_a_table_marked_as_an_array_is_one()
  lu.assertEquals(json.encode(json.array()), "[]")
  lu.assertEquals(json.encode({ a = json.array({}) }), '{"a":[]}')
  lu.assertEquals(json.encode(json.array({ 1, 2 })), "[1,2]")
  refused('$: an array has the key "x"', json.array({ x = 1 }))
end

function TestEncode:test_array_returns_its_table()
  local t = {}

  lu.assertIs(json.array(t), t)
  lu.assertIs(json.array(t), t)
  lu.assertErrorMsgContains("has a metatable", json.array, setmetatable({}, {}))
  lu.assertErrorMsgContains("table expected", json.array, 1)
  lu.assertErrorMsgContains("table expected", json.array, nil)
end

function TestEncode:test_objects_are_in_the_order_of_their_keys()
  local object, keys = {}, {}
  for i = 1, 300 do
    local key = ("%s%d"):format(i % 2 == 0 and "é" or "a", i)
    object[key], keys[i] = i, key
  end
  table.sort(keys)
  for i, key in ipairs(keys) do keys[i] = ('"%s":%d'):format(key, object[key]) end

  lu.assertEquals(json.encode(object), "{" .. table.concat(keys, ",") .. "}")
  lu.assertEquals(json.encode({ b = 1, ["b\0a"] = 2, bb = 3, [""] = 4 }),
                  '{"":4,"b":1,"b\\u0000a":2,"bb":3}')
end

function TestEncode:test_nested_objects_are_sorted_too()
  local object = { z = { y = 1, x = { w = 1, v = { u = 1, t = 2 } } }, a = { c = 1, b = 2 } }

  lu.assertEquals(json.encode(object), '{"a":{"b":2,"c":1},"z":{"x":{"v":{"t":2,"u":1},"w":1},"y":1}}')
end

function TestEncode:test_without_sort_every_member_is_there_once()
  local object = {}
  for i = 1, 100 do object["k" .. i] = { i } end

  lu.assertEquals(json.decode(json.encode(object, { sort = false })), object)
end

function TestEncode:test_indent()
  lu.assertEquals(json.encode({ a = { 1, { b = 2 } }, c = {}, d = json.array() }, { indent = 2 }), [[
{
  "a": [
    1,
    {
      "b": 2
    }
  ],
  "c": {},
  "d": []
}]])
  lu.assertEquals(json.encode({ 1 }, { indent = 0 }), "[1]")
  lu.assertEquals(json.encode(1, { indent = 4 }), "1")
end

function TestEncode:test_numbers_that_have_no_form_are_refused()
  refused("$.a[3]: NaN has no form in JSON", { a = { 1, 2, 0 / 0 } })
  refused("$[1]: an infinite number has no form in JSON", { math.huge })
  refused("$: an infinite number has no form in JSON", -math.huge)
end

function TestEncode:test_types_that_have_no_form_are_refused()
  refused("$: a nil value has no form in JSON", nil)
  refused("$.f: a function value has no form in JSON", { f = print })
  refused("$.a.b[1]: a userdata value has no form in JSON", { a = { b = { io.stdout } } })
  refused("$[1]: a thread value has no form in JSON", { coroutine.create(print) })
  lu.assertErrorMsgContains("value expected", json.encode)
end

function TestEncode:test_keys_that_have_no_form_are_refused()
  refused('$: an array has the key "x"', { 1, 2, x = 3 })
  refused("$.a: a table has the key 1.5", { a = { [1.5] = 1 } })
  refused("$: a table has the key 0", { [0] = 1 })
  refused("$: a table has the key -1", { [-1] = 1 })
  refused("$: a table has the key (a boolean)", { [true] = 1 })
  refused("$: a table has the key (a table)", { [{}] = 1 })
end

function TestEncode:test_holes_are_refused()
  refused("$[2]: an array with holes up to index 3", { 1, { 1, nil, 3 } })
  refused("$: an array with holes up to index 4", json.array({ [4] = 1 }))
  refused("$: an array with holes up to index " .. math.maxinteger, { [math.maxinteger] = 1 })
end

function TestEncode:test_a_table_inside_itself_is_refused()
  local t = { a = { b = {} } }
  t.a.b.c = { t.a }
  local own = {}
  own.x = own

  refused("$.a.b.c[1]: the table at $.a, inside itself", t)
  refused("$.x: the table at $, inside itself", own)
end

function TestEncode:test_a_table_may_be_in_two_places()
  local shared = { 1 }

  lu.assertEquals(json.encode({ shared, shared, { shared } }), "[[1],[1],[[1]]]")
end

local function nested(levels)
  local value = 1
  for _ = 1, levels do value = { value } end
  return value
end

function TestEncode:test_depth_is_limited()
  lu.assertEquals(json.encode(nested(128)), ("["):rep(128) .. 1 .. ("]"):rep(128))
  refused("$" .. ("[1]"):rep(16) .. "…" .. ("[1]"):rep(16) .. ": nested deeper than 128 levels", nested(129))
  refused("$[1][1]: nested deeper than 2 levels", nested(3), { depth = 2 })
  lu.assertEquals(#json.encode(nested(2000), { depth = 2000 }), 4001)
end

function TestEncode:test_paths_name_every_kind_of_key()
  refused('$.a_1["b c"]["1x"]["\\"\\\\\\x0Aé"][""]: a function value has no form in JSON',
          { a_1 = { ["b c"] = { ["1x"] = { ["\"\\\né"] = { [""] = print } } } } })
  refused('$["' .. ("k"):rep(64) .. '…"]: NaN has no form in JSON', { [("k"):rep(65)] = 0 / 0 })
end

function TestEncode:test_the_error_is_at_the_line_of_the_caller()
  local ok, message = pcall(function() json.encode({ print }) end)

  lu.assertFalse(ok)
  lu.assertStrMatches(message, ".*test_json.lua:%d+: json.encode: %$%[1%]: .*")
end

function TestEncode:test_an_error_leaves_nothing_behind()
  for _ = 1, 3 do
    lu.assertFalse(pcall(json.encode, { a = { b = 1, c = { d = 1, e = print } } }))
    lu.assertEquals(json.encode({ a = 1, b = 2 }), '{"a":1,"b":2}')
  end
end

function TestEncode:test_metamethods_are_not_called()
  local proxy = setmetatable({ a = 1 }, { __pairs = error, __index = error, __len = error })

  lu.assertEquals(json.encode(proxy), '{"a":1}')
end

function TestEncode:test_options_are_checked()
  lu.assertErrorMsgContains("unknown option 'pretty'", json.encode, 1, { pretty = true })
  lu.assertErrorMsgContains("option 'indent': integer from 0 to 16", json.encode, 1, { indent = 17 })
  lu.assertErrorMsgContains("option 'sort': boolean", json.encode, 1, { sort = 1 })
  lu.assertErrorMsgContains("option 'depth': integer from 1 to 2000", json.encode, 1, { depth = 0 })
end

function TestEncode:test_more_keys_than_the_stack_has_room_for()
  if harness.rounds(20) < 20 then lu.skip("slow: every collection walks the stack") end
  local object = {}
  for i = 1, 50000 do object["k" .. i] = true end
  local function with_a_full_stack(...) -- luacheck: ignore 212
    refused("$.x: too many keys to sort (sort = false takes them)", { x = object })
    local text = json.encode(object, { sort = false })
    return text
  end

  lu.assertTrue(#with_a_full_stack(table.unpack({}, 1, 960000)) > 500000)
end

function TestEncode:test_a_finalizer_may_encode_too()
  local inner
  for i = 1, harness.rounds(2000) do
    setmetatable({}, { __gc = function() inner = json.encode({ b = i, a = ("y"):rep(200) }) end })
    lu.assertEquals(json.encode({ b = ("x"):rep(100), a = i }),
                    ('{"a":%d,"b":"%s"}'):format(i, ("x"):rep(100)))
  end

  collectgarbage()
  lu.assertStrContains(inner, '{"a":"yyy')
end

TestDecode = {}

local function fails(text, message, code, options)
  local value, got, got_code = json.decode(text, options)

  lu.assertNil(value)
  lu.assertEquals({ got, got_code }, { "json.decode: " .. message, code })
end

function TestDecode:test_values()
  lu.assertEquals(json.decode('{"a":[1,2.5,"x",true,false],"b":{}}'),
                  { a = { 1, 2.5, "x", true, false }, b = {} })
  lu.assertEquals(json.decode("  1 \n"), 1)
end

function TestDecode:test_integers_are_exact_and_floats_are_floats()
  lu.assertEquals(math.type(json.decode("9007199254740993")), "integer")
  lu.assertEquals(json.decode("9007199254740993"), 9007199254740993)
  lu.assertEquals(json.decode("-9223372036854775808"), math.mininteger)
  lu.assertEquals(json.decode("9223372036854775807"), math.maxinteger)
  lu.assertEquals(math.type(json.decode("1.0")), "float")
  lu.assertEquals(math.type(json.decode("1e2")), "float")
  lu.assertEquals(json.decode("1e-400"), 0.0)
end

function TestDecode:test_null_is_a_value_of_its_own()
  local value = json.decode('{"a":null,"b":[null,1,null]}')

  lu.assertIs(value.a, json.null)
  lu.assertEquals(#value.b, 3)
  lu.assertIs(value.b[3], json.null)
  lu.assertIs(json.decode("null"), json.null)
  lu.assertEquals(tostring(json.null), "null")
  lu.assertEquals(json.encode(value), '{"a":null,"b":[null,1,null]}')
end

function TestDecode:test_empty_arrays_and_objects_stay_what_they_were()
  local text = '[[],{},{"a":[]},[[]]]'

  lu.assertEquals(json.encode(json.decode(text)), text)
  local value = json.decode("[1]")
  table.remove(value)
  lu.assertEquals(json.encode(value), "[]")
end

function TestDecode:test_a_zero_byte_in_a_string()
  lu.assertEquals(json.decode([["a\u0000b"]]), "a\0b")
end

function TestDecode:test_a_byte_order_mark_is_skipped()
  lu.assertEquals(json.decode("\xEF\xBB\xBF[1]"), { 1 })
end

function TestDecode:test_repeated_keys()
  lu.assertEquals(json.decode('{"a":1,"b":2,"a":3}'), { a = 3, b = 2 })
  fails('{"a":1,\n "a":3}', 'line 2, column 4: duplicate object key near \'"a"\'', "EDUPLICATE", { unique = true })
  lu.assertEquals(json.decode('{"a":{"a":1},"b":{"a":1}}', { unique = true }).b.a, 1)
end

function TestDecode:test_errors_have_line_and_column()
  fails("[1,\n  nul]", "line 2, column 5: invalid token near 'nul'", "ESYNTAX")
  fails("[1,", "line 1, column 3: ']' expected near end of file", "EOF")
  fails('["é", x]', "line 1, column 7: invalid token near 'x'", "ESYNTAX")
  fails("[1e400]", "line 1, column 6: real number overflow near '1e400'", "ERANGE")
  fails("18446744073709551616", "line 1, column 20: too big integer near '18446744073709551616'", "ERANGE")
  fails("[\n\"\xff\"]", "line 2, column 1: unable to decode byte 0xff near '\"'", "EENCODING")
  fails('["é\n"', "line 1, column 3: unexpected newline near '\"é'", "ESYNTAX")
  fails('["é"\n,\0]', "line 2, column 2: NUL byte", "ESYNTAX")
end

function TestDecode:test_depth_is_limited()
  fails(("["):rep(129), "line 1, column 129: nested deeper than 128 levels", "ELIMIT")
  fails('{"é":\n [{}]}', "line 2, column 3: nested deeper than 2 levels", "ELIMIT", { depth = 2 })
  lu.assertEquals(json.decode(("["):rep(128) .. ("]"):rep(128)) ~= nil, true)
  lu.assertEquals(json.decode('["[[[[\\"[[[[",[],[]]', { depth = 2 })[1], '[[[["[[[[')
  local deep = ('{"a":'):rep(2000) .. "1" .. ("}"):rep(2000)
  lu.assertEquals(json.encode(json.decode(deep, { depth = 2000 }), { depth = 2000 }), deep)
  fails(("["):rep(1000000), "line 1, column 129: nested deeper than 128 levels", "ELIMIT")
end

function TestDecode:test_size_is_limited()
  lu.assertEquals(json.decode("[1]", { size = 3 }), { 1 })
  fails("[12]", "the text is longer than 3 bytes", "ELIMIT", { size = 3 })
  lu.assertEquals(json.decode("[1]", { size = math.huge }), { 1 })
end

function TestDecode:test_options_are_checked()
  lu.assertErrorMsgContains("unknown option 'max'", json.decode, "1", { max = 1 })
  lu.assertErrorMsgContains("option 'depth': integer from 1 to 2000", json.decode, "1", { depth = 2001 })
  lu.assertErrorMsgContains("string expected, got number", json.decode, 1)
  lu.assertErrorMsgContains("string expected, got nil", json.decode, nil)
end

function TestDecode:test_a_large_text()
  local list = {}
  for i = 1, harness.rounds(5000) do list[i] = { id = i, name = "n" .. i, tags = { "a", "b" } } end

  lu.assertEquals(#json.decode(json.encode(list)), #list)
  lu.assertEquals(json.encode(json.decode(json.encode(list))), json.encode(list))
end

harness.run()
