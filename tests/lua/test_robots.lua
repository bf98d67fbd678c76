-- robots.txt after RFC 9309: groups, patterns, limits.
local harness = require("harness")
local lu = require("luaunit")
local robots = require("asyncrt.robots")

local function expect(text, cases)
  local rules = robots.parse(text)
  for _, case in ipairs(cases) do
    local agent, path, allowed = table.unpack(case)
    lu.assertEquals(rules:allowed(agent, path), allowed, agent .. " " .. path)
  end
end

--- A pattern matches these paths, and not those.
local function pattern(text, matched, unmatched)
  local rules = robots.parse("User-agent: *\nDisallow: " .. text)
  for _, path in ipairs(matched) do
    lu.assertFalse(rules:allowed("bot", path), text .. " matches " .. path)
  end
  for _, path in ipairs(unmatched) do
    lu.assertTrue(rules:allowed("bot", path), text .. " does not match " .. path)
  end
end

TestGroups = {}

-- RFC 9309, section 5.1.
function TestGroups:test_the_simple_example_of_the_rfc()
  expect([[
User-Agent: *
Disallow: *.gif$
Disallow: /example/
Allow: /publications/

User-Agent: foobot
Disallow:/
Allow:/example/page.html
Allow:/example/allowed.gif

User-Agent: barbot
User-Agent: bazbot
Disallow: /example/page.html

User-Agent: quxbot
]], {
    { "any", "/a.gif", false }, { "any", "/a.gif?x", true }, { "any", "/example/", false }, { "any", "/publications/x", true },
    { "any", "/publications/x.gif", true }, { "any", "/", true },
    { "foobot", "/", false }, { "foobot", "/a.gif", false }, { "foobot", "/example/page.html", true },
    { "foobot", "/example/allowed.gif", true }, { "foobot", "/publications/", false },
    { "barbot", "/example/page.html", false }, { "bazbot", "/example/page.html", false }, { "barbot", "/example/", true },
    { "bazbot", "/a.gif", true }, { "quxbot", "/example/", true }, { "quxbot", "/a.gif", true },
  })
end

-- Section 5.2.
function TestGroups:test_the_longest_match_of_the_rfc()
  expect([[
User-Agent: foobot
Allow: /example/page/
Disallow: /example/page/disallowed.gif
]], {
    { "foobot", "/example/page/disallow.gif", true }, { "foobot", "/example/page/disallowed.gif", false },
    { "foobot", "/example/page/", true },
  })
end

-- Section 2.2.1: groups of the same agent are one.
function TestGroups:test_groups_are_merged()
  local text = "user-agent: ExampleBot\ndisallow: /foo\ndisallow: /bar\n\nuser-agent: ExampleBot\ndisallow: /baz\n"

  expect(text, { { "examplebot", "/foo", false }, { "examplebot", "/bar", false }, { "examplebot", "/baz", false } })
  expect("User-agent: *\nDisallow: /a\nUser-agent: x\nDisallow: /b\nUser-agent: *\nDisallow: /c", {
    { "y", "/a", false }, { "y", "/b", true }, { "y", "/c", false }, { "x", "/a", true }, { "x", "/b", false } })
end

function TestGroups:test_an_own_group_replaces_that_for_all()
  expect("User-agent: *\nDisallow: /\nUser-agent: bot\nDisallow: /x", {
    { "bot", "/", true }, { "bot", "/x", false }, { "b", "/", false } })
  expect("User-agent: bot\nUser-agent: *\nDisallow: /x", { { "bot", "/x", false }, { "other", "/x", false } })
end

function TestGroups:test_agents_are_compared_by_their_product()
  expect("User-agent: Foo-Bot_x/2.1 extra\nDisallow: /", {
    { "foo-bot_x", "/", false }, { "FOO-BOT_X/9 (+http://x)", "/", false }, { "foo", "/", true }, { "foo-bot_xy", "/", true },
  })
  expect("User-agent: * all\nDisallow: /", { { "x", "/", false } })
  expect("User-agent: *x\nDisallow: /", { { "x", "/", true } })
end

function TestGroups:test_other_lines_end_no_list_of_agents()
  expect("User-agent: a\nSitemap: http://h/s\nCrawl-delay: 2\nnonsense\nFoo: bar\n\n# x\nUser-agent: b\nDisallow: /", {
    { "a", "/", false }, { "b", "/", false } })
  expect("User-agent: a\nDisallow:\nUser-agent: b\nDisallow: /", { { "a", "/", true }, { "b", "/", false } })
end

function TestGroups:test_without_a_group_all_is_allowed()
  for _, text in ipairs({ "", "\n", "Disallow: /",
                          "User-agent: x\n", "User-agent: *\nDisallow:", "User-agent: *\nAllow: /", "<html>: /" }) do
    expect(text, { { "bot", "/", true }, { "bot", "/x", true } })
  end
end

TestPatterns = {}

-- In the manner of the cases that Google publishes.
function TestPatterns:test_prefixes_stars_and_ends()
  pattern("/", { "/", "/x", "/x?y" }, {})
  pattern("/*", { "/", "/x" }, {})
  pattern("/$", { "/" }, { "/x", "/?" })
  pattern("/fish", { "/fish", "/fish.html", "/fish/salmon", "/fishheads", "/fish?id=1" },
          { "/Fish", "/catfish", "/?id=fish", "/fis" })
  pattern("/fish*", { "/fish", "/fish.html", "/fish/a", "/fish?x" }, { "/Fish", "/catfish", "/desert/fish" })
  pattern("/fish/", { "/fish/", "/fish/?x", "/fish/salmon.htm" }, { "/fish", "/fish.html", "/Fish/salmon", "/animals/fish/" })
  pattern("/*.php", { "/index.php", "/filename.php", "/a/b.php?x", "/a/any.php.file.html", "/a.php/" }, { "/", "/windows.PHP" })
  pattern("/*.php$", { "/x.php", "/a/x.php", "/a.php.php" }, { "/x.php?y", "/x.php/", "/x.php5", "/windows.PHP", "/" })
  pattern("/fish*.php", { "/fish.php", "/fishheads/catfish.php?x" }, { "/Fish.PHP", "/fish" })
  pattern("*.gif", { "/a.gif", "/b/c.gifs" }, { "/gif" })
  pattern("$", {}, { "/", "/x" })
  pattern("*", { "/", "/x" }, {})
  pattern("*$", { "/", "/x" }, {})
end

function TestPatterns:test_many_stars()
  pattern("/a*b*c$", { "/abc", "/axbxc", "/abcbc", "/abcc" }, { "/ab", "/acb", "/abcd", "/c" })
  pattern("/**a", { "/a", "/xa" }, { "/", "/b" })
  pattern("/a*a$", { "/aa", "/aba" }, { "/a", "/ab" })
  pattern("/ab*ba$", { "/abba", "/abxba" }, { "/aba" })
  pattern("/a**$", { "/a", "/ab" }, { "/b" })
  pattern("/*a*", { "/a", "/ba" }, { "/b" })
end

function TestPatterns:test_signs_that_stand_for_themselves()
  pattern("/a$b", { "/a$b", "/a%24b" }, { "/ab", "/a" })
  pattern("/a%2Ab", { "/a*b", "/a%2ab" }, { "/axb", "/ab" })
  pattern("/a%24", { "/a$", "/a$x" }, { "/a" })
  pattern("/a$$", { "/a$" }, { "/a", "/a$x" })
  pattern("/a.b+c-d%[e", { "/a.b+c-d%[e" }, { "/axb+c-d%[e" })
end

-- RFC 9309, section 2.2.2.
function TestPatterns:test_spellings_are_one()
  pattern("/foo/bar?baz=quz", { "/foo/bar?baz=quz" }, { "/foo/bar" })
  pattern("/foo/bar?baz=https://foo.bar", { "/foo/bar?baz=https://foo.bar", "/foo/bar?baz=https%3A%2F%2Ffoo.bar" }, {})
  pattern("/foo/bar?baz=https%3a%2f%2ffoo.bar", { "/foo/bar?baz=https://foo.bar", "/foo/bar?baz=https%3A%2f%2Ffoo.bar" }, {})
  pattern("/foo/bar/ツ", { "/foo/bar/ツ", "/foo/bar/%E3%83%84", "/foo/bar/%e3%83%84" }, { "/foo/bar/" })
  pattern("/foo/bar/%E3%83%84", { "/foo/bar/ツ", "/foo/bar/%e3%83%84" }, {})
  pattern("/foo/bar/%62%61%7A", { "/foo/bar/baz", "/foo/bar/%62az" }, { "/foo/bar/ba" })
  pattern("/a%2fb", { "/a%2Fb" }, { "/a/b" })
  pattern("/a b", { "/a%20b" }, { "/a" })
  pattern("/100%", { "/100%", "/100%x" }, { "/100" })
end

function TestPatterns:test_the_longest_pattern_decides()
  expect("User-agent: *\nDisallow: /a\nAllow: /ab\nDisallow: /abc$\nAllow: /*.htm", {
    { "x", "/a", false }, { "x", "/ab", true }, { "x", "/abc", false }, { "x", "/abcd", true },
    { "x", "/ac.htm", true }, { "x", "/abc.htm", true } })
  expect("User-agent: *\nDisallow: /p\nAllow: /p", { { "x", "/p", true } })
  expect("User-agent: *\nAllow: /page\nDisallow: /*.htm", { { "x", "/page.htm", false } })
  expect("User-agent: *\nAllow: /$\nDisallow: /", { { "x", "/", true }, { "x", "/page.htm", false } })
end

function TestPatterns:test_paths_in_other_forms()
  expect("User-agent: *\nDisallow: /x\nDisallow: /?q", {
    { "b", "http://h/x", false }, { "b", "https://h:8/xy?z", false }, { "b", "http://h", true }, { "b", "http://h?q", false },
    { "b", "?q", false }, { "b", "x", false }, { "b", "", true }, { "b", "/#/x", true }, { "b", "/y?u=http://h/x", true } })
end

function TestPatterns:test_the_file_itself_is_allowed()
  expect("User-agent: *\nDisallow: /", { { "b", "/robots.txt", true }, { "b", "/robots.txt?x", false } })
end

TestText = {}

function TestText:test_line_ends_white_space_and_comments()
  for _, ending in ipairs({ "\n", "\r", "\r\n", "\n\n\r" }) do
    local text = ("\xEF\xBB\xBFUser-agent: bot # x~  DISALLOW \t:\t /a b \t # y~# Allow: /~allow:/a bc~"):gsub("~", ending)
    expect(text, { { "bot", "/a%20b", false }, { "bot", "/a%20bc", true }, { "bot", "/", true } })
  end
  expect("User-agent: bot\nDisallow: /a#b", { { "bot", "/a", false } })
  expect("User-agent bot\nUser-agent: *\nDisallow /\nDis allow: /", { { "bot", "/", true } })
end

function TestText:test_bytes_of_any_kind_are_skipped()
  expect("\0\255\1\n:\n::\nUser-agent\0: x\nUser-agent: *\nDisallow: /\0\255\n", {
    { "x", "/%00%FF", false }, { "x", "/", true } })
  for _ = 1, harness.rounds(300) do
    local bytes = {}
    for i = 1, 300 do bytes[i] = string.char(math.random(0, 255)) end
    bytes = table.concat(bytes)
    local rules = robots.parse("User-agent: *\nDisallow: " .. bytes .. "\nAllow: *" .. bytes)
    rules:allowed("bot", bytes)
    rules:allowed(bytes, "/" .. bytes)
  end
end

function TestText:test_delays()
  local rules = robots.parse("Crawl-delay: 9\nUser-agent: a\nCrawl-delay: 2.5\nCrawl-delay: 3\nDisallow: /x\n"
    .. "User-agent: b\nCrawl-delay: soon\nUser-agent: c\nDisallow:\nUser-agent: *\nCrawl-delay: 99999999999\n")

  lu.assertEquals(rules:crawl_delay("A/1.0"), 2.5)
  lu.assertNil(rules:crawl_delay("b"))
  lu.assertEquals(rules:crawl_delay("d"), 86400)
  for _, value in ipairs({ "-1", "nan", "inf", "1e9", "0x10", "1.2.3", ".", "" }) do
    lu.assertNil(robots.parse("User-agent: *\nCrawl-delay: " .. value):crawl_delay("x"), value)
  end
  lu.assertNil(robots.parse(""):crawl_delay("x"))
end

function TestText:test_sitemaps_belong_to_no_group()
  local rules = robots.parse("Sitemap: http://h/1.xml\nUser-agent: x\nsitemap:http://h/2.xml#x\nSitemap:\nDisallow: /")

  lu.assertEquals(rules.sitemaps, { "http://h/1.xml", "http://h/2.xml" })
end

function TestText:test_500_kib_are_read()
  local line = "# " .. ("x"):rep(1021) .. "\n"
  local head = "User-agent: *\nDisallow: /a\n"
  local text = head .. line:rep(499) .. ("\n"):rep(1024 - #head - #"Disallow: /b\n") .. "Disallow: /b\nDisallow: /c\n"

  lu.assertEquals(#text, 500 * 1024 + #"Disallow: /c\n")
  expect(text, { { "x", "/a", false }, { "x", "/b", false }, { "x", "/c", true } })
  expect(text:sub(2), { { "x", "/b", true } })
  local cut = "User-agent: *\nDisallow: /a\n" .. ("\n"):rep(500 * 1024 - 27 - 11) .. "Disallow: /long"
  expect(cut, { { "x", "/a", false }, { "x", "/", true } })
  expect(("x"):rep(600 * 1024), { { "x", "/", true } })
end

-- Each text is one that costs the square of its size if done badly.
function TestText:test_hostile_texts_take_no_long_time()
  if harness.rounds(20) < 20 then lu.skip("measures time") end
  local function timed(text, path)
    local start = os.clock()
    local rules = robots.parse(text)
    for _ = 1, 3 do rules:allowed("bot", path or "/x") end
    lu.assertTrue(os.clock() - start < 5, text:sub(1, 40))
  end
  local all = "User-agent: *\n"

  timed(("User-agent: a\nUser-agent: b\n"):rep(9000) .. ("Disallow: /x\n"):rep(10000))
  local agents = {}
  for i = 1, 20000 do agents[i] = "User-agent: " .. ("a"):rep(1 + i % 9) .. ("b"):rep(i % 13) .. "\n" end
  timed(table.concat(agents) .. ("Disallow: /y\n"):rep(15000))
  timed(("User-agent: *\nDisallow: /y\n"):rep(15000))
  timed(all .. "Disallow: /" .. ("*a"):rep(200000), "/" .. ("a"):rep(60000))
  timed(all .. ("Disallow: /*a*a*a*a*a*a*a*a*a*b\n"):rep(10000), "/" .. ("a"):rep(2000))
  timed(all .. "Disallow: /a" .. (" "):rep(400000) .. "b\n")
  timed(all .. (" "):rep(400000) .. "x:y\n" .. ("\t"):rep(90000))
  timed(all .. "Disallow: " .. ("%41"):rep(160000))
  timed((":"):rep(500000))
  timed(("a"):rep(300000) .. "\n" .. ("b"):rep(300000))
end

function TestText:test_arguments_are_checked()
  local rules = robots.parse("")

  lu.assertErrorMsgContains("bad argument #1 to 'parse' (string expected, got nil)", robots.parse)
  lu.assertErrorMsgContains("bad argument #1 to 'allowed'", function() rules:allowed() end)
  lu.assertErrorMsgContains("bad argument #2 to 'allowed'", function() rules:allowed("x") end)
  lu.assertErrorMsgContains("bad argument #1 to 'crawl_delay'", function() rules:crawl_delay() end)
end

TestTag = {}

--- What `value` asks of the agent "bot": "", "noindex", "nofollow" or both.
local function asked(value, agent)
  local tag = robots.parse_tag(value, agent or "bot")
  return (tag.noindex and "noindex" or "") .. (tag.nofollow and "nofollow" or "")
end

function TestTag:test_words_for_all()
  for value, expected in pairs({
    [""] = "", all = "", nofollow = "nofollow", NoIndex = "noindex", none = "noindexnofollow",
    ["noindex, nofollow"] = "noindexnofollow", [" \tnoindex\t,, NOFOLLOW ,"] = "noindexnofollow",
    ["noarchive, nofollow, nosnippet"] = "nofollow", ["nofollows"] = "", ["no follow"] = "", ["index, follow"] = "",
    ["nofollow noindex"] = "", ["max-snippet: 20, nofollow"] = "nofollow", ["max-video-preview:-1,none"] = "noindexnofollow",
    ["max-image-preview : large , noindex"] = "noindex",
  }) do
    lu.assertEquals(asked(value), expected, value)
  end
  lu.assertEquals(asked(nil), "")
end

function TestTag:test_dates_hold_commas_and_colons()
  for _, date in ipairs({ "25 Jun 2010 15:00:00 PST", "Fri, 25 Jun 2010 15:00:00 GMT", "Friday, 25-Jun-10 15:00:00 GMT",
                          "Jun 25, 2010 3:00:00 pm", "Friday, June 25 2010 15:00:00", "2010-06-25T15:00:00Z", "" }) do
    lu.assertEquals(asked("unavailable_after: " .. date), "", date)
    lu.assertEquals(asked("Unavailable_After: " .. date .. ", nofollow"), "nofollow", date)
    lu.assertEquals(asked("bot: unavailable_after: " .. date .. ", nofollow"), "nofollow", date)
    lu.assertEquals(asked("other: unavailable_after: " .. date .. ", nofollow"), "", date)
  end
end

function TestTag:test_words_for_an_agent()
  for value, expected in pairs({
    ["bot: nofollow"] = "nofollow", ["BOT :noindex,nofollow"] = "noindexnofollow", ["other: nofollow"] = "",
    ["other: noindex, nofollow"] = "", ["other: noindex, bot: nofollow"] = "nofollow", ["bots: none"] = "",
    ["noindex, other: nofollow"] = "noindex", ["bot: noindex, other: nofollow"] = "noindex",
    ["bot/2.0: none"] = "noindexnofollow",
    ["other: noindex, *: nofollow"] = "nofollow", ["bot:"] = "", [":nofollow"] = "",
    ["bot: max-snippet: 1, nofollow"] = "nofollow",
  }) do
    lu.assertEquals(asked(value), expected, value)
    lu.assertEquals(asked(value, "Bot/1.0 (+http://bot.example)"), expected, value)
  end
  lu.assertEquals(robots.parse_tag("bot: none"), { noindex = false, nofollow = false })
end

function TestTag:test_lines_stand_for_themselves()
  lu.assertEquals(asked({ "other: noindex", "nofollow" }), "nofollow")
  lu.assertEquals(asked({ "noarchive", "bot: noindex", "other: nofollow" }), "noindex")
  lu.assertEquals(asked({}), "")
end

function TestTag:test_arguments_are_checked()
  lu.assertErrorMsgContains("bad argument #1 to 'parse_tag' (string expected, got number)", robots.parse_tag, 1)
  lu.assertErrorMsgContains("bad argument #1 to 'parse_tag' (string expected, got boolean)", robots.parse_tag, { false })
  lu.assertErrorMsgContains("bad argument #2 to 'parse_tag'", robots.parse_tag, nil, 1)
end

function TestTag:test_hostile_fields_take_no_long_time()
  if harness.rounds(20) < 20 then lu.skip("measures time") end
  for _, text in ipairs({ "a", " ", ",", ":", "a:", "a ", "\t,", "a ,", "*", "a,b:c" }) do
    local start = os.clock()
    asked(text:rep(300000))
    lu.assertTrue(os.clock() - start < 5, text)
  end
end

harness.run()
