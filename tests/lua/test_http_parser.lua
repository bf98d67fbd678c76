-- The parser of HTTP/1.1 messages as Lua sees it; tests/http has its rules.
local harness = require("harness")
local lu = require("luaunit")
local parser = require("asyncrt.http.parser")

local function request(...)
  return table.concat({ ... }, "\r\n") .. "\r\n\r\n"
end

local GET = request("GET /a?b HTTP/1.1", "Host: example.org")

-- Every event of `bytes`, fed in pieces of `size`.
local function events(p, bytes, size)
  local list = {}
  for i = 1, #bytes, size or #bytes do
    p:feed(bytes:sub(i, i + (size or #bytes) - 1))
    local event, value = p:next()
    while event do
      list[#list + 1] = { event, value }
      if event == "end" then p:restart() end
      event, value = p:next()
    end
  end
  return list
end

TestHead = {}

function TestHead:test_a_request()
  local p = parser.request()
  p:feed(GET)

  local event, head = p:next()

  lu.assertEquals(event, "head")
  lu.assertEquals(head, {
    method = "GET",
    target = "/a?b",
    form = "origin",
    host = "example.org",
    version = "1.1",
    headers = { host = "example.org" },
    keep_alive = true,
  })
  lu.assertEquals({ p:next() }, { "end" })
  lu.assertEquals({ p:next() }, { "end" })
end

function TestHead:test_a_response()
  local p = parser.response()
  p:feed("HTTP/1.0 404 Not Found\r\nContent-Length: 3\r\n\r\nabc")

  local _, head = p:next()

  lu.assertEquals(head, {
    status = 404,
    reason = "Not Found",
    version = "1.0",
    headers = { ["content-length"] = "3" },
    framing = "length",
    length = 3,
  })
end

function TestHead:test_flags()
  local p = parser.request()
  p:feed(request("POST / HTTP/1.1", "Host: a", "Connection: upgrade, close",
    "Upgrade: h2c", "Expect: 100-continue", "Transfer-Encoding: chunked"))

  local _, head = p:next()

  lu.assertTrue(head.upgrade)
  lu.assertTrue(head.expects_continue)
  lu.assertNil(head.keep_alive)
  lu.assertEquals(head.framing, "chunked")
end

function TestHead:test_the_host_of_an_absolute_target_counts()
  local p = parser.request()
  p:feed(request("GET http://b:1/ HTTP/1.1", "Host: a"))

  local _, head = p:next()

  lu.assertEquals({ head.form, head.host, head.headers.host },
    { "absolute", "b:1", "a" })
end

function TestHead:test_repeated_fields_are_joined()
  local p = parser.request()
  p:feed(request("GET / HTTP/1.1", "Host: a", "A: 1", "a: 2", "A:", "A: 3",
    "Cookie: x=1", "Cookie: y=2"))

  local _, head = p:next()

  lu.assertEquals(head.headers.a, "1, 2, , 3")
  lu.assertEquals(head.headers.cookie, "x=1; y=2")
end

function TestHead:test_each_byte_at_each_place_of_a_value()
  for place = 0, 17 do
    for byte = 0, 255 do
      local value = ("a"):rep(place) .. "v" .. string.char(byte) .. "w\t" .. ("b"):rep(9)
      local p = parser.request()
      p:feed(request("GET / HTTP/1.1", "Host: a", "X: " .. value))

      local event, head = p:next()

      if byte == 9 or (byte >= 32 and byte ~= 127) then
        lu.assertEquals(head.headers.x, value)
      else
        lu.assertNil(event, byte)
      end
    end
  end
end

function TestHead:test_many_names()
  local lines, expected = {}, { host = "a" }
  for i = 1, 99 do
    local name = ("X-%s%d"):format(("n"):rep(i % 7), i)
    lines[i] = name .. ": " .. i
    expected[name:lower()] = tostring(i)
  end
  local p = parser.request()
  p:feed(request("GET / HTTP/1.1", "Host: a", table.unpack(lines)))

  local _, head = p:next()

  lu.assertEquals(head.headers, expected)
end

function TestHead:test_set_cookie_is_a_list()
  local p = parser.response()
  p:feed(request("HTTP/1.1 200 OK", "Set-Cookie: a=1, b", "Set-Cookie: c=2"))

  local _, head = p:next()

  lu.assertEquals(head.headers["set-cookie"], { "a=1, b", "c=2" })
end

TestBody = {}

function TestBody:test_a_body_in_pieces()
  local p = parser.request()
  local list = events(p, request("POST / HTTP/1.1", "Host: a",
    "Content-Length: 5") .. "hello" .. GET, 20)

  local body = {}
  for _, event in ipairs(list) do
    if event[1] == "body" then body[#body + 1] = event[2] end
  end

  lu.assertEquals(table.concat(body), "hello")
  lu.assertEquals(list[#list - 1][2].target, "/a?b")
end

function TestBody:test_a_piece_that_is_all_of_the_input_is_not_copied()
  local p = parser.request()
  local piece = ("x"):rep(100000)
  p:feed(request("POST / HTTP/1.1", "Host: a", "Content-Length: 200000"))
  p:next()
  p:next()

  collectgarbage("stop")
  local before = collectgarbage("count")
  for _ = 1, 2 do
    p:feed(piece)
    lu.assertEquals(select(2, p:next()), piece)
  end
  local growth = collectgarbage("count") - before
  collectgarbage("restart")

  lu.assertTrue(growth < 50)
end

function TestBody:test_chunks_and_trailers()
  local p = parser.request()
  local bytes = request("POST / HTTP/1.1", "Host: a",
    "Transfer-Encoding: chunked") .. "3\r\nabc\r\n0\r\nA: b\r\nC: d\r\n\r\n"

  local list = events(p, bytes)

  lu.assertEquals(list[2], { "body", "abc" })
  lu.assertEquals(list[3], { "trailers", { a = "b", c = "d" } })
  lu.assertEquals(list[4], { "end" })
end

function TestBody:test_a_body_that_ends_with_the_connection()
  local p = parser.response()
  p:feed("HTTP/1.1 200 OK\r\n\r\nabc")
  lu.assertEquals(select(2, p:next()).framing, "eof")
  lu.assertEquals({ p:next() }, { "body", "abc" })
  lu.assertNil(p:next())

  p:finish()

  lu.assertEquals({ p:next() }, { "end" })
end

function TestBody:test_an_answer_to_head_has_none()
  local p = parser.response()
  p:answers("HEAD")
  p:feed(request("HTTP/1.1 200 OK", "Content-Length: 5"))

  p:next()

  lu.assertEquals({ p:next() }, { "end" })
end

function TestBody:test_what_follows_connect_is_left()
  local p = parser.request()
  p:feed(request("CONNECT a:1 HTTP/1.1", "Host: a") .. "tunnel")
  lu.assertEquals(select(2, p:next()).form, "authority")
  lu.assertEquals(p:next(), "end")

  lu.assertEquals(p:rest(), "tunnel")
  lu.assertEquals(p:rest(), "")
end

-- Strings are found again by some of their bytes, and kept for a while.
TestStrings = {}

-- What `headers` came out as, of a request that has them.
local function headers_of(p, headers)
  local lines = { "GET / HTTP/1.1", "Host: a" }
  for name, value in pairs(headers) do
    lines[#lines + 1] = name .. ": " .. value
  end
  p:feed(request(table.unpack(lines)))
  local _, head = p:next()
  p:next()
  p:restart()
  return head.headers
end

function TestStrings:test_alike_strings_are_told_apart()
  local p = parser.request()
  for place = 1, 40 do
    local value = ("x"):rep(place - 1) .. "y" .. ("x"):rep(40 - place)
    for _ = 1, 3 do
      local headers = headers_of(p, { a = value, [value] = "b" })
      lu.assertEquals(headers, { a = value, [value] = "b", host = "a" })
    end
  end
end

function TestStrings:test_more_strings_than_are_kept()
  local p = parser.request()
  for i = 1, 4000 do
    local headers = { ["n-" .. i] = "v" .. i, ["m-" .. i % 7] = "w" .. i % 9 }
    local copy = headers_of(p, headers)
    headers.host = "a"
    lu.assertEquals(copy, headers)
  end
end

function TestStrings:test_finalizers_come_between()
  local p, inner = parser.request(), parser.request()
  local function many(first)
    local headers = {}
    for i = first, first + 90 do headers["f-" .. i % 1400] = "v" .. i end
    return headers
  end
  for i = 1, 100 do
    for j = 1, 10 do
      setmetatable({}, { __gc = function()
        headers_of(inner, many(91 * (i + j)))
      end })
    end
    local headers = many(89 * i)
    local copy = headers_of(p, headers)
    headers.host = "a"
    lu.assertEquals(copy, headers)
  end
end

function TestStrings:test_no_length_is_too_much()
  local p = parser.request()
  for size = 1, 600 do
    local value = ("v"):rep(size)
    for _ = 1, 2 do
      lu.assertEquals(headers_of(p, { a = value }).a, value)
    end
  end
end

TestFailure = {}

function TestFailure:test_an_error_stays()
  local p = parser.request()
  p:feed("GET / HTTP/1.1\r\nA: b\r\n\r\nrest")
  local expected = { nil, "missing, repeated or invalid Host", "BAD_HOST", 400 }

  for _ = 1, 2 do
    lu.assertEquals({ p:next() }, expected)
  end
end

function TestFailure:test_limits()
  local cases = {
    { { start_line = 10 }, "LONG_START_LINE", 414 },
    { { head = 10 }, "LONG_HEAD", 431 },
    { { fields = 1 }, "MANY_FIELDS", 431 },
    { { body = 4 }, "LONG_BODY", 413 },
    { { body = 0 }, "LONG_BODY", 413 },
  }
  for _, case in ipairs(cases) do
    local p = parser.request(case[1])
    p:feed(request("POST / HTTP/1.1", "Host: a", "Content-Length: 5"))

    local _, _, code, status = p:next()

    lu.assertEquals({ code, status }, { case[2], case[3] })
  end
end

function TestFailure:test_the_end_of_the_connection()
  local p = parser.request()
  p:finish()
  lu.assertEquals(select("#", p:next()), 1)

  p:feed("GET")
  lu.assertEquals(select(3, p:next()), "INCOMPLETE")
end

function TestFailure:test_misuse_raises()
  local p = parser.request()
  p:feed(GET)
  lu.assertErrorMsgContains("bytes left", p.feed, p, GET)
  lu.assertErrorMsgContains("has not ended", p.restart, p)
  lu.assertErrorMsgContains("unknown option", parser.request, { lines = 1 })
  lu.assertErrorMsgContains("start_line", parser.request, { start_line = 0 })
  lu.assertErrorMsgContains("head", parser.request, { head = 1 << 25 })
  lu.assertErrorMsgContains("Parser expected", p.next, {})
end

function TestFailure:test_is_idle()
  local p = parser.request()
  lu.assertTrue(p:is_idle())
  p:feed("\r\nG")
  lu.assertFalse(p:is_idle())
  p:next()
  lu.assertFalse(p:is_idle())
  p:feed(GET:sub(2))
  p:next()
  p:next()
  p:restart()
  lu.assertTrue(p:is_idle())
end

function TestFailure:test_every_split_gives_the_same()
  local bytes = GET .. request("POST / HTTP/1.1", "Host: a",
    "Transfer-Encoding: chunked") .. "3\r\nabc\r\n0\r\nA: b\r\n\r\n" .. GET
  local whole = events(parser.request(), bytes)
  for size = 1, #bytes do
    local list = events(parser.request(), bytes, size)
    for i = #list, 2, -1 do
      if list[i][1] == "body" and list[i - 1][1] == "body" then
        list[i - 1][2] = list[i - 1][2] .. table.remove(list, i)[2]
      end
    end
    lu.assertEquals(list, whole)
  end
end

harness.run()
