-- component: url
-- URLs: parts, references, normal forms, queries.
local harness = require("harness")
local lu = require("luaunit")
local url = require("asyncrt.url")

local function fails(expected, code, f, ...)
  local value, message, got_code = f(...)

  lu.assertNil(value)
  lu.assertEquals({ message, got_code }, { expected, code })
end

TestParse = {}

function TestParse:test_every_part()
  lu.assertEquals(url.parse("http://user:pa:ss@Example.org:8080/a/b;c?d=e&f#g"), {
    scheme = "http", user = "user", password = "pa:ss", host = "Example.org", port = 8080,
    path = "/a/b;c", query = "d=e&f", fragment = "g",
  })
end

function TestParse:test_what_is_absent_is_nil()
  lu.assertEquals(url.parse("http://h"), { scheme = "http", host = "h", path = "" })
  lu.assertEquals(url.parse("http://h:/"), { scheme = "http", host = "h", path = "/" })
  lu.assertEquals(url.parse("http://u@h/?#"),
                  { scheme = "http", user = "u", host = "h", path = "/", query = "", fragment = "" })
  lu.assertEquals(url.parse("http://:@h"), { scheme = "http", user = "", password = "", host = "h", path = "" })
  lu.assertEquals(url.parse("file:///etc/x"), { scheme = "file", host = "", path = "/etc/x" })
end

function TestParse:test_other_schemes()
  lu.assertEquals(url.parse("mailto:a@b.org?subject=x"), { scheme = "mailto", path = "a@b.org", query = "subject=x" })
  lu.assertEquals(url.parse("urn:isbn:096"), { scheme = "urn", path = "isbn:096" })
  lu.assertEquals(url.parse("javascript:f('a b')"), { scheme = "javascript", path = "f('a%20b')" })
  lu.assertEquals(url.parse("data:,x"), { scheme = "data", path = ",x" })
end

function TestParse:test_relative_references()
  lu.assertEquals(url.parse(""), { path = "" })
  lu.assertEquals(url.parse("//h/a"), { host = "h", path = "/a" })
  lu.assertEquals(url.parse("/a//b"), { path = "/a//b" })
  lu.assertEquals(url.parse("../a?b"), { path = "../a", query = "b" })
  lu.assertEquals(url.parse("#x"), { path = "", fragment = "x" })
  lu.assertEquals(url.parse("./a:b"), { path = "./a:b" })
end

function TestParse:test_addresses_as_hosts()
  lu.assertEquals(url.parse("http://[2001:db8::1]:80/"),
                  { scheme = "http", host = "2001:db8::1", port = 80, path = "/" })
  lu.assertEquals(url.parse("http://[::ffff:1.2.3.4]").host, "::ffff:1.2.3.4")
  lu.assertEquals(url.parse("http://[v7.x:y]").host, "v7.x:y")
  lu.assertEquals(url.parse("http://127.0.0.1/").host, "127.0.0.1")
end

function TestParse:test_what_is_not_allowed_is_encoded()
  lu.assertEquals(url.parse("http://h/a b\"<>^`{|}\\[é]?a b[]{}é\\#a b#c").path, "/a%20b%22%3C%3E%5E%60%7B%7C%7D%5C%5B%C3%A9%5D")
  lu.assertEquals(url.parse("http://h/?a b[]{}é\\").query, "a%20b%5B%5D%7B%7D%C3%A9%5C")
  lu.assertEquals(url.parse("#a b#c\0\127\255").fragment, "a%20b%23c%00%7F%FF")
  lu.assertEquals(url.parse("/%zz%a%41%").path, "/%25zz%25a%41%25")
  lu.assertEquals(url.parse("http://é.org/").host, "%C3%A9.org")
end

function TestParse:test_what_browsers_drop_is_dropped()
  lu.assertEquals(url.parse(" \n\thttp://h/a\r\n  b\t \0"), { scheme = "http", host = "h", path = "/a%20%20b" })
  lu.assertEquals(url.parse("ht\ntp:\t//h"), { scheme = "http", host = "h", path = "" })
  lu.assertEquals(url.parse(" "), { path = "" })
end

function TestParse:test_what_is_no_url_is_refused()
  fails("url.parse http://h:x/: malformed from '/' on", "ESYNTAX", url.parse, "http://h:x/")
  fails("url.parse 1:2: malformed from ':2' on", "ESYNTAX", url.parse, "1:2")
  fails("url.parse http://[::1: it ends too early", "ESYNTAX", url.parse, "http://[::1")
  fails("url.parse http://h:65536/: its port is above 65535", "ESYNTAX", url.parse, "http://h:65536/")
  fails("url.parse http:///x: its host is empty", "ESYNTAX", url.parse, "http:///x")
  fails("url.parse HTTPS://:80/: its host is empty", "ESYNTAX", url.parse, "HTTPS://:80/")
  fails("url.parse http://a%20b/: it has a character that no host has", "ESYNTAX", url.parse, "http://a b/")
  for _, text in ipairs({
    "http://a\\b/", "http://good.org\\@evil.org/", "http://a<b", "http://a%b/", "http://%/", "http://a\0b/",
    "http://[::g]/", "http://[1:2:3:4:5:6:7:8:9]/", "http://[::1]x/", "http://[]/", "http://]/", "http://a[::1]/",
    "http://a@b@c/", "http://a:b:c/", "http://::1/", "http://h:-1/", "http://h:8 0/", "http://h:99999999999999999999/",
    "://h", ":a", "a b:c", "http://u/:p@h:x",
  }) do
    local parts, message, code = url.parse(text)
    if text == "http://u/:p@h:x" then
      lu.assertEquals(parts.host, "u")
    else
      lu.assertNil(parts, text)
      lu.assertStrContains(message, "url.parse ")
      lu.assertEquals(code, "ESYNTAX")
    end
  end
end

function TestParse:test_messages_are_short_and_printable()
  local _, message = url.parse("http://h:x/\27[0m\n" .. ("é"):rep(1000))

  lu.assertTrue(#message < 500)
  lu.assertNil(message:gsub("…", ""):find("[^ -~]"))
end

function TestParse:test_long_urls()
  local long = 65000
  fails("url.parse: a URL of more than 65536 bytes", "ELIMIT", url.parse, ("x"):rep(65537))
  lu.assertEquals(#url.parse("http://h/" .. ("a"):rep(long)).path, long + 1)
  lu.assertEquals(#url.parse("http://h/" .. ("é"):rep(long // 2)).path, 3 * long + 1)
  lu.assertEquals(#url.parse("http://" .. ("h"):rep(long)).host, long)
  lu.assertEquals(#url.parse("http://" .. ("u"):rep(long) .. "@h").user, long)
  lu.assertEquals(url.parse("http://h:" .. ("0"):rep(long) .. "80").port, 80)
  lu.assertEquals(#url.parse("http://h" .. ("/"):rep(long)).path, long)
  lu.assertEquals(#url.parse(("../"):rep(long // 3)).path, long // 3 * 3)
  lu.assertEquals(#url.parse("?" .. ("%41"):rep(long // 3)).query, long // 3 * 3)
  lu.assertEquals(#url.parse("#" .. ("x"):rep(long)).fragment, long)
  lu.assertEquals(#url.parse(("x"):rep(long) .. ":y").scheme, long)
  for _, host in ipairs({ ("1."):rep(30000), "[" .. ("1:"):rep(30000) .. "]", "[v1." .. ("a"):rep(60000) .. "]" }) do
    url.parse("http://" .. host)
    url.normalise("http://" .. host)
  end
end

function TestParse:test_arguments_are_checked()
  lu.assertErrorMsgContains("string expected, got no value", url.parse)
  lu.assertErrorMsgContains("string expected, got number", url.parse, 1)
end

TestResolve = {}

-- RFC 3986, sections 5.4.1 and 5.4.2.
local base = "http://a/b/c/d;p?q"
local examples = {
  ["g:h"] = "g:h", ["g"] = "http://a/b/c/g", ["./g"] = "http://a/b/c/g", ["g/"] = "http://a/b/c/g/",
  ["/g"] = "http://a/g", ["//g"] = "http://g", ["?y"] = "http://a/b/c/d;p?y", ["g?y"] = "http://a/b/c/g?y",
  ["#s"] = "http://a/b/c/d;p?q#s", ["g#s"] = "http://a/b/c/g#s", ["g?y#s"] = "http://a/b/c/g?y#s",
  [";x"] = "http://a/b/c/;x", ["g;x"] = "http://a/b/c/g;x", ["g;x?y#s"] = "http://a/b/c/g;x?y#s",
  [""] = "http://a/b/c/d;p?q", ["."] = "http://a/b/c/", ["./"] = "http://a/b/c/", [".."] = "http://a/b/",
  ["../"] = "http://a/b/", ["../g"] = "http://a/b/g", ["../.."] = "http://a/", ["../../"] = "http://a/",
  ["../../g"] = "http://a/g",

  ["../../../g"] = "http://a/g", ["../../../../g"] = "http://a/g", ["/./g"] = "http://a/g", ["/../g"] = "http://a/g",
  ["g."] = "http://a/b/c/g.", [".g"] = "http://a/b/c/.g", ["g.."] = "http://a/b/c/g..", ["..g"] = "http://a/b/c/..g",
  ["./../g"] = "http://a/b/g", ["./g/."] = "http://a/b/c/g/", ["g/./h"] = "http://a/b/c/g/h",
  ["g/../h"] = "http://a/b/c/h", ["g;x=1/./y"] = "http://a/b/c/g;x=1/y", ["g;x=1/../y"] = "http://a/b/c/y",
  ["g?y/./x"] = "http://a/b/c/g?y/./x", ["g?y/../x"] = "http://a/b/c/g?y/../x",
  ["g#s/./x"] = "http://a/b/c/g#s/./x", ["g#s/../x"] = "http://a/b/c/g#s/../x", ["http:g"] = "http:g",
}

function TestResolve:test_the_examples_of_the_rfc()
  for reference, expected in pairs(examples) do
    lu.assertEquals(url.resolve(base, reference), expected, reference)
  end
end

function TestResolve:test_other_bases()
  for _, case in ipairs({
    { "http://h", "x", "http://h/x" }, { "http://h", "?x", "http://h?x" }, { "http://h", "", "http://h" },
    { "http://h/a/", "b", "http://h/a/b" }, { "http://h/a?q#f", "", "http://h/a?q" }, { "http://h/a?q#f", "#", "http://h/a?q#" },
    { "http://h/a?q/r", "b", "http://h/b" }, { "http://u:p@h:8/a", "/b", "http://u:p@h:8/b" },
    { "http://h/a", "//i/b", "http://i/b" }, { "http://h/a", "//[::1]:8/b", "http://[::1]:8/b" },
    { "https://h/a", "http://h/b", "http://h/b" }, { "http://h/a//b", "c", "http://h/a//c" },
    { "http://h//a/b", "../c", "http://h//c" }, { "http://h/a", "x:y", "x:y" }, { "http://h/a", "./x:y", "http://h/x:y" },
    { "file:///a/b", "../../c", "file:///c" }, { "a:/b", "..//c", "a:/.//c" }, { "mailto:x", "y", "mailto:y" },
    { "http://h/a b/c", "d e", "http://h/a%20b/d%20e" }, { "http://h/", " é\n", "http://h/%C3%A9" },
    { "http://h/%7e", "%7e", "http://h/%7e" }, { "HTTP://H/a", "b", "HTTP://H/b" },
    { "http://h/a/b", "%2e%2E/c", "http://h/c" }, { "http://h/a/%2e/b", "c", "http://h/a/c" },
  }) do
    lu.assertEquals(url.resolve(case[1], case[2]), case[3])
  end
end

function TestResolve:test_what_is_no_url_is_refused()
  fails("url.resolve /a: the base has no scheme", "ESYNTAX", url.resolve, "/a", "b")
  fails("url.resolve http://h:x: it ends too early", "ESYNTAX", url.resolve, "http://h:x", "b")
  fails("url.resolve http://[/: malformed from '/' on", "ESYNTAX", url.resolve, "http://h/", "http://[/")
  fails("url.resolve: a URL of more than 65536 bytes", "ELIMIT", url.resolve, base, ("x"):rep(65537))
  lu.assertErrorMsgContains("bad argument #2", url.resolve, base)
end

TestNormalise = {}

function TestNormalise:test_normal_forms()
  for given, expected in pairs({
    ["HTTP://EXAMPLE.org"] = "http://example.org/", ["http://h:80/"] = "http://h/", ["https://h:443"] = "https://h/",
    ["http://h:443/"] = "http://h:443/", ["https://h:80/"] = "https://h:80/", ["http://h:/"] = "http://h/",
    ["http://h:0080/"] = "http://h/", ["http://h:08080/"] = "http://h:8080/", ["ws://h:80/x"] = "ws://h/x",
    ["ftp://h:21"] = "ftp://h/", ["x://h:80"] = "x://h:80", ["X://H"] = "x://h", ["HTTP://h:80?x"] = "http://h/?x",
    ["http://h/a/./b/../c"] = "http://h/a/c", ["http://h/../a"] = "http://h/a", ["http://h/a/.."] = "http://h/",
    ["http://h/a/."] = "http://h/a/", ["http://h/%2e%2E/a"] = "http://h/a", ["http://h/a//b"] = "http://h/a//b",
    ["http://h/%7ea%41%2f%3a"] = "http://h/~aA%2F%3A", ["http://h/?%7e%2f#%7e%2f"] = "http://h/?~%2F#~%2F",
    ["http://h/a b"] = "http://h/a%20b", ["http://h/é"] = "http://h/%C3%A9", ["http://h/%c3%a9"] = "http://h/%C3%A9",
    ["http://h/100%"] = "http://h/100%25", ["http://U%73er:P@H/"] = "http://User:P@h/",
    ["http://[2001:DB8:0:0::1]:80/"] = "http://[2001:db8::1]/", ["http://[::FFFF:1.2.3.4]/"] = "http://[::ffff:1.2.3.4]/",
    ["http://h/?"] = "http://h/?", ["http://h/#"] = "http://h/#", ["http://h./"] = "http://h./",
    ["urn:ISBN:1"] = "urn:ISBN:1", ["mailto:A@B"] = "mailto:A@B", ["file:///a/../b"] = "file:///b", ["file:///"] = "file:///",
    ["a/../b"] = "b", ["../a"] = "../a", ["a/../b:c"] = "./b:c", ["/a/..//b"] = "/.//b", ["x:/a/..//b"] = "x:/.//b",
    ["http://h/a/..//b"] = "http://h//b",
    ["./a:b/../c"] = "c", ["./a:b/..//c"] = ".//c", ["./x/../a:b"] = "./a:b", [".//a"] = ".//a", ["./"] = "./",
    ["./:&=+%2e%%5B/../@"] = "@", ["./x:/../../a"] = "../a", ["./x:/../%2e"] = "./", ["///./x:/../h"] = "///h",
    ["x:../a"] = "x:a", ["x://h/.."] = "x://h/", ["/./a:b"] = "/a:b", ["../.."] = "../..", ["a/../../"] = "../",
    ["a/..//b"] = ".//b", ["x:a/..//b"] = "x:.//b", ["./a"] = "a", ["a/.."] = "./", ["."] = "./", ["a/..?x"] = "./?x",
    ["?x"] = "?x", ["/.."] = "/",
    [""] = "",
  }) do
    lu.assertEquals(url.normalise(given), expected, given)
    lu.assertEquals(url.normalise(expected), expected)
  end
end

function TestNormalise:test_without_the_fragment()
  lu.assertEquals(url.normalise("http://h/a#b", { fragment = false }), "http://h/a")
  lu.assertEquals(url.normalise("http://h/a#b", { fragment = true }), "http://h/a#b")
  lu.assertErrorMsgContains("unknown option 'query'", url.normalise, "x", { query = false })
end

function TestNormalise:test_what_is_no_url_is_refused()
  fails("url.normalise http://h:x: it ends too early", "ESYNTAX", url.normalise, "http://h:x")
end

function TestNormalise:test_any_bytes_have_a_stable_normal_form_or_an_error()
  local pieces = { "http:", "//", "/", "h", ":", "80", "@", "[", "]", "::1", ".", "..", "%", "%2", "%2e", "%7E", "é", " ", "?",
                   "#", "a", "\\", "\t", "\0", "\255", "x:", "&=+" }
  for _ = 1, harness.rounds(20000) do
    local parts = {}
    for i = 1, math.random(12) do parts[i] = pieces[math.random(#pieces)] end
    local text = table.concat(parts)
    local normal = url.normalise(text)
    if normal then
      lu.assertEquals(url.normalise(normal), normal, text)
      lu.assertEquals(url.normalise(url.resolve("http://h/a/b", normal)),
                      url.normalise(url.resolve("http://h/a/b", text)), text)
    else
      lu.assertNil((url.parse(text)))
    end
  end
end

TestQuery = {}

function TestQuery:test_encode_and_decode()
  local all = {}
  for i = 0, 255 do all[i + 1] = string.char(i) end
  all = table.concat(all)

  lu.assertEquals(url.encode("a b/é?&=+%~-._"), "a%20b%2F%C3%A9%3F%26%3D%2B%25~-._")
  lu.assertEquals(url.decode(url.encode(all)), all)
  lu.assertEquals(url.decode("a%2Fb+c%zz%4%%41"), "a/b+c%zz%4%A")
  lu.assertErrorMsgContains("bad argument #1 to 'encode' (string expected, got number)", url.encode, 1)
  lu.assertErrorMsgContains("bad argument #1 to 'decode' (string expected, got nil)", url.decode)
end

function TestQuery:test_parse_query()
  local first, list = url.parse_query("a=1&b=x+y%20z&a=2&&c&=d&e==f%3D&%C3%A9=")

  lu.assertEquals(first, { a = "1", b = "x y z", c = "", [""] = "d", e = "=f=", ["é"] = "" })
  lu.assertEquals(list,
                  { { "a", "1" }, { "b", "x y z" }, { "a", "2" }, { "c", "" }, { "", "d" }, { "e", "=f=" }, { "é", "" } })
  lu.assertEquals({ url.parse_query("") }, { {}, {} })
  lu.assertErrorMsgContains("'parse_query' (string expected, got nil)", url.parse_query)
end

function TestQuery:test_build_query()
  lu.assertEquals(url.build_query({ b = 1, a = "x y&=é", c = true, d = 1.5 }), "a=x%20y%26%3D%C3%A9&b=1&c=true&d=1.5")
  lu.assertEquals(url.build_query({ { "b", 1 }, { "a", 2 }, { "b", 3 } }), "b=1&a=2&b=3")
  lu.assertEquals(url.build_query({}), "")
  lu.assertErrorMsgContains("value of 'a': string, number or boolean expected, got table", url.build_query, { a = {} })
  lu.assertErrorMsgContains("item 1: pair expected, got string", url.build_query, { "a" })
  lu.assertErrorMsgContains("value 1: string, number or boolean expected, got nil", url.build_query, { { "a" } })
  lu.assertErrorMsgContains("table expected, got nil", url.build_query)
end

function TestQuery:test_a_query_that_is_built_is_parsed_as_it_was()
  local list = { { "a b", "c&d" }, { "é=", "" }, { "a b", "+%" } }

  lu.assertEquals(select(2, url.parse_query(url.build_query(list))), list)
end

harness.run()
