-- asyncrt: --virtual-time
-- The HTTP server, over streams in memory.
local harness = require("harness")
local http = require("asyncrt.http")
local lu = require("luaunit")
local rt = require("asyncrt")
local testing = require("asyncrt.testing")

local function request(...)
  return table.concat({ ... }, "\r\n") .. "\r\n\r\n"
end

local GET = request("GET /a?b=c HTTP/1.1", "Host: h")

-- A server and a connection to it, for the time of `use`.
local function with_server(handler, options, use)
  options = options or {}
  options.on_error = options.on_error or "collect"
  local listener = testing.listener(options.streams)
  options.streams = nil
  local task = rt.spawn(http.serve, listener, handler, options)
  local conn <close> = listener:dial()
  use(conn, task, listener)
  task:cancel()
  task:join()
end

-- What comes until the connection ends, without dates.
local function read_all(conn)
  return (assert(conn:read_all()):gsub("Date: [%w ,:]+ GMT\r\n", ""))
end

-- Everything a server answers to a client that sends `bytes` and no more.
local function exchange(bytes, handler, options)
  local answer
  with_server(handler, options, function(conn)
    assert(conn:write(bytes))
    assert(conn:shutdown())
    answer = read_all(conn)
  end)
  return answer
end

local function hello(_, res)
  res:send("hello")
end

local HELLO = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"

TestResponse = {}

function TestResponse:test_with_a_length()
  lu.assertEquals(exchange(GET, hello), HELLO)
end

function TestResponse:test_status_and_fields()
  local answer = exchange(GET, function(_, res)
    res.status = 404
    res.headers["X-B"] = 1
    res.headers["Set-Cookie"] = { "a=1", "b=2" }
    res:send()
  end)

  lu.assertEquals(answer, "HTTP/1.1 404 Not Found\r\nSet-Cookie: a=1\r\n"
    .. "Set-Cookie: b=2\r\nX-B: 1\r\nContent-Length: 0\r\n\r\n")
end

function TestResponse:test_in_chunks()
  local answer = exchange(GET, function(_, res)
    res:write("one")
    res:write("")
    res:write(("x"):rep(17))
  end)

  lu.assertEquals(answer, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
    .. "\r\n3\r\none\r\n11\r\n" .. ("x"):rep(17) .. "\r\n0\r\n\r\n")
end

function TestResponse:test_pieces_of_a_known_length()
  local answer = exchange(GET, function(_, res)
    res.headers["content-length"] = 5
    res:write("he")
    res:write("llo")
  end)

  lu.assertEquals(answer, HELLO)
end

function TestResponse:test_pieces_for_http_1_0_end_with_the_connection()
  local answer = exchange("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    function(_, res) res:write("one") res:write("two") end)

  lu.assertEquals(answer,
    "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nonetwo")
end

function TestResponse:test_head_has_no_body()
  local head = request("HEAD / HTTP/1.1", "Host: h")
  local answer = exchange(head .. head, function(req, res)
    if req.headers.host then res:send("hello") end
  end)

  lu.assertEquals(answer, ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
    :rep(2))
end

function TestResponse:test_head_tells_the_length_that_its_handler_knows()
  local answer = exchange(request("HEAD / HTTP/1.1", "Host: h"),
    function(_, res)
      res.headers["Content-Length"] = 1000000
      res:send()
    end)

  lu.assertEquals(answer, "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
end

function TestResponse:test_head_tells_no_length_that_nobody_has_told()
  local lengths = { "7", 0, false, "" }
  local answer = exchange(request("HEAD / HTTP/1.1", "Host: h"):rep(4),
    function(_, res)
      local length = table.remove(lengths, 1)
      if length == "" then return res:send("") end
      res.headers["Content-Length"] = length or nil
    end)

  lu.assertEquals(answer, "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n"
    .. "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    .. ("HTTP/1.1 200 OK\r\n\r\n"):rep(2))
end

function TestResponse:test_head_of_a_response_in_pieces()
  local answer = exchange(request("HEAD / HTTP/1.1", "Host: h") .. GET,
    function(_, res)
      res:write("one")
      res:write("two")
    end)

  lu.assertEquals(answer, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
    .. "\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    .. "3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n")
end

function TestResponse:test_date()
  local dates = {}
  with_server(function(req, res)
    if req.path == "/own" then res.headers.date = "yesterday" end
    res:send()
  end, nil, function(conn)
    conn:write(request("GET / HTTP/1.1", "Host: h"))
    conn:write(request("GET /own HTTP/1.1", "Host: h"))
    conn:shutdown()
    for date in conn:read_all():gmatch("[Dd]ate: ([^\r]*)\r") do
      dates[#dates + 1] = date
    end
  end)

  lu.assertEquals(dates, { os.date("!%a, %d %b %Y %H:%M:%S GMT"), "yesterday" })
end

function TestResponse:test_trailers_behind_chunks()
  local answer = exchange(GET .. GET, function(_, res)
    res:write("one")
    res.trailers = { Digest = "abc", Count = 1 }
  end)

  lu.assertEquals(answer, ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
    .. "\r\n3\r\none\r\n0\r\nCount: 1\r\nDigest: abc\r\n\r\n"):rep(2))
end

function TestResponse:test_trailers_cannot_frame()
  for _, name in ipairs({ "Content-Length", "transfer-encoding", "Host", "a b" }) do
    exchange(GET, function(_, res)
      res:write("one")
      res.trailers = { [name] = "5" }
      lu.assertFalse(pcall(res.finish, res))
      res.trailers = { x = "a\r\nb: c" }
      lu.assertFalse(pcall(res.finish, res))
      res.trailers = nil
    end, { on_error = "fail" })
  end
end

function TestResponse:test_a_large_head()
  local answer = exchange(GET, function(_, res)
    for i = 1, 100 do res.headers["X-" .. i] = ("y"):rep(200) end
    res:send(("z"):rep(100000))
  end)

  lu.assertEquals(select(2, answer:gsub("X%-%d+: y+\r\n", "")), 100)
  lu.assertEquals(#answer:match("z+$"), 100000)
end

function TestResponse:test_no_content()
  local answer = exchange(GET .. GET, function(_, res)
    res.status = 204
    res:send()
  end)

  lu.assertEquals(answer, ("HTTP/1.1 204 No Content\r\n\r\n"):rep(2))
end

function TestResponse:test_a_handler_that_sends_nothing()
  lu.assertEquals(exchange(GET, function() end),
    "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
end

function TestResponse:test_fields_cannot_be_injected()
  local problems = {}
  for name, value in pairs({ ["A\r\nB"] = "c", A = "b\r\nC: d", B = "\0",
    ["Transfer-Encoding"] = "gzip", ["Content-Length"] = "x" }) do
    exchange(GET, function(_, res)
      res.headers[name] = value
      problems[#problems + 1] = not pcall(res.send, res, "x") or nil
    end)
  end
  lu.assertEquals(#problems, 5)
end

-- What is returned is no response.
function TestResponse:test_a_result_without_a_response_is_an_error()
  local errors = {}
  local options = { on_error = function(err) errors[#errors + 1] = err end }
  for _, result in ipairs({ 404, "hello", {} }) do
    lu.assertStrContains(exchange(GET, function() return result end, options),
      "HTTP/1.1 500 ")
    lu.assertEquals(table.remove(errors), ("the handler has sent nothing and "
      .. "returned a %s value; a response is sent by response:send")
      :format(type(result)))
  end
  for _, handler in ipairs({
    function(_, res) return res:send("hello") end,
    function(_, res) res:write("hello") return 404 end,
    function() return false end,
  }) do
    lu.assertStrContains(exchange(GET, handler, options), "HTTP/1.1 200 OK")
  end
  lu.assertEquals(errors, {})
end

function TestResponse:test_misuse_raises()
  exchange(GET, function(_, res)
    res:send("a")
    lu.assertErrorMsgContains("has begun", res.send, res, "a")
    lu.assertErrorMsgContains("has ended", res.write, res, "a")
  end, { on_error = "fail" })
  exchange(GET, function(_, res)
    res.headers["Content-Length"] = 1
    lu.assertErrorMsgContains("string", res.write, res, 5)
    lu.assertErrorMsgContains("more bytes", res.write, res, "ab")
    lu.assertErrorMsgContains("fewer bytes", res.finish, res)
    lu.assertErrorMsgContains("fewer bytes", res.send, res, "")
    lu.assertErrorMsgContains("more bytes", res.send, res, "ab")
    lu.assertErrorMsgContains("invalid header name 'a?b'", function()
      res.headers["a\nb"] = "c"
      res:send("a")
    end)
    res.headers["a\nb"] = nil
    res.status = 99
    lu.assertErrorMsgContains("invalid status 99", res.send, res, "a")
    res.status = nil
    res:write("a")
  end, { on_error = "fail" })
end

function TestResponse:test_use_after_its_end_raises()
  local kept = {}
  exchange(GET .. GET, function(req, res)
    if kept[1] then
      lu.assertErrorMsgContains("is over", kept[2].send, kept[2], "x")
      lu.assertErrorMsgContains("has been answered", kept[1].read, kept[1])
    end
    kept = { req, res }
    res:send("x")
  end, { on_error = "fail" })
end

-- The table of header fields is made when it is first asked for.
TestHeaders = {}

local FIELDS = { host = "h", accept = "*/*", ["x-a"] = "1, 2" }

local function get_with(body, ...)
  return request(body and "POST / HTTP/1.1" or "GET / HTTP/1.1", "Host: h",
    "Accept: */*", "X-A: 1", "X-A: 2", ...) .. (body or "")
end

function TestHeaders:test_it_is_one_table()
  exchange(get_with(), function(req)
    local headers = req.headers
    lu.assertEquals(headers, FIELDS)
    lu.assertIs(req.headers, headers)
    req.headers = { a = "b" }
    lu.assertEquals(req.headers, { a = "b" })
    req.headers = nil
    lu.assertNil(req.headers)
    lu.assertEquals(FIELDS, headers)
  end, { on_error = "fail" })
end

function TestHeaders:test_behind_a_body_and_trailers()
  local body = "3\r\nabc\r\n0\r\nX-B: c\r\nX-C: d\r\n\r\n"
  exchange(get_with(body, "Transfer-Encoding: chunked"), function(req)
    lu.assertEquals(req:read_all(), "abc")
    lu.assertEquals(req.trailers, { ["x-b"] = "c", ["x-c"] = "d" })
    local fields = { ["transfer-encoding"] = "chunked" }
    for name, value in pairs(FIELDS) do fields[name] = value end
    lu.assertEquals(req.headers, fields)
  end, { on_error = "fail" })
end

function TestHeaders:test_of_requests_that_are_over()
  local kept = {}
  local function keep(req) kept[#kept + 1] = req end
  exchange(get_with() .. GET .. get_with() .. request("GET / HTTP/1.0"), keep)
  collectgarbage()
  lu.assertEquals(kept[1].headers, FIELDS)
  lu.assertIs(kept[1].headers, kept[1].headers)
  lu.assertEquals(kept[2].headers, { host = "h" })
  lu.assertEquals(kept[3].headers, FIELDS)
  lu.assertEquals(kept[4].headers, {})
end

function TestHeaders:test_of_one_that_fails_and_one_whose_client_goes()
  local kept = {}
  exchange(get_with(), function(req)
    kept[1] = req
    error("on purpose")
  end)
  with_server(function(req)
    kept[2] = req
    rt.sleep(60)
  end, {}, function(conn)
    conn:write(get_with())
    rt.sleep(1)
    conn:close()
    rt.sleep(2)
  end)
  lu.assertEquals(kept[1].headers, FIELDS)
  lu.assertEquals(kept[2].headers, FIELDS)
end

function TestHeaders:test_many_and_long_ones()
  local lines, fields = {}, { host = "h", accept = "*/*", ["x-a"] = "1, 2" }
  for i = 1, 90 do
    local value = ("v"):rep(3 * i)
    lines[i] = "N-" .. i .. ": " .. value
    fields["n-" .. i] = value
  end
  local kept = {}
  local bytes = get_with(nil, table.unpack(lines))
  exchange(bytes .. bytes, function(req)
    if #kept == 0 then lu.assertEquals(req.headers, fields) end
    kept[#kept + 1] = req
  end, { on_error = "fail" })
  lu.assertEquals(kept[1].headers, fields)
  lu.assertEquals(kept[2].headers, fields)
end

function TestHeaders:test_pairs_has_them()
  local kept = {}
  local function names_of(req)
    local names = {}
    for name, value in pairs(req) do
      if name == "headers" then lu.assertEquals(value, FIELDS) end
      names[#names + 1] = name
    end
    table.sort(names)
    return names
  end
  local expected = { "connection", "headers", "host", "keep_alive", "method",
    "path", "target" }
  exchange(get_with() .. get_with(), function(req)
    kept[#kept + 1] = req
    if #kept == 2 then lu.assertEquals(names_of(req), expected) end
  end, { on_error = "fail" })
  lu.assertEquals(names_of(kept[1]), expected)
  lu.assertEquals(names_of(kept[2]), expected)
end

function TestHeaders:test_what_is_no_request_has_none()
  exchange(get_with(), function(req)
    local class = getmetatable(req)
    local other = setmetatable({ connection = req.connection }, class)
    lu.assertNil(other.headers)
    lu.assertNil(setmetatable({}, class).headers)
    lu.assertNil(setmetatable({ connection = io.stdout }, class).headers)
    lu.assertNil(class.__index(1, "headers"))
    lu.assertEquals(setmetatable({}, { __index = req }).headers, FIELDS)
  end, { on_error = "fail" })
end

TestRequest = {}

function TestRequest:test_target()
  local seen = {}
  exchange(GET .. request("GET http://x/ HTTP/1.1", "Host: h")
    .. request("GET http://x?q HTTP/1.1", "Host: h"), function(req)
    seen[#seen + 1] = { req.path, req.query, req.host }
  end)
  lu.assertEquals(seen, { { "/a", "b=c", "h" }, { "/", nil, "x" },
    { "/", "q", "x" } })
end

function TestRequest:test_body()
  local body, trailers
  local bytes = request("POST / HTTP/1.1", "Host: h",
    "Transfer-Encoding: chunked") .. "3\r\nabc\r\n2\r\nde\r\n0\r\nT: u\r\n\r\n"
  for _, split in ipairs({ false, true }) do
    exchange(bytes .. GET, function(req)
      body = (body or "") .. req:read_all()
      trailers = trailers or req.trailers
    end, { streams = { split = split } })
  end

  lu.assertEquals(body, "abcdeabcde")
  lu.assertEquals(trailers, { t = "u" })
end

function TestRequest:test_a_body_that_nobody_reads_is_skipped()
  local answer = exchange(request("POST / HTTP/1.1", "Host: h",
    "Content-Length: 5") .. "abcde" .. GET, hello)

  lu.assertEquals(answer, HELLO .. HELLO)
end

function TestRequest:test_too_much_that_nobody_reads_ends_the_connection()
  local answer = exchange(request("POST / HTTP/1.1", "Host: h",
    "Content-Length: 200000") .. ("x"):rep(200000) .. GET, hello)

  lu.assertEquals(answer, HELLO)
end

function TestRequest:test_a_body_in_time()
  with_server(function(req, res)
    local _, _, code = req:read_all()
    lu.assertEquals(code, "ETIMEDOUT")
    lu.assertFalse(res:has_begun())
  end, nil, function(conn)
    local start = rt.now()
    conn:write(request("POST / HTTP/1.1", "Host: h", "Content-Length: 5"))

    local answer = read_all(conn)

    lu.assertEquals((rt.now() - start) // 30, 1.0)
    lu.assertStrContains(answer, "408 Request Timeout")
  end)
end

function TestRequest:test_a_body_that_trickles_in_has_a_minute_in_all()
  with_server(function(req)
    local _, message, code = req:read_all()
    lu.assertEquals({ message, code },
      { "the body did not arrive in time", "ETIMEDOUT" })
  end, nil, function(conn)
    local start = rt.now()
    conn:write(request("POST / HTTP/1.1", "Host: h", "Content-Length: 500"))
    rt.group(function(group)
      group:spawn_with({ daemon = true }, function()
        while conn:write("x") do rt.sleep(1) end
      end)
      lu.assertStrContains(read_all(conn), "408 Request Timeout")
    end)
    lu.assertTrue(rt.now() - start >= 60 and rt.now() - start < 67)
  end)
end

function TestRequest:test_only_the_wait_for_a_body_counts()
  local answer = exchange(request("POST / HTTP/1.1", "Host: h",
    "Content-Length: 5") .. "abcde", function(req, res)
    rt.sleep(1000)
    res:send(req:read_all())
  end)

  lu.assertStrContains(answer, "\r\n\r\nabcde")
end

function TestRequest:test_continue()
  local head = request("POST / HTTP/1.1", "Host: h", "Content-Length: 1",
    "Expect: 100-continue")
  with_server(function(req, res) res:send(req:read_all()) end, nil,
    function(conn)
      conn:write(head)
      lu.assertEquals(conn:read_until("\r\n\r\n"),
        "HTTP/1.1 100 Continue\r\n\r\n")
      conn:write("x")
      lu.assertStrContains(conn:read_until("\r\n\r\nx"), "Content-Length: 1")
    end)
end

function TestRequest:test_no_continue_where_the_body_is_here()
  local answer = exchange(request("POST / HTTP/1.1", "Host: h",
    "Content-Length: 1", "Expect: 100-continue") .. "x",
    function(req, res) res:send(req:read_all()) end)

  lu.assertEquals(answer, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx")
end

function TestRequest:test_an_expectation_that_is_not_met_ends_the_connection()
  local answer = exchange(request("POST / HTTP/1.1", "Host: h",
    "Content-Length: 1", "Expect: 100-continue"), hello)

  lu.assertEquals(answer, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n"
    .. "Connection: close\r\n\r\nhello")
end

TestConnection = {}

function TestConnection:test_pipelined_requests_are_answered_in_order()
  local bytes = {}
  for i = 1, 20 do
    bytes[i] = request("GET /" .. i .. " HTTP/1.1", "Host: h")
  end
  local order = {}

  exchange(table.concat(bytes), function(req)
    rt.sleep(math.random())
    order[#order + 1] = tonumber(req.path:sub(2))
  end)

  for i = 1, 20 do lu.assertEquals(order[i], i) end
end

function TestConnection:test_close()
  local answer = exchange(request("GET / HTTP/1.1", "Host: h",
    "Connection: close") .. GET, hello)

  lu.assertEquals(answer, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n"
    .. "Connection: close\r\n\r\nhello")
end

function TestConnection:test_a_handler_closes()
  local ends = { close = true, ["a, Close ,b"] = true, ["not-closed"] = false,
    ["keep-alive"] = false }
  for value, ending in pairs(ends) do
    local answer = exchange(GET .. GET, function(_, res)
      res.headers.connection = value
      res:send("hello")
    end)

    lu.assertEquals(select(2, answer:gsub("hello", "")), ending and 1 or 2)
    lu.assertEquals(answer:find("Connection: close", 1, true) ~= nil, ending)
  end
end

function TestConnection:test_http_1_0_is_kept_alive_where_it_asks()
  local answer = exchange("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
    .. "GET / HTTP/1.0\r\n\r\n", hello)

  lu.assertEquals(answer, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n"
    .. "Connection: keep-alive\r\n\r\nhelloHTTP/1.1 200 OK\r\n"
    .. "Content-Length: 5\r\nConnection: close\r\n\r\nhello")
end

function TestConnection:test_max_requests()
  local _, count = exchange(GET:rep(5), hello, { max_requests = 3 })
    :gsub("hello", "")

  lu.assertEquals(count, 3)
end

function TestConnection:test_an_idle_connection_is_closed()
  with_server(hello, nil, function(conn)
    local start = rt.now()
    conn:write(GET)
    conn:read_until("hello")

    lu.assertEquals(conn:read_all(), "")
    lu.assertEquals(rt.now() - start, 60.0)
  end)
end

function TestConnection:test_a_silent_connection_is_closed()
  with_server(hello, nil, function(conn)
    local start = rt.now()

    lu.assertEquals(conn:read_all(), "")
    lu.assertEquals(rt.now() - start, 10.0)
  end)
end

function TestConnection:test_a_head_has_ten_seconds_in_all()
  with_server(hello, nil, function(conn)
    local start = rt.now()
    rt.group(function(group)
      group:spawn_with({ daemon = true }, function()
        for byte in GET:gmatch(".") do
          if not conn:write(byte) then return end
          rt.sleep(1)
        end
      end)
      local answer = conn:read_all()
      lu.assertStrContains(answer, "HTTP/1.1 408 Request Timeout")
      lu.assertTrue(rt.now() - start <= 11)
    end)
  end)
end

function TestConnection:test_the_time_of_a_head_ends_in_a_pause_too()
  with_server(hello, nil, function(conn)
    local start = rt.now()
    conn:write("GET / HT")
    rt.sleep(9)
    conn:write("TP/1.1\r\n")

    lu.assertStrContains(conn:read_line(), "408")
    lu.assertAlmostEquals(rt.now() - start, 10, 1e-6)
  end)
end

function TestConnection:test_what_is_not_allowed_is_refused()
  local cases = {
    [400] = request("GET / HTTP/1.1", "Host : h"),
    [413] = request("POST / HTTP/1.1", "Host: h", "Content-Length: 2000000"),
    [414] = "GET /" .. ("x"):rep(9000),
    [431] = request("GET / HTTP/1.1", "Host: h", ("A: b\r\n"):rep(100)),
    [501] = request("POST / HTTP/1.1", "Host: h",
      "Transfer-Encoding: gzip, chunked"),
    [505] = request("GET / HTTP/2.0", "Host: h"),
  }
  for status, bytes in pairs(cases) do
    local answer = exchange(bytes .. GET, hello)

    lu.assertEquals(answer:sub(1, 13), "HTTP/1.1 " .. status .. " ")
    lu.assertStrContains(answer, "Connection: close")
    lu.assertNotStrContains(answer, "hello")
  end
end

function TestConnection:test_a_bad_body_is_refused()
  local answer = exchange(request("POST / HTTP/1.1", "Host: h",
    "Transfer-Encoding: chunked") .. "5 \r\nhello", function(req, res)
    local body, _, code = req:read_all()
    lu.assertEquals({ body, code }, { nil, "BAD_CHUNK" })
    lu.assertFalse(res:has_begun())
  end, { on_error = "fail" })

  lu.assertStrContains(answer, "HTTP/1.1 400 Bad Request")
end

function TestConnection:test_an_error_is_answered_once_and_told()
  local told = {}
  local options = { on_error = function(err) told[#told + 1] = err end }

  local answer = exchange(GET .. GET, function() error("oops") end, options)

  lu.assertStrContains(answer, "HTTP/1.1 500 Internal Server Error")
  lu.assertNil(answer:find("HTTP/1.1", 2, true))
  lu.assertEquals(#told, 1)
  lu.assertStrContains(tostring(told[1]), "oops")
end

TestRefuse = {}

local function as_json(req, res, problem)
  res.headers["Content-Type"] = "application/json"
  res:send(('{"status":%d,"path":"%s","problem":"%s"}\n')
    :format(res.status, req and req.path, tostring(problem):match("oops") or problem))
end

-- What is answered, and what on_error is told.
local function refused(bytes, refuse, handler)
  local told = {}
  local answer = exchange(bytes, handler or function() error("oops") end, {
    refuse = refuse,
    on_error = function(err) told[#told + 1] = tostring(err) end,
  })
  return answer, told
end

function TestRefuse:test_by_ones_own_function()
  local cases = {
    [400] = { request("GET / HTTP/1.1", "Host : h"), "nil", "[^\"]+" },
    [408] = { "GET / HTTP/1.1\r\n", "nil", "the head did not arrive in time" },
    [413] = { request("POST /x HTTP/1.1", "Host: h", "Content-Length: 2000000"), "/x", "[^\"]+" },
    [414] = { "GET /" .. ("x"):rep(9000), "nil", "[^\"]+" },
    [431] = { request("GET / HTTP/1.1", "Host: h", ("A: b\r\n"):rep(100)), "nil", "[^\"]+" },
    [500] = { GET .. GET, "/a", "oops" },
    [501] = { request("POST / HTTP/1.1", "Host: h", "Transfer-Encoding: gzip, chunked"), "nil", "[^\"]+" },
    [505] = { request("GET / HTTP/2.0", "Host: h"), "nil", "[^\"]+" },
  }
  for status, case in pairs(cases) do
    with_server(function() error("oops") end, { refuse = as_json }, function(conn)
      conn:write(case[1])
      if status ~= 408 then conn:shutdown() end
      local answer = read_all(conn)

      lu.assertStrMatches(answer, "HTTP/1.1 " .. status .. " [%a %-]+\r\nContent%-Type: application/json\r\n"
        .. "Content%-Length: %d+\r\nConnection: close\r\n\r\n"
        .. ('{"status":%d,"path":"%s","problem":"%s"}\n'):format(status, case[2], case[3]))
    end)
  end
end

function TestRefuse:test_a_body_that_is_not_allowed()
  local answer = refused(request("POST /b HTTP/1.1", "Host: h", "Transfer-Encoding: chunked") .. "5 \r\nhello",
    as_json, function(req, res)
      res.headers["X-Left"] = "by the handler"
      req:read_all()
    end)

  lu.assertStrMatches(answer, 'HTTP/1.1 400 .*{"status":400,"path":"/b","problem":"[^"]+"}\n')
  lu.assertNotStrContains(answer, "X-Left")
end

function TestRefuse:test_no_body_for_head()
  local head = request("HEAD / HTTP/1.1", "Host: h")

  lu.assertStrMatches((refused(head, as_json)), "HTTP/1.1 500 .*application/json.*\r\n\r\n")
  lu.assertStrMatches((refused(head, error)), "HTTP/1.1 500 .*text/plain.*\r\n\r\n")
end

-- The answer is then the one that the server has without such a function.
function TestRefuse:test_what_goes_wrong_in_it()
  local cases = {
    ["no luck"] = function() error("no luck") end,
    ["false"] = function() error(false) end,
    ["invalid status"] = function(_, res) res.status = 1; res:send("x") end,
    ["invalid header name"] = function(_, res) res.headers["a b"] = "c"; res:send("x") end,
    ["string"] = function(_, res) res.headers.A = {}; res:send({}) end,
    ["5 s"] = function() rt.sleep(6) end,
    ["more than 5 s"] = function() rt.sync(rt.never) end,
    [1] = function() end,
    [2] = function(_, res) res.headers = 1 end,
    [3] = function(_, res) res.status = 200; res.headers.A = "b"; return "body", "application/json" end,
  }
  for problem, refuse in pairs(cases) do
    for bytes, status in pairs({ [GET] = "500 Internal Server Error", ["x\r\n\r\n"] = "400 Bad Request" }) do
      local answer, told = refused(bytes, refuse)

      lu.assertEquals(answer, ("HTTP/1.1 %s\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n"
        .. "Connection: close\r\n\r\n%s\n"):format(status, #status + 1, status), problem)
      local expected = {}
      if type(problem) == "string" then expected[1] = problem end
      if bytes == GET then table.insert(expected, "oops") end
      lu.assertEquals(#told, #expected, problem)
      for i, text in ipairs(expected) do lu.assertStrContains(told[i], text) end
    end
  end
end

function TestRefuse:test_an_error_in_the_middle_of_it()
  local answer, told = refused(request("GET / HTTP/1.1", "Host : h"), function(_, res)
    res:write("abc")
    error("oops")
  end)

  lu.assertStrContains(answer, "\r\n\r\n3\r\nabc\r\n")
  lu.assertNil(answer:find("0\r\n\r\n", 1, true))
  lu.assertEquals(#told, 1)
  with_server(hello, { refuse = function(_, res)
    res:write("abc")
    error(false)
  end, on_error = function() end }, function(conn)
    conn:write("GET / HTTP/1.0\r\nbad\r\n\r\n")
    lu.assertEquals(select(3, conn:read_all()), "ECONNRESET")
  end)
end

function TestRefuse:test_in_pieces_and_with_another_status()
  local answer = refused(GET, function(_, res)
    res.status = 503
    res.headers["Retry-After"] = 9
    res.headers.Connection = "keep-alive"
    res:write("one")
    rt.sleep(1)
    res:write("two")
  end)

  lu.assertStrMatches(answer, "HTTP/1.1 503 Service Unavailable\r\n.*\r\n3\r\none\r\n0?3\r\ntwo\r\n0\r\n\r\n")
  lu.assertStrContains(answer, "Retry-After: 9\r\n")
  lu.assertNil(answer:find("HTTP/1.1", 2, true))
end

function TestRefuse:test_it_is_in_the_access_log()
  local lines = {}
  exchange("x\r\n\r\n", hello, { refuse = function(_, res)
    res.status = 418
    res:send("tea")
  end, access_log = function(line) lines[#lines + 1] = line end })

  lu.assertEquals(#lines, 1)
  lu.assertStrContains(lines[1], '"-" 418 3')
end

function TestRefuse:test_a_client_that_goes_away_ends_it()
  local ended
  with_server(function() error("oops") end, { refuse = function()
    local _ <close> = setmetatable({}, { __close = function() ended = rt.now() end })
    rt.sleep(4)
  end }, function(conn)
    local start = rt.now()
    conn:write(GET)
    rt.sleep(1)
    conn:reset()
    rt.sleep(1)

    lu.assertTrue(ended and ended - start < 2)
  end)
end

function TestConnection:test_an_error_in_the_middle_cuts_the_response_short()
  local answer = exchange(GET .. GET, function(_, res)
    res:write("abc")
    error("oops")
  end)

  lu.assertStrContains(answer, "\r\n\r\n3\r\nabc\r\n")
  lu.assertNil(answer:find("0\r\n\r\n", 1, true))
  lu.assertNil(answer:find("500", 1, true))
end

function TestConnection:test_an_error_is_no_end_of_a_body_without_a_length()
  with_server(function(_, res)
    res:write("abc")
    error("oops")
  end, nil, function(conn)
    conn:write("GET / HTTP/1.0\r\n\r\n")

    lu.assertEquals(select(3, conn:read_all()), "ECONNRESET")
  end)
end

function TestConnection:test_idle_connections_go_when_the_server_is_cancelled()
  with_server(hello, nil, function(conn, task)
    conn:write(GET)
    conn:read_until("hello")
    local start = rt.now()

    task:cancel()

    lu.assertEquals(conn:read_all(), "")
    task:join()
    lu.assertEquals(rt.now() - start < 2, true)
  end)
end

-- Where it raised instead, nothing behind it would run.
function TestConnection:test_serve_returns_where_it_is_cancelled()
  local sink, reader = testing.stream_pair()
  for _, options in ipairs({ {}, { access_log = function() end },
    { access_log = sink } }) do
    local listener, returned = testing.listener(), false
    local task = rt.spawn(function()
      http.serve(listener, hello, options)
      returned = true
    end)
    local conn <close> = listener:dial()
    conn:write(GET)
    conn:read_until("hello")

    task:cancel()

    task:join()
    lu.assertTrue(returned)
  end
  lu.assertStrContains(reader:read_line(), "200")
  sink:close()
  reader:close()
end

function TestConnection:test_a_running_request_is_answered_when_cancelled()
  with_server(function(_, res)
    rt.sleep(3)
    res:send("late")
  end, nil, function(conn, task)
    conn:write(GET)
    rt.sleep(1)

    task:cancel()

    local answer = conn:read_all()
    lu.assertStrContains(answer, "late")
    lu.assertStrContains(answer, "Connection: close")
  end)
end

function TestConnection:test_a_handler_that_takes_too_long_is_cancelled()
  local reason
  with_server(function()
    local _ <close> = setmetatable({}, { __close = function()
      reason = select(2, rt.cancelled())
    end })
    rt.sleep(100)
  end, { drain = 5 }, function(conn, task)
    conn:write(GET)
    rt.sleep(1)
    local start = rt.now()

    task:cancel()

    lu.assertEquals(conn:read_all(), "")
    lu.assertEquals(rt.now() - start, 5.0)
    lu.assertEquals(reason, "cancelled")
  end)
end

function TestConnection:test_a_client_that_does_not_read_holds_the_handler()
  local sent = 0
  with_server(function(_, res)
    for _ = 1, 1000 do
      if not res:write(("x"):rep(10000)) then return end
      sent = sent + 1
    end
  end, nil, function(conn)
    conn:write(GET)
    rt.sleep(5)
    lu.assertTrue(sent < 50)

    rt.sleep(30)
    lu.assertTrue(sent < 50)
  end)
end

function TestConnection:test_a_write_has_its_time_and_the_connection_ends_with_it()
  local failure
  with_server(function(_, res)
    while true do
      local ok, message, code = res:write(("x"):rep(10000))
      if not ok then
        failure = { message, code, rt.now() }
        return
      end
    end
  end, { write_timeout = 7 }, function(conn)
    conn:write(GET)
    rt.sleep(7.5) -- neither the end of the response nor closing waits anew
    lu.assertEquals(failure, { "write memory: connection timed out",
      "ETIMEDOUT", failure[3] })
    lu.assertTrue(failure[3] < rt.now())
    local _, _, code = conn:read_all()
    lu.assertEquals(code, "ECONNRESET")
    lu.assertTrue(failure[3] > rt.now() - 1)
  end)
end

function TestConnection:test_what_cannot_be_called_is_no_handler()
  lu.assertErrorMsgEquals(
    "call:1: bad argument #2 to 'serve' (function expected, got no value)",
    load("local serve = ... serve('127.0.0.1:0')", "=call"), http.serve)
end

function TestConnection:test_wrong_options_raise()
  local listener <close> = testing.listener()
  for options, problem in pairs({
    [{ max_bodies = 1 }] = "unknown option 'max_bodies'",
    [{ max_body = "x" }] = "option 'max_body'",
    [{ idle_timeout = 0 / 0 }] = "option 'idle_timeout'",
    [{ limits = { heads = 1 } }] = "heads",
  }) do
    lu.assertErrorMsgContains(problem, http.serve, listener, hello, options)
  end
end

TestUpgrade = {}

local UPGRADE = request("GET /chat HTTP/1.1", "Host: h", "Connection: Upgrade",
  "Upgrade: echo")

local function echo(_, res)
  res.headers["X-Version"] = 1
  local stream = assert(res:upgrade("echo"))
  for chunk in stream:chunks() do stream:write(chunk:upper()) end
end

function TestUpgrade:test_bytes_behind_the_request_are_the_handlers()
  for _, split in ipairs({ false, true }) do
    local answer = exchange(UPGRADE .. "and then some", echo,
      { on_error = "fail", streams = { split = split } })

    lu.assertEquals(answer, "HTTP/1.1 101 Switching Protocols\r\n"
      .. "X-Version: 1\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"
      .. "AND THEN SOME")
  end
end

function TestUpgrade:test_both_directions_without_limits()
  with_server(echo, { on_error = "fail" }, function(conn)
    conn:write(UPGRADE)
    conn:read_until("\r\n\r\n")
    for _ = 1, 3 do
      rt.sleep(1000)
      conn:write("hello\n")
      lu.assertEquals(conn:read_line(), "HELLO")
    end
    conn:close()
  end)
end

function TestUpgrade:test_connect()
  local answer = exchange(request("CONNECT example.org:443 HTTP/1.1",
    "Host: example.org:443") .. "bytes", function(req, res)
    lu.assertEquals(req.host, "example.org:443")
    local stream = assert(res:upgrade())
    stream:write(stream:read_all())
  end, { on_error = "fail" })

  lu.assertEquals(answer, "HTTP/1.1 200 OK\r\n\r\nbytes")
end

function TestUpgrade:test_misuse_raises()
  exchange(GET, function(_, res)
    lu.assertErrorMsgContains("is for no upgrade", res.upgrade, res, "echo")
  end, { on_error = "fail" })
  exchange(request("POST / HTTP/1.1", "Host: h", "Connection: upgrade",
    "Upgrade: echo", "Content-Length: 1") .. "x", function(req, res)
    lu.assertErrorMsgContains("was not read", res.upgrade, res, "echo")
    req:read_all()
    lu.assertErrorMsgContains("string", res.upgrade, res)
    lu.assertErrorMsgContains("invalid", res.upgrade, res, "a\r\nb")
    res:send("no")
    lu.assertErrorMsgContains("has begun", res.upgrade, res, "echo")
  end, { on_error = "fail" })
end

TestGone = {}

-- A handler that works for so long, and tells how it ended.
local function worker(seconds, ends)
  return function(_, res)
    local _ <close> = setmetatable({}, { __close = function()
      ends[#ends + 1] = { rt.now(), select(2, rt.cancelled()) }
    end })
    rt.sleep(seconds)
    res:send("done")
  end
end

function TestGone:test_a_client_that_closes_ends_the_handler()
  local ends = {}
  with_server(worker(100, ends), { on_error = "fail" }, function(conn)
    conn:write(GET)
    rt.sleep(1)
    local start = rt.now()

    conn:close()

    rt.sleep(10)
    lu.assertEquals(ends, { { start, "the client is gone" } })
  end)
end

function TestGone:test_a_client_that_was_gone_before_the_handler_began()
  local ends = {}
  with_server(worker(100, ends), { on_error = "fail" }, function(conn)
    conn:write(GET)
    local start = rt.now()
    conn:close()

    rt.sleep(10)
    lu.assertEquals(ends[1][2], "the client is gone")
    lu.assertAlmostEquals(ends[1][1] - start, 0.05, 1e-6)
  end)
end

function TestGone:test_a_client_that_resets_ends_the_handler()
  local ends = {}
  with_server(worker(100, ends), { on_error = "fail" }, function(conn)
    conn:write(GET)
    rt.sleep(1)
    local start = rt.now()

    conn:reset()

    rt.sleep(10)
    lu.assertEquals(ends, { { start, "the client is gone" } })
  end)
end

function TestGone:test_a_client_that_only_sends_no_more_is_answered()
  local ends = {}
  with_server(worker(100, ends), { on_error = "fail" }, function(conn)
    conn:write(GET)
    rt.sleep(1)
    conn:shutdown()
    local start = rt.now()

    lu.assertEquals(conn:read(), "HTTP/1.1 ")
    lu.assertAlmostEquals(rt.now() - start, 0.05, 1e-6)
    lu.assertEquals(read_all(conn), "200 OK\r\nContent-Length: 4\r\n\r\ndone")
    lu.assertEquals(ends[1][2], nil)
  end)
end

function TestGone:test_a_quick_answer_is_not_cut_in_two()
  with_server(hello, nil, function(conn)
    conn:write(GET)
    conn:shutdown()

    lu.assertStrContains(conn:read(), "\r\n\r\nhello")
  end)
end

function TestGone:test_in_the_middle_of_chunks()
  with_server(function(_, res)
    res:write("one")
    rt.sleep(1)
    res:write("two")
  end, { on_error = "fail" }, function(conn)
    conn:write(GET)
    conn:read_until("one\r\n")
    conn:shutdown()

    lu.assertEquals(conn:read(), "0")
    lu.assertEquals(conn:read_all(), "3\r\ntwo\r\n0\r\n\r\n")
  end)
end

function TestGone:test_errors_and_continue_begin_where_the_look_ended()
  with_server(function()
    rt.sleep(1)
    error("oops")
  end, nil, function(conn)
    conn:write(GET)
    conn:shutdown()
    lu.assertStrMatches(conn:read_all(), "HTTP/1.1 500 Internal.*500 Internal Server Error\n")
  end)
  with_server(function(req, res)
    rt.sleep(1)
    req:read_all()
    res:send()
  end, nil, function(conn)
    conn:write(request("POST / HTTP/1.1", "Host: h", "Content-Length: 1",
      "Expect: 100-continue"))
    conn:shutdown()
    lu.assertStrMatches(read_all(conn), "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK.*")
  end)
end

function TestGone:test_work_after_the_response_goes_on()
  local finished
  with_server(function(_, res)
    res:send("done")
    rt.sleep(10)
    finished = true
  end, { on_error = "fail" }, function(conn)
    conn:write(GET)
    conn:read_until("done")
    conn:reset()

    rt.sleep(20)
    lu.assertTrue(finished)
  end)
end

function TestGone:test_a_shield_goes_on()
  local finished
  with_server(function()
    rt.shield(60, function()
      rt.sleep(10)
      finished = true
    end)
  end, { on_error = "fail" }, function(conn)
    conn:write(GET)
    rt.sleep(1)
    conn:close()

    rt.sleep(20)
    lu.assertTrue(finished)
  end)
end

harness.run()
