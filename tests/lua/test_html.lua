-- component: html
-- The links of pages: in whole, in pieces, in bad form.
local harness = require("harness")
local html = require("asyncrt.html")
local lu = require("luaunit")

local function urls(links)
  local list = {}
  for i, link in ipairs(links) do list[i] = link.url end
  return list
end

local function in_pieces(page, size, options)
  local parser = html.parser(options)
  for i = 1, #page, size do parser:feed(page:sub(i, i + size - 1)) end
  return parser:finish()
end

--- The page has these links, however it is split.
local function has(page, expected, options)
  local links, whole = html.links(page, options)
  lu.assertEquals(urls(links), expected, page)
  for _, size in ipairs({ 1, 2, 3, 7 }) do
    local pieces, split = in_pieces(page, size, options)
    lu.assertEquals({ pieces, split }, { links, whole }, page)
  end
  return links, whole
end

TestLinks = {}

function TestLinks:test_what_a_reader_can_follow()
  local page = [[<!DOCTYPE html><html><head><title>x</title><link href=l rel=next></head><body>
    <a href="a" rel="nofollow">1</a> <map><area href=b></map> <img src=i><iframe src=f></iframe>
    <form action=g></form><script src=s></script></body></html>]]
  local links = has(page, { "a", "b", "f" })

  lu.assertEquals(links[1], { url = "a", tag = "a", attribute = "href", rel = "nofollow", nofollow = true })
  lu.assertEquals(links[3], { url = "f", tag = "iframe", attribute = "src" })
  has("<frameset><frame src=x></frameset>", { "x" })
end

function TestLinks:test_links_that_are_not_to_be_followed()
  local page = [[<a href=1 rel=nofollow><a href=2 rel="a NoFollow"><a href=3 rel="&#10;nofollow&#9;b "><a href=4>
    <a href=5 rel="nofollows x-nofollow no follow"><a href=6 rel=""><a href=7 nofollow><a href=8 rel=nofollow,b>]]
  local function followed(text, options)
    local kept = {}
    for _, link in ipairs(html.links(text, options)) do
      if not link.nofollow then kept[#kept + 1] = link.url end
    end
    return table.concat(kept, " ")
  end

  lu.assertEquals(followed(page), "4 5 6 7 8")
  lu.assertEquals(followed(page .. "<meta name=robots content=nofollow>"), "")
  lu.assertEquals(followed(page .. "<meta name=bot content=none>"), "4 5 6 7 8")
  lu.assertEquals(followed(page .. "<meta name=bot content=none>", { agent = "bot" }), "")
end

function TestLinks:test_all_of_them()
  has([[<link href=1><script src=2></script><a href=3><img src=4><form action=5><iframe src=6></iframe>
        <input src=7><object data=8></object><embed src=9><video poster=10 src=11><source src=12><track src=13></video>
        <audio src=14></audio><area href=15>]],
      { "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15" }, { all = true })
end

function TestLinks:test_spellings_of_attributes()
  has([[<A HREF=1><a href = "2"><a href='3'><a
        href
        =
        4><a class=x href=5 id=y><a/href=6><a href=7/><a href="8"id=x><a x href=9 href=no><a href="">]],
      { "1", "2", "3", "4", "5", "6", "7/", "8", "9", "" })
  has([[<a "q" =x 'y' href=1><a <b href=2><a href=a"b'c><a href='say "x"'>]], { "1", "2", "a\"b'c", 'say "x"' })
  has('<a title=">" href=1><a title=\'<a href=no>\' href=2>', { "1", "2" })
  has("<a href=\" x\n \">", { "x" })
end

function TestLinks:test_entities_are_decoded()
  has([[<a href="a?b=1&amp;c=2&d=3&#x2F;&#47;&eacute;&quot;&lt;&gt;&apos;&nbsp;">]], { "a?b=1&c=2&d=3//é\"<>'\u{A0}" })
  has("<a href=a?x=1&copy=2&amp=3>", { "a?x=1&copy=2&amp=3" })
end

function TestLinks:test_what_is_no_tag_has_no_links()
  has([[<!-- <a href=no> --><a href=1><!-- > <a href=no> --!><a href=2><!--><a href=3>--><!----><a href=4>]],
      { "1", "2", "3", "4" })
  has([[<script>"<a href=no>" </scri> </SCRIPT ><a href=1><style><a href=no></styles></style/><a href=2>]], { "1", "2" })
  has([[<textarea><a href=no></textarea><title><a href=no></title><xmp><a href=no></xmp><a href=1>]], { "1" })
  has([[<iframe><a href=no></iframe><noembed><a href=no></noembed><noscript><a href=1></noscript>]], { "1" })
  has("< a href=no></ a href=no><1 href=no><?x <a href=no><!x <a href=no><a href=1>", { "1" })
  has("<a href=1><plaintext><a href=no></plaintext><a href=no>", { "1" })
  has("<abbr href=no><a-b href=no><a:b href=no></a href=no><a href=1>", { "1" })
  has("<svg><title/><style/><a href=1></svg><title/><a href=no>", { "1" })
end

function TestLinks:test_what_stands_behind_the_end_counts()
  has("<html><body><a href=1></body></html><a href=2></html><a href=3>", { "1", "2", "3" })
  has("</html></body><a href=1>", { "1" })
  has("<a href=1></a></a></p><a href=2>", { "1", "2" })
end

function TestLinks:test_what_is_cut_off_ends_quietly()
  local page = [[<html><a href="1">x</a><!-- y --><script>z</script><a href='2'>&amp;</html>]]

  local _, first = page:find('"1">', 1, true)
  local _, second = page:find("'2'>", 1, true)
  for i = 0, #page do
    local count = #html.links(page:sub(1, i))
    lu.assertEquals(count, i >= second and 2 or i >= first and 1 or 0, page:sub(1, i))
  end
end

function TestLinks:test_zero_bytes_do_not_end_anything()
  has("a\0b<a href='x\0y'>\0<a href=z>", { "x\u{FFFD}y", "z" })
end

function TestLinks:test_the_base_element()
  local links, page = has([[<base href=" /d/ "><base href=no><a href=x>]], { "x" })
  lu.assertEquals(page.base, "/d/")
  lu.assertEquals(#links, 1)
end

function TestLinks:test_links_are_resolved()
  if not pcall(require, "asyncrt.url") then lu.skip("needs asyncrt.url") end
  local options = { base = "http://h/a/b" }

  has("<a href=x><a href=/y><a href=//i/z><a href='#t'><a href='p q'><a href>", {
    "http://h/a/x", "http://h/y", "http://i/z", "http://h/a/b#t", "http://h/a/p%20q", "http://h/a/b" }, options)
  has("<a href=javascript:x><a href=mailto:x><a href='http://[x'><a href=HTTPS://i>", { "HTTPS://i" }, options)
  has("<a href=mailto:x><a href=y>", { "mailto:x", "http://h/a/y" }, { base = "http://h/a/b", all = true })
  local _, page = has("<a href=x><base href=../c/>", { "http://h/c/x" }, options)
  lu.assertEquals(page.base, "http://h/c/")
  has("<base href='http://[x'><a href=x>", { "http://h/a/x" }, options)
end

function TestLinks:test_what_is_told_to_robots()
  for content, expected in pairs({
    ["noindex"] = { true, false }, ["nofollow"] = { false, true }, [" NoIndex , NOFOLLOW "] = { true, true },
    ["none"] = { true, true }, ["all"] = { false, false }, ["noindexed,nofollow-x"] = { false, false },
    ["noarchive,nofollow"] = { false, true }, [",,"] = { false, false },
  }) do
    local _, page = html.links(("<meta name=ROBOTS content='%s'>"):format(content))
    lu.assertEquals({ page.noindex, page.nofollow }, expected, content)
  end
  local page = "<meta name=mybot content=nofollow><meta name='' content=noindex>"
  lu.assertFalse(select(2, html.links(page)).nofollow)
  lu.assertTrue(select(2, html.links(page, { agent = "MyBot" })).nofollow)
  lu.assertFalse(select(2, html.links(page)).noindex)
end

function TestLinks:test_pages_that_lead_elsewhere()
  for content, expected in pairs({
    ["0;url=x"] = { "x" }, ["5; URL = 'x y' z"] = { "x y" }, ["5, url=x"] = { "x" }, [".5 x"] = { "x" }, ["5"] = {},
    ["x;url=y"] = {}, ["5;"] = {}, [""] = {}, ["5; url"] = { "url" }, ["5;url='x"] = { "x" }, ["5x"] = {},
  }) do
    has(([[<meta http-equiv=Refresh content="%s">]]):format(content), expected)
  end
end

TestEncoding = {}

local function encoding(page, expected, url, options)
  local _, about = has(page, { url }, options)
  lu.assertEquals(about.charset, expected)
end

function TestEncoding:test_without_a_word_it_is_utf8_or_what_else_it_may_be()
  encoding("<a href='é€😀'>", "utf-8", "é€😀")
  encoding("<a href='\xE9\x80 é \xFF\xC3'>", "utf-8", "é€ é ÿÃ")
  encoding("<a href='\xE2\x82'>", "utf-8", "â‚")
  encoding("<a href='\xE2\x82\xE2\x82\xAC\xF0\x9F\xED\xA0\x80'>", "utf-8", "â‚€ðŸí\u{A0}€")
end

function TestEncoding:test_what_the_page_declares()
  encoding("<meta charset=iso-8859-1><a href='\xC3\xA9\x80'>", "windows-1252", "Ã©€")
  encoding("<META content='text/html; charset = \"Windows-1251\"'><a href='\xE9'>", "Windows-1251", "й")
  encoding("<meta charset='koi8-r' ><a href='\xCA'>", "koi8-r", "й")
  encoding("<meta charset=shift_jis><a href='\x83\x65'>", "CP932", "テ")
  encoding("<meta charset=gb2312><a href='\x81\x30\x81\x30\xC4\xE3'>", "GB18030", "\u{80}你")
  encoding("<meta charset=utf-16><a href='é'>", "utf-8", "é")
  encoding("<meta charset=utf-7><a href='+AOk-'>", "utf-8", "+AOk-")
  encoding("<meta charset=nonsense><a href='é'>", "utf-8", "é")
  encoding("<meta charset=latin1//IGNORE><a href='é'>", "utf-8", "é")
  encoding("<!-- <meta charset=koi8-r> --><a href='é'>", "utf-8", "é")
  encoding("<metal charset=koi8-r><a href='é'>", "utf-8", "é")
  encoding((" "):rep(1100) .. "<meta charset=koi8-r><a href='é'>", "utf-8", "é")
end

function TestEncoding:test_what_the_caller_knows_comes_first()
  encoding("<meta charset=koi8-r><a href='é'>", "utf-8", "é", { charset = "UTF-8" })
  encoding("<meta charset=koi8-r><a href='\xCA'>", "koi8-r", "й", { charset = "nonsense" })
  encoding("<a href='\xE9'>", "windows-1251", "й", { charset = "windows-1251" })
end

function TestEncoding:test_byte_order_marks()
  encoding("\xEF\xBB\xBF<meta charset=koi8-r><a href='é'>", "utf-8", "é", { charset = "koi8-r" })
  local text, little, big = "<a href='xé'>", "\xFF\xFE", "\xFE\xFF"
  for _, code in utf8.codes(text) do
    little, big = little .. ("<I2"):pack(code), big .. (">I2"):pack(code)
  end
  encoding(little, "UTF-16LE", "xé")
  encoding(big, "UTF-16BE", "xé")
  encoding(little .. "x", "UTF-16LE", "xé")
end

function TestEncoding:test_wrong_bytes_of_another_encoding()
  encoding("<meta charset=euc-jp><a href='\xA4\xA2\xFF\xA4\xA4'>", "euc-jp", "あ\u{FFFD}い")
end

TestLimits = {}

function TestLimits:test_the_number_of_links()
  local page = ("<a href=x>"):rep(10)
  local links, about = html.links(page, { max_links = 4 })

  lu.assertEquals(#links, 4)
  lu.assertTrue(about.truncated)
  links, about = html.links(page, { max_links = 10 })
  lu.assertEquals(#links, 10)
  lu.assertFalse(about.truncated)
  lu.assertEquals(#html.links(page, { max_links = 0 }), 0)
  if harness.rounds(20) < 20 then return end
  lu.assertEquals(#html.links(("<a href=x>"):rep(100001)), 100000)
end

function TestLimits:test_attributes()
  local many = {}
  for i = 1, 300 do many[i] = "a" .. i .. "=x" end
  local before, after = table.concat(many, " ", 1, 255), table.concat(many, " ", 1, 256)

  lu.assertEquals(urls(html.links("<a " .. before .. " href=1><a " .. after .. " href=no><a href=2>")), { "1", "2" })
end

function TestLimits:test_long_values()
  local long = ("x"):rep(65000)

  has("<a href=" .. long .. "><a href=1>", { long, "1" })
  long = ("x"):rep(1000000)
  lu.assertEquals(urls(html.links("<a href='" .. long .. "' rel=y><a " .. long .. " href=1>")), { "1" })
  lu.assertEquals(urls(html.links("<" .. ("a"):rep(1000000) .. " href=no><a href=1>")), { "1" })
end

-- Twice the size must not take four times the time.
function TestLimits:test_time_grows_with_the_size_and_no_faster()
  if harness.rounds(20) < 20 then lu.skip("measures time") end
  local function unique(n)
    local list = {}
    for i = 1, n do list[i] = " a" .. i .. "=x" end
    return "<a" .. table.concat(list) .. ">"
  end
  local function opened(n) return ("<div>"):rep(n) .. ("</p>"):rep(n) end
  local makers = { unique, opened, function(n) return ("<a href=x>"):rep(n) end }
  for _, unit in ipairs({ "<", "<!--", "<!-- x ", "</", "<a ", "<a href='", "<script>", "</script", "&", "<a href=&amp;&x;>",
                          "<!", "<?", "<x><iframe src=x>", "<a b='", "\xE2\x82", "<table><form action=x>", "<a href=\"" }) do
    makers[#makers + 1] = function(n) return unit:rep(n) end
  end
  local function seconds(page)
    local best = math.huge
    for _ = 1, 3 do
      local start = os.clock()
      in_pieces(page, 4096, { all = true, max_links = 1000 })
      best = math.min(best, os.clock() - start)
    end
    return best
  end

  for i, make in ipairs(makers) do
    local small, large = seconds(make(2500)), seconds(make(40000))
    lu.assertTrue(large < 0.01 or large < 16 * 4 * small, ("%d: %f, %f"):format(i, small, large))
  end
end

function TestLimits:test_random_pages_are_the_same_in_pieces()
  local parts = { "<", ">", "</", "a", " href=", "'", '"', "x", "/", "=", "<!--", "-->", "<script>", "</script>", "<svg>",
                  "</svg>", "<title/>", "&amp;", "&", ";", "\0", "\xE2", "\x82", "\xAC", "é", "<base href=b>", "\n",
                  "<meta name=robots content=none>", "<a href=", "<img src=i>", "!", "-" }
  for _ = 1, harness.rounds(4000) do
    local page = {}
    for i = 1, math.random(40) do page[i] = parts[math.random(#parts)] end
    page = table.concat(page)
    local options = { all = math.random(2) == 1 }
    local links, about = html.links(page, options)
    local pieces, split = in_pieces(page, math.random(4), options)
    lu.assertEquals({ pieces, split }, { links, about }, page)
  end
end

TestMisuse = {}

function TestMisuse:test_arguments_are_checked()
  lu.assertErrorMsgContains("bad argument #1 to 'links' (string expected, got nil)", html.links)
  lu.assertErrorMsgContains("unknown option 'url'", html.links, "", { url = "x" })
  lu.assertErrorMsgContains("option 'base': string expected", html.parser, { base = 1 })
  lu.assertErrorMsgContains("option 'max_links': non-negative integer", html.parser, { max_links = -1 })
  lu.assertErrorMsgContains("bad argument #1 to 'feed' (string expected, got number)", function() html.parser():feed(1) end)
  local _, message = pcall(function() html.links("", { x = 1 }) end)
  lu.assertStrMatches(message, ".*test_html.lua:%d+: bad argument #2 to 'links' .*")
end

function TestMisuse:test_a_parser_ends_once()
  local parser = html.parser()
  parser:finish()

  lu.assertErrorMsgContains("the parser has finished", function() parser:finish() end)
  lu.assertErrorMsgContains("the parser has finished", function() parser:feed("x") end)
end

function TestMisuse:test_a_parser_may_be_dropped()
  for _ = 1, 100 do html.parser({ charset = "koi8-r" }):feed(("<a href=x>"):rep(200) .. "<a href='") end
  collectgarbage()
end

harness.run()
