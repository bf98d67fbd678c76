-- component: curl
-- The HTTP client: responses and requests.
local harness = require("harness")
local http = require("asyncrt.http")
local lu = require("luaunit")
local rt = require("asyncrt")
local servers = require("http_servers")

local OK, HELLO, SOON = servers.OK, servers.HELLO, servers.SOON
local failure = servers.failure
local with_answer = servers.with_answer
local with_server = servers.with_server
local with_sockets = servers.with_sockets

-- "hello, compressed".
local GZIP = servers.unhex(
  "1f8b0800000000000203cb48cdc9c9d75148cecf2d284a2d2e4e4d0100"
  .. "127e197811000000")

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
    local code, message = failure(res:read_all({ max = 1000 }))
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
  raises("bad argument #2 to 'get' %(unknown option 'max'; there are .*%)", function()
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
  for name, f in pairs({
    ["#2 to 'get'"] = function(options)
      local _ = http.get("http://a", options)
    end,
    ["#3 to 'post'"] = function(options)
      local _ = http.post("http://a", "", options)
    end,
    ["#1 to 'request'"] = function(options)
      local _ = http.request({ url = "http://a", headers = options.headers })
    end,
    ["#1 to 'client'"] = function(options)
      local _ = http.client(options)
    end,
  }) do
    for problem, headers in pairs({
      ["invalid value of 'A'"] = { A = "\n" },
      ["string expected as value of 'A', got table"] = { A = { {} } },
      ["a name expected, .*, got %[1%]"] = { "X: y" },
      ["invalid name 'X y'"] = { ["X y"] = "z" },
    }) do
      raises("bad argument " .. name .. " %(option 'headers': " .. problem
        .. "%)", f, { headers = headers })
    end
  end
  raises("public_only cannot be checked behind a proxy", function()
    local _ = http.get("http://a", { public_only = true,
      proxy = "http://b:1" })
  end)
  raises("bad argument #1 to 'client' %(unknown option 'x'; there are .*%)", function()
    local _ = http.client({ x = 1 })
  end)
  local client = http.client()
  client:close()
  raises("the client is closed", function() local _ = client:get("http://a") end)
end

harness.run()
