-- component: curl
-- The HTTP client, against the server and against bare sockets of the same
-- process.
local harness = require("harness")
local http = require("asyncrt.http")
local lu = require("luaunit")
local net = require("asyncrt.net")
local rt = require("asyncrt")

local SOON = 0.05 -- seconds, for limits that pass because nobody answers

local OK = "HTTP/1.1 200 OK\r\n"
local HELLO = OK .. "Content-Length: 5\r\n\r\nhello"

local function unhex(text)
  return (text:gsub("%x%x", function(pair)
    return string.char(tonumber(pair, 16))
  end))
end

-- "hello, compressed"; and 8 MiB of zeros, compressed twice.
local GZIP = unhex("1f8b0800000000000203cb48cdc9c9d75148cecf2d284a2d2e4e4d0100"
  .. "127e197811000000")
local BOMB = unhex("1f8b0800000000000203edd7b10d82400085e13b2e261746b02126eec0"
  .. "04cec12a2494360ee00e2c60c30ab4ac4018413cc6c07c5ff5d7af7bcd33874395d629c6"
  .. "12fdeb3b6eb90e000000c09feb97215547dcf6aebddb030000004ee07d797ce66bb9f5e1"
  .. "07db19d4a7ef1f0000")

-- A listener whose connections `talk` handles, for the time of `use`, which is
-- called with the URL of the server and the listener.
local function with_sockets(talk, use)
  local listener = assert(net.listen("127.0.0.1:0"))
  local task = rt.spawn(net.serve, listener, talk, { drain = 0,
    on_error = "collect" })
  use("http://" .. listener:address(), listener)
  task:cancel()
  task:join()
end

-- A server whose connections read one head and answer with `bytes`.
local function with_answer(bytes, use)
  with_sockets(function(conn)
    while conn:read_until("\r\n\r\n") do
      conn:write(bytes)
      if not bytes:find("Content%-Length") then return end
    end
  end, use)
end

local function with_server(handler, use, options)
  local listener = assert(net.listen("127.0.0.1:0"))
  options = options or {}
  options.drain = 0
  options.on_error = "collect"
  local task = rt.spawn(http.serve, listener, handler, options)
  use("http://" .. listener:address(), listener)
  task:cancel()
  task:join()
end

-- What the one head of a request was that the server got.
local function head_of(request)
  local head
  with_sockets(function(conn)
    head = conn:read_until("\r\n\r\n")
    conn:write(HELLO)
    conn:shutdown()
  end, function(url)
    local res <close> = assert(request(url))
    res:read_all()
  end)
  return head
end

local function codes(...)
  local code = select(3, ...)
  lu.assertNil((...))
  return code, (select(2, ...))
end

TestResponse = {}

function TestResponse:test_status_fields_and_body()
  with_server(function(req, res)
    res.headers["X-Two"] = { "a", "b" }
    res.headers["Set-Cookie"] = { "a=1", "b=2" }
    res:send("you asked for " .. req.target)
  end, function(url)
    local res = assert(http.get(url .. "/x?y=z"))

    lu.assertEquals({ res.status, res.reason, res.version, res.url },
      { 200, "OK", "1.1", url .. "/x?y=z" })
    lu.assertEquals(res.headers["content-length"], "20")
    lu.assertEquals(res.headers["Content-Length"], "20")
    lu.assertEquals(res.headers["x-two"], "a, b")
    lu.assertEquals(res.headers["set-cookie"], { "a=1", "b=2" })
    lu.assertNil(res.headers["x-three"])
    lu.assertEquals(res:read_all(), "you asked for /x?y=z")
    lu.assertNil(res:read())
  end)
end

function TestResponse:test_the_body_comes_as_it_is_sent()
  local go = rt.channel()
  with_server(function(_, res)
    for i = 1, 3 do
      res:write("piece " .. i)
      go:recv()
    end
  end, function(url)
    local res = assert(http.get(url))
    local pieces = {}
    for bytes in res:chunks() do
      pieces[#pieces + 1] = bytes
      go:send(true)
    end

    lu.assertEquals(pieces, { "piece 1", "piece 2", "piece 3" })
  end)
end

function TestResponse:test_lines()
  with_answer(OK .. "Content-Length: 9\r\n\r\na\nbc\r\n\nx\n", function(url)
    local lines = {}
    for line in assert(http.get(url)):lines() do lines[#lines + 1] = line end

    lu.assertEquals(lines, { "a", "bc", "", "x" })
  end)
end

function TestResponse:test_the_end_of_the_connection_ends_the_body()
  with_answer(OK .. "\r\nall there is", function(url)
    lu.assertEquals(assert(http.get(url)):read_all(), "all there is")
  end)
end

function TestResponse:test_chunks_and_trailers()
  with_answer(OK .. "Transfer-Encoding: chunked\r\nTrailer: A\r\n\r\n"
    .. "3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nA: b\r\n\r\n", function(url)
    local res = assert(http.get(url))

    lu.assertEquals(res:read_all(), "abcde")
    lu.assertEquals(res.trailers.a, "b")
    lu.assertEquals(res.trailers.A, "b")
  end)
end

function TestResponse:test_no_trailers()
  with_answer(HELLO, function(url)
    local res = assert(http.get(url))
    res:read_all()

    lu.assertNil(res.trailers)
  end)
end

function TestResponse:test_head_has_no_body()
  with_answer(OK .. "Content-Length: 500\r\n\r\n", function(url)
    local res = assert(http.request({ method = "HEAD", url = url }))

    lu.assertEquals(res.headers["content-length"], "500")
    lu.assertEquals(res:read_all(), "")
  end)
end

function TestResponse:test_no_content_and_not_modified()
  for _, status in ipairs({ 204, 304 }) do
    with_answer(("HTTP/1.1 %d X\r\nContent-Length: 0\r\n\r\n"):format(status),
      function(url)
        local res = assert(http.get(url))

        lu.assertEquals(res.status, status)
        lu.assertEquals(res:read_all(), "")
      end)
  end
end

function TestResponse:test_interim_responses_are_left_out()
  with_answer("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" .. HELLO,
    function(url)
      local res = assert(http.get(url))

      lu.assertEquals(res.status, 200)
      lu.assertNil(res.headers.link)
      lu.assertEquals(res:read_all(), "hello")
    end)
end

function TestResponse:test_an_empty_reason_and_odd_fields()
  with_answer("HTTP/1.1 299\r\nContent-Length: 0\r\nA:\r\nB:  c \t\r\n"
    .. "A: d\r\n\r\n", function(url)
    local res = assert(http.get(url))

    lu.assertEquals({ res.status, res.reason }, { 299, "" })
    lu.assertEquals({ res.headers.a, res.headers.b }, { ", d", "c" })
  end)
end

function TestResponse:test_compressed_bodies()
  local answer = OK .. "Content-Encoding: gzip\r\nContent-Length: "
    .. #GZIP .. "\r\n\r\n" .. GZIP
  with_answer(answer, function(url)
    lu.assertEquals(http.get(url):read_all(), "hello, compressed")
    lu.assertEquals(http.get(url, { decompress = false }):read_all(), GZIP)
  end)
end

function TestResponse:test_a_large_body_waits_for_its_reader()
  local SIZE, sent = 8 * 1024 * 1024, 0
  with_server(function(_, res)
    res.headers["Content-Length"] = SIZE
    local piece = ("x"):rep(65536)
    while sent < SIZE do
      res:write(piece)
      sent = sent + #piece
    end
  end, function(url)
    local res = assert(http.get(url))
    -- All that may happen without a reader happens in a few turns.
    local before
    repeat
      before = sent
      for _ = 1, 20 do rt.sleep(0.001) end
    until sent == before
    lu.assertTrue(sent < SIZE)

    local size = 0
    for bytes in res:chunks() do size = size + #bytes end
    lu.assertEquals(size, SIZE)
  end)
end

function TestResponse:test_read_all_of_a_large_body()
  local body = ("0123456789"):rep(300000)
  with_server(function(_, res) res:send(body) end, function(url)
    lu.assertEquals(#assert(http.get(url)):read_all(), #body)
    local res <close> = assert(http.get(url))
    local code, message = codes(res:read_all({ max = 1000 }))
    lu.assertEquals(code, "ELIMIT")
    lu.assertStrContains(message, url)
  end)
end

function TestResponse:test_a_response_is_closed_early()
  with_server(function(_, res)
    while res:write(("x"):rep(65536)) do end
  end, function(url)
    local client <close> = http.client()
    do
      local res <close> = assert(client:get(url))
      res:read(10)
    end

    lu.assertEquals(client:stats(), { requests = 0, connections = 0 })
    local res = assert(client:get(url))
    lu.assertTrue(res:close())
    lu.assertTrue(res:close())
    lu.assertEquals({ select(2, res:read()) }, { "closed", "ECLOSED" })
  end)
end

function TestResponse:test_a_body_read_by_two_tasks_raises()
  with_server(function(_, res)
    res:write("a")
    rt.sync(rt.never)
  end, function(url)
    local res <close> = assert(http.get(url))
    res:read()
    local reader = rt.spawn(function() return res:read() end)
    rt.yield()

    lu.assertErrorMsgContains("already reading", res.read, res)
    reader:cancel()
    reader:join()
  end)
end

function TestResponse:test_reading_is_an_event()
  local go = rt.event()
  with_server(function(_, res)
    res:write("a")
    go:wait()
    res:write("b")
  end, function(url)
    local res = assert(http.get(url))
    lu.assertEquals(res:read(), "a")

    lu.assertEquals(rt.select({ body = res.body:read_evt(),
      timeout = SOON }), "timeout")
    go:set()
    lu.assertEquals({ rt.select({ body = res.body:read_evt() }) },
      { "body", "b" })
    lu.assertNil(res:read())
  end)
end

TestRequest = {}

function TestRequest:test_what_is_sent()
  local head = head_of(function(url)
    return http.get(url .. "/a b?c#d", { headers = {
      ["X-B"] = { 1, "2" }, ["X-A"] = "", Accept = false,
    } })
  end)

  lu.assertStrMatches(head, "GET /a%%20b%?c HTTP/1.1\r\n"
    .. "Host: 127.0.0.1:%d+\r\nUser%-Agent: asyncrt/[%d.]+\r\n"
    .. "Accept%-Encoding: [%w, ]+\r\nX%-A:\r\nX%-B: 1\r\nX%-B: 2\r\n\r\n")
end

function TestRequest:test_methods_and_bodies()
  with_server(function(req, res)
    res.headers["X-Type"] = req.headers["content-type"]
    res.headers["X-Method"] = req.method
    res:send(req:read_all())
  end, function(url)
    local function try(given)
      given.url = url
      local res = assert(http.request(given))
      return { res.headers["x-method"], res:read_all() }
    end

    lu.assertEquals(try({ body = "a" }), { "POST", "a" })
    lu.assertEquals(try({ body = "" }), { "POST", "" })
    lu.assertEquals(try({ method = "PUT", body = "a\0b" }), { "PUT", "a\0b" })
    lu.assertEquals(try({ method = "POST" }), { "POST", "" })
    lu.assertEquals(try({ method = "DELETE" }), { "DELETE", "" })
    lu.assertEquals(try({ method = "GET", body = "x" }), { "GET", "x" })
    lu.assertEquals(try({ method = "ODD", body = "x" }), { "ODD", "x" })
    lu.assertEquals(try({}), { "GET", "" })
    local res = assert(http.post(url, "{}", {
      headers = { ["content-type"] = "application/json" },
    }))
    lu.assertEquals(res.headers["x-type"], "application/json")
    lu.assertNil(assert(http.post(url, "{}")).headers["x-type"])
  end)
end

function TestRequest:test_a_body_that_is_made_while_it_is_sent()
  with_server(function(req, res)
    res.headers["X-Length"] = req.headers["content-length"]
    res:send(req:read_all())
  end, function(url)
    local count = 0
    local function produce()
      count = count + 1
      rt.yield()
      return count <= 1000 and ("piece %4d\n"):format(count) or nil
    end
    local body = assert(http.post(url, produce)):read_all()
    lu.assertEquals(#body, 11000)
    lu.assertEquals(body:sub(-11), "piece 1000\n")

    local pieces = { "ab", "", "c" }
    local res = assert(http.post(url, function()
      return table.remove(pieces, 1)
    end, { headers = { ["Content-Length"] = 3 } }))
    lu.assertEquals({ res.headers["x-length"], res:read_all() }, { "3", "abc" })
  end)
end

function TestRequest:test_a_stream_as_the_body()
  local body = ("x"):rep(1000000)
  with_server(function(req, res)
    if req.path == "/source" then
      res:send(body)
    else
      local size = 0
      for bytes in req:chunks() do size = size + #bytes end
      res:send(tostring(size))
    end
  end, function(url)
    local source = assert(http.get(url .. "/source"))
    lu.assertEquals(http.post(url, source):read_all(), "1000000")
    lu.assertEquals(http.post(url, http.get(url .. "/source").body):read_all(),
      "1000000")
  end, { max_body = math.huge })
end

function TestRequest:test_a_body_waits_for_the_server()
  local go, made = rt.event(), 0
  local piece = ("x"):rep(65536)
  with_server(function(req, res)
    go:wait()
    local size = 0
    for bytes in req:chunks() do size = size + #bytes end
    res:send(tostring(size))
  end, function(url)
    local task = rt.spawn(function()
      return assert(http.post(url, function()
        made = made + 1
        return made <= 200 and piece or nil
      end)):read_all()
    end)
    local before
    repeat
      before = made
      for _ = 1, 20 do rt.sleep(0.001) end
    until made == before
    lu.assertTrue(made < 200)
    go:set()

    lu.assertEquals(task:await(), tostring(200 * #piece))
  end, { max_body = math.huge })
end

function TestRequest:test_an_error_in_the_body_is_raised()
  with_server(function(req, res) res:send(req:read_all()) end, function(url)
    local client <close> = http.client()
    lu.assertErrorMsgContains("no more", client.post, client, url, function()
      error("no more")
    end)
    lu.assertEquals(client:stats(), { requests = 0, connections = 0 })
    lu.assertEquals({ client:post(url, function()
      return nil, "the disk is full", "ENOSPC"
    end) }, { nil, "the disk is full", "ENOSPC" })
    lu.assertEquals(client:stats(), { requests = 0, connections = 0 })
  end)
end

function TestRequest:test_a_refusal_ends_the_body()
  with_sockets(function(conn)
    conn:read_until("\r\n\r\n")
    conn:write("HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n"
      .. "Connection: close\r\n\r\nno")
    conn:shutdown()
    conn:read()
  end, function(url)
    local never = rt.channel()
    local made = 0
    local res = assert(http.post(url, function()
      made = made + 1
      return made == 1 and "x" or never:recv()
    end))

    lu.assertEquals({ res.status, res:read_all() }, { 413, "no" })
  end)
end

function TestRequest:test_100_continue()
  local order = {}
  with_sockets(function(conn)
    local head = conn:read_until("\r\n\r\n")
    lu.assertStrContains(head, "Expect: 100-continue\r\n")
    order[#order + 1] = "head"
    conn:write("HTTP/1.1 100 Continue\r\n\r\n")
    order[#order + 1] = conn:read_exact(4)
    conn:write(HELLO)
  end, function(url)
    local res = assert(http.post(url, "body", {
      headers = { Expect = "100-continue" },
    }))

    lu.assertEquals({ res.status, res:read_all() }, { 200, "hello" })
    lu.assertEquals(order, { "head", "body" })
  end)
end

function TestRequest:test_an_expectation_that_is_refused()
  with_answer("HTTP/1.1 417 No\r\nContent-Length: 2\r\n\r\nno", function(url)
    local res = assert(http.post(url, "body", {
      headers = { Expect = "100-continue" },
    }))

    lu.assertEquals({ res.status, res:read_all() }, { 417, "" })
  end)
end

function TestRequest:test_credentials()
  local function authorization(request)
    return head_of(request):match("Authorization: ([^\r]*)")
  end

  lu.assertEquals(authorization(function(url)
    return http.get(url, { auth = { "joe", "secret" } })
  end), "Basic am9lOnNlY3JldA==")
  lu.assertEquals(authorization(function(url)
    local res = http.get((url:gsub("//", "//joe:secret@")))
    lu.assertEquals(res.url, url)
    return res
  end), "Basic am9lOnNlY3JldA==")
  lu.assertNil(authorization(http.get)) -- a used handle has forgotten them
end

function TestRequest:test_fields_cannot_be_injected()
  for name, value in pairs({ ["A\r\nB"] = "c", A = "b\r\nC: d", B = "\0",
    ["Transfer-Encoding"] = "chunked", C = { "d", "e\n" }, ["D:"] = "e" }) do
    lu.assertError(http.get, "http://127.0.0.1:1/", {
      headers = { [name] = value },
    })
  end
end

function TestRequest:test_misuse_raises_at_the_callers_line()
  local here = "^tests/lua/test_http_client.lua:%d+: "
  local function raises(pattern, f, ...)
    local ok, message = pcall(f, ...)
    lu.assertFalse(ok)
    lu.assertStrMatches(message:gsub("^.-(test_http)", "tests/lua/%1"),
      here .. pattern)
  end

  raises("bad argument #1 to 'get' %(string expected, got nil%)", function()
    local _ = http.get()
  end)
  raises("bad argument #2 to 'get' %(unknown option 'max'%)", function()
    local _ = http.get("http://a", { max = 1 })
  end)
  raises("bad argument #2 to 'post' %(string, function or stream.*", function()
    local _ = http.post("http://a")
  end)
  raises("bad argument #1 to 'request' %(option 'url' is missing%)", function()
    local _ = http.request({})
  end)
  raises("bad argument #2 to 'get' %(option 'timeout': non%-negative .*",
    function()
      local _ = http.get("http://a", { timeout = -1 })
    end)
  raises("invalid value of header 'A'", function()
    local _ = http.get("http://a", { headers = { A = "\n" } })
  end)
  raises("public_only cannot be checked behind a proxy", function()
    local _ = http.get("http://a", { public_only = true,
      proxy = "http://b:1" })
  end)
  raises("bad argument #1 to 'client' %(unknown option 'x'%)", function()
    local _ = http.client({ x = 1 })
  end)
  local client = http.client()
  client:close()
  raises("the client is closed", function() local _ = client:get("http://a") end)
end

TestFailure = {}

function TestFailure:test_a_name_that_does_not_resolve()
  local name = ("x"):rep(70) .. ".invalid"
  local code, message = codes(http.get("http://u:p@" .. name .. "/y"))

  lu.assertStrMatches(code, "EAI_.*")
  lu.assertStrContains(message, "get http://" .. name .. "/y: ")
end

function TestFailure:test_nobody_listens()
  local listener = assert(net.listen("127.0.0.1:0"))
  local url = "http://" .. listener:address() .. "/"
  listener:close()

  lu.assertEquals({ http.get(url) },
    { nil, "get " .. url .. ": connection refused", "ECONNREFUSED" })
end

function TestFailure:test_not_a_url()
  lu.assertEquals(codes(http.get("example.org")), "EINVAL")
  lu.assertEquals(codes(http.get("http://")), "EINVAL")
  lu.assertEquals(codes(http.get("http://a\0b/")), "EINVAL")
  lu.assertEquals(codes(http.get("http://a:99999/")), "EINVAL")
  lu.assertEquals(codes(http.get("ftp://a/")), "EPROTONOSUPPORT")
  lu.assertEquals(codes(http.get("file:///etc/passwd")), "EPROTONOSUPPORT")
end

function TestFailure:test_time_limits()
  with_sockets(function(conn)
    conn:write("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello")
    rt.sync(rt.never)
  end, function(url)
    local client <close> = http.client()
    local res = assert(client:get(url, { idle_timeout = SOON }))
    lu.assertEquals(res:read(), "hello")
    local code, message = codes(res:read())
    lu.assertEquals(code, "EIDLETIMEDOUT")
    lu.assertEquals(message, "read " .. url .. ": nothing came for 0.05 s")
    lu.assertEquals(client:stats(), { requests = 0, connections = 0 })

    res = assert(client:get(url, { timeout = SOON }))
    code, message = codes(res:read_all())
    lu.assertEquals(code, "ETIMEDOUT")
    lu.assertStrContains(message, "not complete within 0.05 s")
    lu.assertEquals(client:stats(), { requests = 0, connections = 0 })
  end)
end

function TestFailure:test_no_answer_within_the_limit()
  with_sockets(function() rt.sync(rt.never) end, function(url)
    local client <close> = http.client()

    lu.assertEquals(codes(client:get(url, { timeout = SOON })), "ETIMEDOUT")
    lu.assertEquals(codes(client:get(url, { idle_timeout = SOON })),
      "EIDLETIMEDOUT")
    lu.assertEquals(codes(client:post(url, function()
      return ("x"):rep(100000)
    end, { timeout = SOON })), "ETIMEDOUT")
    lu.assertEquals(client:stats(), { requests = 0, connections = 0 })
  end)
end

function TestFailure:test_a_connection_takes_too_long()
  -- Nobody answers the greeting of TLS, which is a part of connecting.
  with_sockets(function() rt.sync(rt.never) end, function(url)
    local client <close> = http.client()
    local code, message = codes(client:get((url:gsub("http", "https")),
      { connect_timeout = SOON }))

    lu.assertEquals(code, "ECONNTIMEDOUT")
    lu.assertStrContains(message, "no connection within 0.05 s")
    lu.assertEquals(client:stats(), { requests = 0, connections = 0 })
  end)
end

function TestFailure:test_a_truncated_body()
  for _, answer in ipairs({
    "Content-Length: 10\r\n\r\nhello",
    "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    "Transfer-Encoding: chunked\r\n\r\nff\r\nhello",
  }) do
    with_sockets(function(conn)
      conn:read_until("\r\n\r\n")
      conn:write(OK .. answer)
      conn:shutdown()
    end, function(url)
      local res = assert(http.get(url))

      lu.assertEquals(res:read(), "hello")
      lu.assertEquals({ res:read() },
        { nil, "read " .. url .. ": the body ended early", "ETRUNCATED" })
      lu.assertEquals(codes(http.get(url):read_all()), "ETRUNCATED")
      lu.assertErrorMsgContains("ended early", function()
        for _ in http.get(url):chunks() do end
      end)
    end)
  end
end

function TestFailure:test_no_response()
  with_sockets(function(conn)
    conn:read_until("\r\n\r\n")
  end, function(url)
    lu.assertEquals(codes(http.get(url)), "ECONNRESET")
  end)
  with_sockets(function(conn)
    conn:read_until("\r\n\r\n")
    conn:reset()
  end, function(url)
    lu.assertEquals(codes(http.get(url)), "ECONNRESET")
  end)
end

function TestFailure:test_a_bad_response()
  for _, answer in ipairs({
    "hello\r\n\r\n",
    "\0\1\2\3",
    "HTTP/9.9 200 OK\r\n\r\n",
    OK .. "nonsense\r\n\r\n",
    OK .. "Content-Length: -1\r\n\r\n",
    OK .. "Transfer-Encoding: chunked\r\n\r\nxyz\r\n",
  }) do
    with_sockets(function(conn)
      conn:read_until("\r\n\r\n")
      conn:write(answer)
      conn:shutdown()
    end, function(url)
      local res, message, code = http.get(url)
      if res then
        message, code = select(2, res:read_all())
      end

      lu.assertEquals(code, "EPROTO", answer)
      lu.assertStrContains(message, url)
    end)
  end
end

function TestFailure:test_a_head_that_is_too_large()
  local many = OK .. ("A: b\r\n"):rep(200) .. "\r\n"
  local long = OK .. "A: " .. ("b"):rep(50000) .. "\r\n\r\n"
  for _, answer in ipairs({ many, long }) do
    with_answer(answer, function(url)
      local code, message = codes(http.get(url))

      lu.assertEquals(code, "ELIMIT")
      lu.assertStrContains(message, "a head of more than 32768 bytes")
    end)
  end
  with_answer(long, function(url)
    local res = assert(http.get(url, { max_header = 60000 }))
    lu.assertEquals(#res.headers.a, 50000)
  end)
end

function TestFailure:test_a_body_that_is_too_large()
  with_server(function(_, res)
    while res:write(("x"):rep(1000)) do end
  end, function(url)
    local res = assert(http.get(url, { max_body = 10000 }))
    local code, message = codes(res:read_all())

    lu.assertEquals(code, "ELIMIT")
    lu.assertStrContains(message, "a body of more than 10000 bytes")
  end)
end

function TestFailure:test_a_bomb()
  local answer = OK .. "Content-Encoding: gzip, gzip\r\nContent-Length: "
    .. #BOMB .. "\r\n\r\n" .. BOMB
  with_answer(answer, function(url)
    local code, message = codes(assert(http.get(url)):read_all())
    lu.assertEquals(code, "EBOMB")
    lu.assertStrContains(message, "100 times its compressed size")
    lu.assertEquals(codes(assert(http.get(url, { max_body = 5000,
      max_ratio = math.huge })):read_all()), "ELIMIT")

    local res = assert(http.get(url, { max_ratio = math.huge }))
    lu.assertEquals(#res:read_all(), 8 * 1024 * 1024)
  end)
end

function TestFailure:test_what_is_not_compressed()
  with_answer(OK .. "Content-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello",
    function(url)
      lu.assertEquals(codes(assert(http.get(url)):read_all()), "EPROTO")
    end)
end

TestRedirect = {}

local function to(status, location)
  return ("HTTP/1.1 %d Go\r\nLocation: %s\r\nContent-Length: 4\r\n\r\ngone")
    :format(status, location)
end

function TestRedirect:test_it_is_followed()
  with_server(function(req, res)
    if req.path == "/a/b" then
      res.status = 302
      res.headers.Location = "../c d?e"
    end
    res:send(req.target)
  end, function(url)
    local client <close> = http.client()
    local res = assert(client:get(url .. "/a/b"))
    lu.assertEquals({ res.url, res:read_all() },
      { url .. "/c%20d?e", "/c%20d?e" })
    lu.assertEquals(client:stats().connections, 1)

    res = assert(client:get(url .. "/a/b", { follow = false }))
    lu.assertEquals({ res.status, res.headers.location, res:read_all() },
      { 302, "../c d?e", "/a/b" })
  end)
end

function TestRedirect:test_a_loop()
  local count = 0
  with_sockets(function(conn)
    while conn:read_until("\r\n\r\n") do
      count = count + 1
      conn:write(to(301, "/again"))
    end
  end, function(url)
    lu.assertEquals({ http.get(url) },
      { nil, "get " .. url .. "/again: more than 10 redirects", "ELOOP" })
    lu.assertEquals(count, 11)
    lu.assertEquals(codes(http.get(url, { max_redirects = 0 })), "ELOOP")
    lu.assertEquals(count, 12)
  end)
end

function TestRedirect:test_where_it_may_not_go()
  for _, location in ipairs({ "ftp://a/", "file:///etc/passwd", "http://",
    "javascript:alert(1)" }) do
    with_answer(to(302, location), function(url)
      local code, message = codes(http.get(url))

      lu.assertEquals(code, "EREDIRECT")
      lu.assertStrContains(message, url)
    end)
  end
end

function TestRedirect:test_methods()
  local function after(status, method, body)
    local got
    with_server(function(req, res)
      if req.path == "/" then
        req:read_all()
        res.status = status
        res.headers.Location = "/there"
        res:send("gone")
      else
        got = { req.method, req:read_all() }
        res:send()
      end
    end, function(url)
      local res, message, code = http.request({ method = method, body = body,
        url = url, headers = { ["Content-Type"] = "text/plain" } })
      if not res then got = { code, (message:match(": (.*)")) } end
    end)
    return got
  end

  lu.assertEquals(after(301, "POST", "x"), { "GET", "" })
  lu.assertEquals(after(302, "POST", "x"), { "GET", "" })
  lu.assertEquals(after(302, "PUT", "x"), { "PUT", "x" })
  lu.assertEquals(after(303, "PUT", "x"), { "GET", "" })
  lu.assertEquals(after(303, "HEAD"), { "HEAD", "" })
  lu.assertEquals(after(307, "POST", "x"), { "POST", "x" })
  lu.assertEquals(after(308, "POST", "x"), { "POST", "x" })
  local function once()
    local given = false
    return function()
      if given then return nil end
      given = true
      return "x"
    end
  end
  lu.assertEquals(after(303, "POST", once()), { "GET", "" })
  lu.assertEquals(after(307, "POST", once())[1], "EREDIRECT")
end

function TestRedirect:test_credentials_stay_with_their_origin()
  local function seen_by_other(location_of, options)
    local seen
    with_server(function(req, res)
      seen = { req.headers.authorization, req.headers.cookie,
        req.headers["x-mine"] }
      res:send()
    end, function(other)
      with_server(function(req, res)
        if req.path == "/again" then
          seen = { req.headers.authorization, req.headers.cookie,
            req.headers["x-mine"] }
          return res:send()
        end
        res.status = 302
        res.headers.Location = location_of(other)
        res:send()
      end, function(url)
        assert(http.get(options.url and options.url(url) or url, {
          auth = options.auth,
          headers = options.headers,
        }))
      end)
    end)
    return seen
  end
  local function away(other) return other end
  local function home() return "/again" end
  local by_hand = { headers = { Authorization = "Basic x", Cookie = "a=b",
    ["X-Mine"] = "y" } }
  local by_auth = { auth = { "joe", "secret" } }
  local by_url = { url = function(url)
    return (url:gsub("//", "//joe:secret@"))
  end }

  lu.assertEquals(seen_by_other(away, by_hand), { nil, nil, "y" })
  lu.assertEquals(seen_by_other(home, by_hand), { "Basic x", "a=b", "y" })
  lu.assertEquals(seen_by_other(away, by_auth), {})
  lu.assertEquals(seen_by_other(home, by_auth), { "Basic am9lOnNlY3JldA==" })
  lu.assertEquals(seen_by_other(away, by_url), {})
  lu.assertEquals(seen_by_other(home, by_url), { "Basic am9lOnNlY3JldA==" })
end

function TestRedirect:test_a_long_body_is_not_waited_for()
  with_sockets(function(conn)
    local head = conn:read_until("\r\n\r\n")
    if head:find("GET / ", 1, true) then
      conn:write("HTTP/1.1 302 Go\r\nLocation: /there\r\n\r\n")
      while conn:write(("x"):rep(10000)) do end
    else
      conn:write(HELLO)
    end
  end, function(url)
    lu.assertEquals(http.get(url):read_all(), "hello")
  end)
end

TestPublicOnly = {}

function TestPublicOnly:test_private_addresses_are_refused()
  with_answer(HELLO, function(url)
    local port = url:match(":(%d+)$")
    for _, host in ipairs({ "127.0.0.1", "localhost", "[::1]", "0x7f.1",
      "[::ffff:127.0.0.1]", "2130706433", "0.0.0.0" }) do
      local code, message = codes(http.get("http://" .. host .. ":" .. port,
        { public_only = true }))
      lu.assertEquals(code, "EPRIVATE", host)
      lu.assertStrContains(message, "not a public address")
    end
  end)
end

function TestPublicOnly:test_an_open_connection_is_no_way_around()
  with_answer(HELLO, function(url)
    local client <close> = http.client()
    lu.assertEquals(client:get(url):read_all(), "hello")
    lu.assertEquals(client:stats().connections, 1)

    lu.assertEquals(codes(client:get(url, { public_only = true })), "EPRIVATE")
    lu.assertEquals(client:get(url):read_all(), "hello")
  end)
end

function TestPublicOnly:test_which_addresses_are_public()
  local is_public = require("asyncrt.core.curl").is_public
  for _, address in ipairs({ "0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1",
    "100.127.255.255", "127.0.0.1", "127.255.255.255", "169.254.169.254",
    "172.16.0.1", "172.31.255.255", "192.0.0.8", "192.0.2.1", "192.88.99.1",
    "192.168.0.1", "198.18.0.1", "198.19.255.255", "198.51.100.7",
    "203.0.113.9", "224.0.0.1", "239.255.255.255", "240.0.0.1",
    "255.255.255.255", "::", "::1", "::127.0.0.1", "::ffff:10.0.0.1",
    "::ffff:169.254.169.254", "64:ff9b::127.0.0.1", "64:ff9b:1::1", "100::1",
    "2001::1", "2001:db8::1", "2002:7f00:1::", "2002:a00:1::", "3fff::1",
    "fc00::1", "fd12::1", "fe80::1", "fec0::1", "ff02::1" }) do
    lu.assertFalse(is_public(address), address)
  end
  for _, address in ipairs({ "1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0",
    "100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.0",
    "169.253.255.255", "172.15.255.255", "172.32.0.0", "192.167.255.255",
    "192.169.0.0", "223.255.255.255", "2606:4700::1111", "2a00:1450::1",
    "::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "2002:808:808::1" }) do
    lu.assertTrue(is_public(address), address)
  end
end

TestCancel = {}

-- Cancels `request` once `ready` is set, and checks that nothing is left.
local function cancelled(client, ready, request)
  local task = rt.spawn_with and nil or rt.spawn(request)
  ready:wait()
  rt.yield()
  task:cancel()
  lu.assertEquals({ task:join() }, { false, "cancelled" })
  lu.assertEquals(client:stats(), { requests = 0, connections = 0 })
end

function TestCancel:test_while_the_name_is_looked_up()
  local client <close> = http.client()
  local ready = rt.event()
  cancelled(client, ready, function()
    ready:set()
    client:get("http://name.invalid/")
  end)
end

function TestCancel:test_while_it_connects()
  local ready = rt.event()
  with_sockets(function(conn)
    conn:read()
    ready:set()
    rt.sync(rt.never)
  end, function(url)
    local client <close> = http.client()
    cancelled(client, ready, function()
      client:get((url:gsub("http", "https")))
    end)
  end)
end

function TestCancel:test_while_it_waits_for_the_response()
  local ready = rt.event()
  local closed = rt.event()
  with_sockets(function(conn)
    conn:read_until("\r\n\r\n")
    ready:set()
    conn:read()
    closed:set()
  end, function(url)
    local client <close> = http.client()
    cancelled(client, ready, function() client:get(url) end)
    closed:wait()
  end)
end

function TestCancel:test_while_the_body_is_sent()
  local ready = rt.event()
  with_sockets(function(conn)
    conn:read_until("\r\n\r\n")
    ready:set()
    rt.sync(rt.never)
  end, function(url)
    local client <close> = http.client()
    cancelled(client, ready, function()
      client:post(url, function() return ("x"):rep(10000) end)
    end)
    ready = rt.event()
    cancelled(client, ready, function()
      client:post(url, function() rt.sync(rt.never) end)
    end)
  end)
end

function TestCancel:test_while_the_body_is_read()
  local ready = rt.event()
  with_server(function(_, res)
    res:write("a")
    rt.sync(rt.never)
  end, function(url)
    local client <close> = http.client()
    cancelled(client, ready, function()
      local res <close> = client:get(url)
      res:read()
      ready:set()
      res:read()
    end)
  end)
end

function TestCancel:test_a_cancelled_read_takes_nothing()
  local go = rt.event()
  with_server(function(_, res)
    go:wait()
    res:write("a")
  end, function(url)
    local res
    local task = rt.spawn(function()
      res = assert(http.get(url .. "/"))
      res:read()
    end)
    rt.timeout(SOON, task.join, task)
    task:cancel()
    task:join()
    go:set()

    -- Had it no head yet, the request itself was given up.
    if res then lu.assertEquals(res:read_all(), "a") end
  end)
end

function TestCancel:test_by_a_time_limit_of_the_task()
  with_sockets(function() rt.sync(rt.never) end, function(url)
    local client <close> = http.client()

    lu.assertEquals({ rt.timeout(SOON, client.get, client, url) },
      { nil, "timeout" })
    lu.assertEquals(client:stats(), { requests = 0, connections = 0 })
  end)
end

TestClient = {}

local function counting(use)
  local connections = 0
  with_sockets(function(conn)
    connections = connections + 1
    while conn:read_until("\r\n\r\n") do conn:write(HELLO) end
  end, function(url) use(url, function() return connections end) end)
end

function TestClient:test_connections_are_used_again()
  counting(function(url, connections)
    local client <close> = http.client()
    for _ = 1, 10 do
      lu.assertEquals(client:get(url):read_all(), "hello")
    end

    lu.assertEquals(connections(), 1)
    lu.assertEquals(client:stats(), { requests = 0, connections = 1 })
  end)
end

function TestClient:test_a_connection_that_the_server_closed()
  with_sockets(function(conn)
    conn:read_until("\r\n\r\n")
    conn:write(HELLO)
  end, function(url)
    local client <close> = http.client()
    for _ = 1, 5 do
      lu.assertEquals(client:get(url):read_all(), "hello")
    end
  end)
end

function TestClient:test_many_at_once()
  with_server(function(req, res) res:send(req.path) end, function(url)
    local client <close> = http.client()
    rt.group(function(group)
      for i = 1, 200 do
        group:spawn(function()
          local path = "/" .. i
          lu.assertEquals(client:get(url .. path):read_all(), path)
        end)
      end
    end)
  end)
end

function TestClient:test_the_number_of_connections_is_limited()
  local open, most = 0, 0
  with_server(function(_, res)
    open = open + 1
    most = math.max(most, open)
    rt.sleep(0.001)
    res:send()
    open = open - 1
  end, function(url)
    for _, option in ipairs({ "max_connections", "max_per_host" }) do
      local client <close> = http.client({ [option] = 3 })
      rt.group(function(group)
        for _ = 1, 20 do
          group:spawn(function() client:get(url):read_all() end)
        end
      end)
      lu.assertEquals(most, 3)
      most = 0
    end
  end)
end

function TestClient:test_what_its_requests_have()
  with_server(function(req, res)
    res:send(("%s %s"):format(req.headers["x-a"], req.headers["x-b"]))
  end, function(url)
    local client <close> = http.client({
      headers = { ["X-A"] = "1", ["X-B"] = "2" },
      max_body = 3,
    })

    lu.assertEquals(client:get(url):read_all(), "1 2")
    lu.assertEquals(client:get(url, { headers = { ["x-b"] = 3 } }):read_all(),
      "1 3")
    lu.assertEquals(client:get(url, { headers = { ["x-b"] = "" } }):read_all(),
      "1 ")
    lu.assertEquals(codes(client:get(url, { headers = { ["x-b"] = 44 } })
      :read_all()), "ELIMIT")
  end)
end

function TestClient:test_cookies()
  local function ask(client, url)
    return client:get(url):read_all()
  end
  with_server(function(req, res)
    if req.path == "/set" then res.headers["Set-Cookie"] = "a=b; Path=/" end
    res:send(req.headers.cookie or "none")
  end, function(url)
    local client <close> = http.client({ cookies = true })
    local without <close> = http.client()
    lu.assertEquals(ask(client, url .. "/set"), "none")
    lu.assertEquals(ask(client, url), "a=b")
    lu.assertEquals(ask(without, url .. "/set"), "none")
    lu.assertEquals(ask(without, url), "none")
  end)
end

function TestClient:test_cookies_in_a_file()
  local path = os.tmpname()
  with_server(function(req, res)
    res.headers["Set-Cookie"] = "a=b; Max-Age=1000"
    res:send(req.headers.cookie or "none")
  end, function(url)
    for _, expected in ipairs({ "none", "a=b" }) do
      local client <close> = http.client({ cookies = path })
      lu.assertEquals(client:get(url):read_all(), expected)
    end
  end)
  os.remove(path)
end

function TestClient:test_closing_ends_requests()
  local ready = rt.event()
  with_sockets(function(conn)
    conn:read_until("\r\n\r\n")
    conn:write(OK .. "Content-Length: 9\r\n\r\nabc")
    ready:set()
    conn:read()
  end, function(url)
    local client = http.client()
    local waiting = rt.spawn(function() return client:get(url .. ":x") end)
    local res = assert(client:get(url))
    local reading = rt.spawn(function() return res:read_all() end)
    ready:wait()
    rt.yield()
    lu.assertTrue(client:close())
    lu.assertTrue(client:close())

    lu.assertEquals(codes(select(2, reading:join())), "ECLOSED")
    waiting:join()
    lu.assertEquals(client:stats(), { requests = 0, connections = 0 })
  end)
end

function TestClient:test_a_proxy()
  local lines = {}
  with_sockets(function(conn)
    lines[#lines + 1] = conn:read_line()
    conn:read_until("\r\n\r\n")
    conn:write(HELLO)
  end, function(url)
    local res = assert(http.get("http://name.invalid/x", { proxy = url }))

    lu.assertEquals(res:read_all(), "hello")
    lu.assertEquals(lines, { "GET http://name.invalid/x HTTP/1.1" })
  end)
end

function TestClient:test_a_proxy_that_refuses()
  with_answer("HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n", function(url)
    local code = codes(http.get("https://name.invalid/x", { proxy = url }))

    lu.assertEquals(code, "EPROXY")
  end)
end

harness.run()
