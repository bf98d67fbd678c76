-- component: curl
-- The HTTP client: failures, limits, redirects, and what is not public.
local harness = require("harness")
local http = require("asyncrt.http")
local lu = require("luaunit")
local net = require("asyncrt.net")
local rt = require("asyncrt")
local servers = require("http_servers")

local OK, HELLO, SOON = servers.OK, servers.HELLO, servers.SOON
local failure = servers.failure
local with_answer = servers.with_answer
local with_server = servers.with_server
local with_sockets = servers.with_sockets

-- 8 MiB of zeros, compressed twice.
local BOMB = servers.unhex(
  "1f8b0800000000000203edd7b10d82400085e13b2e261746b02126eec0"
  .. "04cec12a2494360ee00e2c60c30ab4ac4018413cc6c07c5ff5d7af7bcd33874395d629c6"
  .. "12fdeb3b6eb90e000000c09feb97215547dcf6aebddb030000004ee07d797ce66bb9f5e1"
  .. "07db19d4a7ef1f0000")

TestFailure = {}

function TestFailure:test_a_name_that_does_not_resolve()
  local name = ("x"):rep(70) .. ".invalid"
  local code, message = failure(http.get("http://u:p@" .. name .. "/y"))

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
  lu.assertEquals(failure(http.get("example.org")), "EINVAL")
  for _, url in ipairs({ "httpbin.org/x", "localhost:1/x", "/x", "" }) do
    lu.assertEquals({ http.get(url) }, { nil, ("get %s: not a URL: it has no "
      .. "scheme, such as http://"):format(url), "EINVAL" })
  end
  lu.assertEquals(failure(http.get("http:\\\\a")), "EINVAL")
  lu.assertEquals(failure(http.get("http://")), "EINVAL")
  lu.assertEquals(failure(http.get("http://a\0b/")), "EINVAL")
  lu.assertEquals(failure(http.get("http://a:99999/")), "EINVAL")
  lu.assertEquals(failure(http.get("ftp://a/")), "EPROTONOSUPPORT")
  lu.assertEquals(failure(http.get("file:///etc/passwd")), "EPROTONOSUPPORT")
end

function TestFailure:test_time_limits()
  with_sockets(function(conn)
    conn:write("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello")
    rt.sync(rt.never)
  end, function(url)
    local client <close> = http.client()
    local res = assert(client:get(url, { idle_timeout = SOON }))
    lu.assertEquals(res:read(), "hello")
    local code, message = failure(res:read())
    lu.assertEquals(code, "EIDLETIMEDOUT")
    lu.assertEquals(message, "read " .. url .. ": nothing came for 0.05 s")
    lu.assertEquals(client:stats(), { requests = 0, connections = 0 })

    res = assert(client:get(url, { timeout = SOON }))
    code, message = failure(res:read_all())
    lu.assertEquals(code, "ETIMEDOUT")
    lu.assertStrContains(message, "not complete within 0.05 s")
    lu.assertEquals(client:stats(), { requests = 0, connections = 0 })
  end)
end

function TestFailure:test_no_answer_within_the_limit()
  with_sockets(function() rt.sync(rt.never) end, function(url)
    local client <close> = http.client()

    lu.assertEquals(failure(client:get(url, { timeout = SOON })), "ETIMEDOUT")
    lu.assertEquals(failure(client:get(url, { idle_timeout = SOON })),
      "EIDLETIMEDOUT")
    lu.assertEquals(failure(client:post(url, function()
      return ("x"):rep(100000)
    end, { timeout = SOON })), "ETIMEDOUT")
    lu.assertEquals(client:stats(), { requests = 0, connections = 0 })
  end)
end

function TestFailure:test_a_connection_takes_too_long()
  -- Nobody answers the greeting of TLS, which is a part of connecting.
  with_sockets(function() rt.sync(rt.never) end, function(url)
    local client <close> = http.client()
    local code, message = failure(client:get((url:gsub("http", "https")),
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
      lu.assertEquals(failure(http.get(url):read_all()), "ETRUNCATED")
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
    lu.assertEquals(failure(http.get(url)), "ECONNRESET")
  end)
  with_sockets(function(conn)
    conn:read_until("\r\n\r\n")
    conn:reset()
  end, function(url)
    lu.assertEquals(failure(http.get(url)), "ECONNRESET")
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
      local code, message = failure(http.get(url))

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
    local code, message = failure(res:read_all())

    lu.assertEquals(code, "ELIMIT")
    lu.assertStrContains(message, "a body of more than 10000 bytes")
  end)
end

function TestFailure:test_a_bomb()
  local answer = OK .. "Content-Encoding: gzip, gzip\r\nContent-Length: "
    .. #BOMB .. "\r\n\r\n" .. BOMB
  with_answer(answer, function(url)
    local code, message = failure(assert(http.get(url)):read_all())
    lu.assertEquals(code, "EBOMB")
    lu.assertStrContains(message, "100 times its compressed size")
    lu.assertEquals(failure(assert(http.get(url, { max_body = 5000,
      max_ratio = math.huge })):read_all()), "ELIMIT")

    local res = assert(http.get(url, { max_ratio = math.huge }))
    lu.assertEquals(#res:read_all(), 8 * 1024 * 1024)
  end)
end

function TestFailure:test_what_is_not_compressed()
  with_answer(OK .. "Content-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello",
    function(url)
      lu.assertEquals(failure(assert(http.get(url)):read_all()), "EPROTO")
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
    lu.assertEquals(failure(http.get(url, { max_redirects = 0 })), "ELOOP")
    lu.assertEquals(count, 12)
  end)
end

function TestRedirect:test_where_it_may_not_go()
  for _, location in ipairs({ "ftp://a/", "file:///etc/passwd", "http://",
    "javascript:alert(1)" }) do
    with_answer(to(302, location), function(url)
      local code, message = failure(http.get(url))

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
      local code, message = failure(http.get("http://" .. host .. ":" .. port,
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

    lu.assertEquals(failure(client:get(url, { public_only = true })), "EPRIVATE")
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

harness.run()
