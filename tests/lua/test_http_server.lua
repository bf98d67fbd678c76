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
    res:write("a")
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

function TestConnection:test_an_error_in_the_middle_cuts_the_response_short()
  local answer = exchange(GET .. GET, function(_, res)
    res:write("abc")
    error("oops")
  end)

  lu.assertStrContains(answer, "\r\n\r\n3\r\nabc\r\n")
  lu.assertNil(answer:find("0\r\n\r\n", 1, true))
  lu.assertNil(answer:find("500", 1, true))
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

function TestConnection:test_a_running_request_is_answered_when_cancelled()
  with_server(function(_, res)
    rt.sleep(3)
    res:send("late")
  end, nil, function(conn, task)
    conn:write(GET)
    rt.sleep(1)

    task:cancel()

    lu.assertStrContains(conn:read_all(), "late")
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

harness.run()
