-- component: json
-- What is JSON and what is not: each case of RFC 8259, and what the RFC leaves
-- to implementations.
local harness = require("harness")
local json = require("asyncrt.json")
local lu = require("luaunit")

--- Texts, and how the value is written again; `true` where it is the same.
local accepted = {
  -- Structure and white space.
  ["[]"] = true, ["{}"] = true, ["[[]]"] = true, ["[{}]"] = true, ['{"a":[]}'] = true,
  ["[ ]"] = "[]", ["{ }"] = "{}", [" [] "] = "[]", ["\t\r\n[\t1\r\n,\n2 ]\n"] = "[1,2]",
  ['{ "a" : 1 , "b" : 2 }'] = '{"a":1,"b":2}', ["[1,2,3,4,5,6,7,8,9,10]"] = true,
  ['{"a":1,"b":[{"c":{}}]}'] = true, ["[null,1,true,false,\"\"]"] = true,
  -- Any value may be the whole text.
  ["null"] = true, ["true"] = true, ["false"] = true, ["0"] = true, ['"x"'] = true, ['""'] = true,
  [" null\n"] = "null",
  -- Numbers.
  ["-1"] = true, ["10"] = true, ["-0"] = "0", ["0.0"] = true, ["-0.0"] = true, ["1.5"] = true,
  ["0.5e1"] = "5.0", ["1e0"] = "1.0", ["1E0"] = "1.0", ["1e+2"] = "100.0", ["1E-2"] = "0.01",
  ["1.0e00"] = "1.0", ["123.456e-1"] = "12.3456", ["0e5"] = "0.0", ["0e-5"] = "0.0",
  ["1e-999"] = "0.0", ["-1e-999"] = "-0.0", ["1e308"] = "1e+308",
  ["0.1000000000000000055511151231257827"] = "0.1",
  ["9223372036854775807"] = true, ["-9223372036854775808"] = true,
  ["18446744073709551616.0"] = "1.8446744073709552e+19",
  -- Keys.
  ['{"":1}'] = true, ['{"a b":1}'] = true, ['{"é":1}'] = true, ['{"\\u00e9":1}'] = '{"é":1}',
  ['{"a":1,"a":2}'] = '{"a":2}', ['{"a":1,"\\u0061":2}'] = '{"a":2}',
  ['{"__index":1,"__gc":2}'] = '{"__gc":2,"__index":1}',
  -- Strings and escapes.
  [ [["\"\\\b\f\n\r\t"]] ] = true, [ [["\/"]] ] = '"/"', [ [["/"]] ] = true,
  [ [["\u0041\u00E9\u20ac"]] ] = '"Aé€"', [ [["\u0000\u001F"]] ] = [["\u0000\u001f"]],
  [ [["\uD83D\uDE00"]] ] = '"😀"', [ [["\ud83d\ude00"]] ] = '"😀"', [ [["\uDBFF\uDFFF"]] ] = '"\u{10FFFF}"',
  [ [["\u0022\u005c"]] ] = [["\"\\"]], [ [["\\u0041"]] ] = true, ['"\127"'] = true,
  ['"\u{80}"'] = true, ['"\u{7FF}\u{800}\u{FFFF}\u{10000}"'] = true, ['"\u{FEFF}"'] = true,
  ['"\u{2028}\u{2029}"'] = true, ['"\u{FFFE}\u{FFFF}\u{FDD0}"'] = true,
  ['"[1,{]"'] = true, ['"// no comment"'] = true,
  ["\u{FEFF}[]"] = "[]",
}

--- Texts and the code of their error.
local refused = {
  -- Structure.
  [""] = "EOF", [" "] = "EOF", ["["] = "EOF", ["{"] = "EOF", ["[1"] = "EOF", ["[1,"] = "EOF", ['{"a"'] = "EOF",
  ['{"a":'] = "EOF", ['{"a":1'] = "EOF", ['{"a":1,'] = "EOF", ['"a'] = "EOF", ['["a'] = "EOF",
  ["]"] = "ESYNTAX", ["}"] = "ESYNTAX", ["[}"] = "ESYNTAX", ["{]"] = "ESYNTAX", ["[1}"] = "ESYNTAX",
  ['{"a":1]'] = "ESYNTAX", ["[]]"] = "ESYNTAX", ["[] []"] = "ESYNTAX", ["1 2"] = "ESYNTAX", ["{}x"] = "ESYNTAX",
  ["[] x"] = "ESYNTAX", ["[],"] = "ESYNTAX", [","] = "ESYNTAX", [":"] = "ESYNTAX",
  ["[1,]"] = "ESYNTAX", ["[,1]"] = "ESYNTAX", ["[,]"] = "ESYNTAX", ["[1,,2]"] = "ESYNTAX", ["[1 2]"] = "ESYNTAX",
  ["[1:2]"] = "ESYNTAX", ['["a":1]'] = "ESYNTAX", ['{"a":1,}'] = "ESYNTAX", ['{,"a":1}'] = "ESYNTAX",
  ['{"a":1,,"b":2}'] = "ESYNTAX", ['{"a" 1}'] = "ESYNTAX", ['{"a"::1}'] = "ESYNTAX", ['{"a":}'] = "ESYNTAX",
  ['{"a"}'] = "ESYNTAX", ['{"a",1}'] = "ESYNTAX", ['{:1}'] = "ESYNTAX", ["{a:1}"] = "ESYNTAX", ["{'a':1}"] = "ESYNTAX",
  ["{1:1}"] = "ESYNTAX", ["{null:1}"] = "ESYNTAX", ["{[]:1}"] = "ESYNTAX", ['{"a":1 "b":2}'] = "ESYNTAX",
  ["[{}"] = "EOF", ["[[]"] = "EOF", ['{"a":{}'] = "EOF",
  -- Comments, other white space, other encodings.
  ["/**/1"] = "ESYNTAX", ["[1/**/]"] = "ESYNTAX", ["1//"] = "ESYNTAX", ["[1]#"] = "ESYNTAX",
  ["\f[]"] = "ESYNTAX", ["\v[]"] = "ESYNTAX", ["[\f]"] = "ESYNTAX", ["[\u{A0}]"] = "ESYNTAX", ["[\u{2060}]"] = "ESYNTAX",
  ["[\u{FEFF}]"] = "ESYNTAX", ["\xFE\xFF\0[\0]"] = "ESYNTAX", ["\xFF\xFE[\0]\0"] = "ESYNTAX", ["\xEF\xBB"] = "EENCODING",
  ["\xEF\xBB\xBF"] = "EOF", ["[]\0"] = "ESYNTAX", ["\0"] = "ESYNTAX", ["[\0]"] = "ESYNTAX", ['"\0"'] = "ESYNTAX",
  -- Words.
  ["nul"] = "ESYNTAX", ["nullx"] = "ESYNTAX", ["Null"] = "ESYNTAX", ["TRUE"] = "ESYNTAX", ["True"] = "ESYNTAX",
  ["fals"] = "ESYNTAX", ["undefined"] = "ESYNTAX", ["NaN"] = "ESYNTAX", ["nan"] = "ESYNTAX", ["Infinity"] = "ESYNTAX",
  ["-Infinity"] = "ESYNTAX", ["inf"] = "ESYNTAX", ["[truefalse]"] = "ESYNTAX", ["nil"] = "ESYNTAX",
  -- Numbers.
  ["+1"] = "ESYNTAX", ["--1"] = "ESYNTAX", ["-"] = "ESYNTAX", ["[-]"] = "ESYNTAX", ["01"] = "ESYNTAX", ["-01"] = "ESYNTAX",
  ["00"] = "ESYNTAX", [".5"] = "ESYNTAX", ["-.5"] = "ESYNTAX", ["1."] = "ESYNTAX", ["[1.]"] = "ESYNTAX",
  ["1.e1"] = "ESYNTAX", ["1e"] = "ESYNTAX", ["[1e]"] = "ESYNTAX", ["1e+"] = "ESYNTAX", ["1e-"] = "ESYNTAX",
  ["1e1.5"] = "ESYNTAX", ["1ee1"] = "ESYNTAX", ["1.5.5"] = "ESYNTAX", ["0x10"] = "ESYNTAX", ["1f"] = "ESYNTAX",
  ["1 000"] = "ESYNTAX", ["1_000"] = "ESYNTAX", ["1,000"] = "ESYNTAX", ["- 1"] = "ESYNTAX", ["１"] = "ESYNTAX",
  ["1e999"] = "ERANGE", ["-1e999"] = "ERANGE", ["9223372036854775808"] = "ERANGE", ["-9223372036854775809"] = "ERANGE",
  [("9"):rep(400)] = "ERANGE",
  -- Strings.
  ["'a'"] = "ESYNTAX", ["`a`"] = "ESYNTAX", ["a"] = "ESYNTAX", ['"a" "b"'] = "ESYNTAX", ['"a"b'] = "ESYNTAX",
  ['"\n"'] = "ESYNTAX", ['"\r"'] = "ESYNTAX", ['"\t"'] = "ESYNTAX", ['"\1"'] = "ESYNTAX", ['"\31"'] = "ESYNTAX",
  ['"\\'] = "ESYNTAX", [ [["\a"]] ] = "ESYNTAX", [ [["\x41"]] ] = "ESYNTAX", [ [["\'"]] ] = "ESYNTAX", [ [["\0"]] ] = "ESYNTAX",
  [ [["\U0041"]] ] = "ESYNTAX", [ [["\u"]] ] = "ESYNTAX", [ [["\u004"]] ] = "ESYNTAX", [ [["\u004g"]] ] = "ESYNTAX",
  [ [["\u{41}"]] ] = "ESYNTAX", [ [["\u 041"]] ] = "ESYNTAX", ['"\\\n"'] = "ESYNTAX", ['"\\é"'] = "ESYNTAX",
  -- Halves of a pair: no character.
  [ [["\ud800"]] ] = "ESYNTAX", [ [["\udc00"]] ] = "ESYNTAX", [ [["\ud800\ud800"]] ] = "ESYNTAX",
  [ [["\ud800\u0041"]] ] = "ESYNTAX", [ [["\udc00\ud800"]] ] = "ESYNTAX", [ [["\ud800x"]] ] = "ESYNTAX",
  [ [["\ud83d\\ude00"]] ] = "ESYNTAX", [ [["\uDBFF\uE000"]] ] = "ESYNTAX",
  -- Jansson keeps no zero byte in a key.
  [ [[{"a\u0000b":1}]] ] = "ESYNTAX",
}

--- Bytes that are no UTF-8, wherever they stand.
local no_utf8 = {
  "\x80", "\xBF", "\xC0\x80", "\xC1\xBF", "\xC3", "\xC3\x28", "\xE0\x80\x80", "\xE0\x9F\xBF", "\xE2\x82", "\xE2\x28\xA1",
  "\xED\xA0\x80", "\xED\xBF\xBF", "\xF0\x80\x80\x80", "\xF0\x8F\xBF\xBF", "\xF0\x9F\x98", "\xF4\x90\x80\x80",
  "\xF5\x80\x80\x80", "\xF8\x88\x80\x80\x80", "\xFE", "\xFF", "a\xE9b",
}

TestGrammar = {}

function TestGrammar:test_what_is_json_is_accepted_and_written_again()
  for text, expected in pairs(accepted) do
    local value, message = json.decode(text)
    lu.assertNotNil(value, message)
    local written = json.encode(value)
    lu.assertEquals(written, expected == true and text or expected, text)
    lu.assertEquals(json.encode(json.decode(written)), written)
  end
end

function TestGrammar:test_what_is_no_json_is_refused()
  for text, expected in pairs(refused) do
    local value, message, code = json.decode(text)
    lu.assertNil(value, text)
    lu.assertEquals(code, expected, ("%q: %s"):format(text, message))
    lu.assertStrMatches(message, "json%.decode: line %d+, column %d+: .+")
  end
end

function TestGrammar:test_what_is_no_utf8_is_refused()
  for _, bytes in ipairs(no_utf8) do
    for _, form in ipairs({ '"%s"', '["a%sb"]', '{"%s":1}', '{"a":"é%s"}', "%s", "[%s]" }) do
      local value, message, code = json.decode((form:gsub("%%s", (bytes:gsub("%%", "%%%%")))))
      lu.assertNil(value)
      lu.assertTrue(code == "EENCODING" or (code == "ESYNTAX" and not form:find('"')), message)
    end
  end
end

function TestGrammar:test_what_is_cut_off_is_refused()
  local text = [[{"a":[1.5,-2e+3,"x\u00e9\n",{"b":null}],"é":{"c":[true,false,{}]}}]]

  lu.assertNotNil(json.decode(text))
  for i = 0, #text - 1 do
    lu.assertNil(json.decode(text:sub(1, i)), text:sub(1, i))
  end
end

function TestGrammar:test_any_change_of_a_byte_gives_a_value_or_an_error()
  local text = [[{"a":[1.5,-2e+3,"x\u00e9\n",{"b":null}],"é":{"c":[true,false,{}]}}]]

  for i = 1, #text do
    for byte = 0, 255, 60 // harness.rounds(20) do
      local changed = text:sub(1, i - 1) .. string.char(byte) .. text:sub(i + 1)
      local value, message = json.decode(changed)
      if value ~= nil then
        local written = json.encode(value)
        lu.assertEquals(json.encode(json.decode(written)), written)
      else
        lu.assertStrContains(message, "json.decode: line ")
      end
    end
  end
end

harness.run()
