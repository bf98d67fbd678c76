-- component: tls
-- TLS over sockets: the option `tls` of asyncrt.net.
local certificates = require("certificates")
local harness = require("harness")
local http = require("asyncrt.http")
local lu = require("luaunit")
local net = require("asyncrt.net")
local rt = require("asyncrt")
local tls = require("asyncrt.tls")

local of, trusting = certificates.of, certificates.trusting
local LOOPBACK = "127.0.0.1:0"
local context = assert(tls.context(of("server")))

local function echo(conn)
  for chunk in conn:chunks() do conn:write(chunk) end
end

-- Calls f with the address of a server, and its port.
local function with_server(f, options, address)
  local failures = {}
  options = options or {}
  options.tls = options.tls or context
  options.on_error = function(message) failures[#failures + 1] = message end
  local listener = assert(net.listen(address or LOOPBACK))
  local server = rt.spawn(net.serve, listener, options.handler or echo, {
    tls = options.tls, on_error = options.on_error, drain = 1,
  })
  rt.yield()
  f(listener:address(), listener:address():match("%d+$"))
  server:cancel()
  server:join()
  return failures
end

local function ask(conn, text)
  assert(conn:write(text))
  return conn:read_exact(#text)
end

TestConnect = {}

function TestConnect:test_the_name_is_the_host_of_the_address()
  with_server(function(address, port)
    for _, host in ipairs({ "localhost", "127.0.0.1" }) do
      local conn <close> = assert(net.connect(host .. ":" .. port,
        { tls = trusting("ca") }))
      lu.assertEquals(ask(conn, "hello"), "hello")
      lu.assertTrue(conn:tls_info().verified)
      lu.assertEquals(conn:peer(), address)
      lu.assertEquals(conn:nodelay(), true)
      lu.assertEquals(conn:keepalive(5), true)
    end
    local conn <close> = assert(net.connect(":" .. port, { tls = trusting("ca") }))
    lu.assertEquals(ask(conn, "hello"), "hello")
  end)
end

function TestConnect:test_a_failure_tells_the_address_that_was_given()
  with_server(function(_, port)
    local conn, message, code = net.connect("localhost:" .. port, { tls = true })
    lu.assertNil(conn)
    lu.assertEquals(message, "connect localhost:" .. port ..
      ": the certificate is of an unknown authority")
    lu.assertEquals(code, "ECERT_UNKNOWN_CA")

    lu.assertEquals(select(3, net.connect("localhost:" .. port, {
      tls = trusting("ca", { server_name = "other.test" }),
    })), "ECERT_HOST")
    lu.assertEquals({ net.connect("localhost:" .. port, {
      tls = { ca = "/nowhere" },
    }) }, { nil, "tls ca /nowhere: no such file or directory", "ENOENT" })
  end)
end

function TestConnect:test_the_limit_is_for_the_handshake_too()
  local listener <close> = assert(net.listen(LOOPBACK))
  local before = rt.now()

  lu.assertEquals({ net.connect(listener:address(), {
    tls = true, timeout = 0.05,
  }) }, { nil, "connect " .. listener:address() ..
    ": connection timed out", "ETIMEDOUT" })
  lu.assertEquals(select(3, net.connect(listener:address(), {
    tls = { handshake_timeout = 0.05 },
  })), "ETIMEDOUT")

  lu.assertTrue(rt.now() - before < 8)
end

function TestConnect:test_a_cancelled_connect_closes()
  local listener <close> = assert(net.listen(LOOPBACK))
  local connecting = rt.spawn(net.connect, listener:address(), { tls = true })
  local conn <close> = listener:accept()
  lu.assertStrContains(conn:read(), "\x16\x03\x01")

  connecting:cancel()
  lu.assertEquals({ connecting:join() }, { false, "cancelled" })

  lu.assertEquals(select(3, conn:read()), "ECONNRESET")
end

function TestConnect:test_as_an_event()
  with_server(function(address)
    local event = net.connect_evt(address, { tls = trusting("ca") })
    for _ = 1, 2 do
      local key, conn = rt.select({ conn = event, late = 60 })
      lu.assertEquals(key, "conn")
      lu.assertEquals(ask(conn, "hello"), "hello")
      conn:close()
    end
    local _, conn, message, code = rt.select({
      net.connect_evt(address, { tls = true }),
    })
    lu.assertNil(conn)
    lu.assertStrContains(message, "connect " .. address)
    lu.assertEquals(code, "ECERT_UNKNOWN_CA")
    lu.assertEquals({ rt.sync(net.connect_evt(address,
      { tls = { ca = "/nowhere" } })) },
      { nil, "tls ca /nowhere: no such file or directory", "ENOENT" })
  end)
end

function TestConnect:test_over_a_unix_socket()
  with_server(function(address)
    lu.assertErrorMsgContains("needs the option 'server_name'",
      net.connect, address, { tls = trusting("ca") })
    local conn <close> = assert(net.connect(address, {
      tls = trusting("ca", { server_name = "server.test" }),
    }))
    lu.assertEquals(ask(conn, "hello"), "hello")
    lu.assertEquals(select(3, conn:nodelay()), "ENOTSUP")
  end, nil, harness.abstract_address())
end

function TestConnect:test_a_server_without_tls()
  local listener <close> = assert(net.listen(LOOPBACK))
  local server = rt.spawn(function()
    local conn <close> = listener:accept()
    conn:write("SSH-2.0-OpenSSH_9.2\r\n")
    return conn:read()
  end)

  local _, message, code = net.connect(listener:address(), { tls = true })

  lu.assertEquals(message, "connect " .. listener:address() ..
    ": the peer does not speak TLS")
  lu.assertEquals(code, "ETLS")
  server:join()
end

function TestConnect:test_a_server_that_hangs_up()
  local listener <close> = assert(net.listen(LOOPBACK))
  for _, way in ipairs({ "close", "reset" }) do
    local server = rt.spawn(function()
      local conn = listener:accept()
      conn:read()
      conn[way](conn)
    end)

    local _, message, code = net.connect(listener:address(), { tls = true })

    lu.assertEquals(code, way == "close" and "EOF" or "ECONNRESET")
    lu.assertEquals(message, "connect " .. listener:address() .. ": " ..
      (way == "close" and "closed by the peer during the handshake"
        or "connection reset by peer"))
    server:join()
  end
end

TestServe = {}

function TestServe:test_by_address_and_with_options_in_place()
  local known, address = rt.channel(1), harness.abstract_address()
  local server = rt.spawn(net.serve, address, function(conn)
    known:send(conn:tls_info().alpn)
    echo(conn)
  end, { tls = of("server", { alpn = { "x" } }) })
  rt.yield()

  local conn <close> = assert(net.connect(address, {
    tls = trusting("ca", { server_name = "localhost", alpn = { "x" } }),
  }))
  lu.assertEquals(known:recv(), "x")
  lu.assertEquals(ask(conn, "hello"), "hello")
  conn:close()
  server:cancel()
  server:join()
end

function TestServe:test_a_server_that_cannot_begin_raises()
  for _, serve in ipairs({ net.serve, http.serve }) do
    lu.assertErrorMsgEquals(
      "call:1: tls cert /nowhere: no such file or directory",
      load("local serve, echo = ... serve('127.0.0.1:0', echo, " ..
        "{ tls = { cert = '/nowhere' } })", "=call"), serve, echo)
  end
  lu.assertErrorMsgContains("bad argument #3 to 'serve' (option 'tls': no certificate",
    net.serve, LOOPBACK, echo, { tls = {} })
  lu.assertErrorMsgContains("bad argument #3 to 'serve' (option 'tls': unknown " ..
    "option 'certs'; there are alpn, ca, cert, client_ca, handshake_timeout, key",
    net.serve, LOOPBACK, echo, { tls = { certs = "x" } })
  lu.assertEquals({ net.listen(LOOPBACK, { tls = { cert = "/nowhere" } }) },
    { nil, "tls cert /nowhere: no such file or directory", "ENOENT" })
end

function TestServe:test_failures_of_handshakes_are_told()
  local failures = with_server(function(address)
    for _, bytes in ipairs({ "GET / HTTP/1.0\r\n\r\n", "" }) do
      local conn = assert(net.connect(address))
      conn:write(bytes)
      conn:shutdown()
      conn:read()
      conn:close()
    end
    lu.assertNil(net.connect(address, { tls = true }))
    -- Who comes last is served last.
    local conn <close> = assert(net.connect(address, { tls = trusting("ca") }))
    lu.assertEquals(ask(conn, "hello"), "hello")
  end)

  table.sort(failures, function(a, b) return a:match(": (.*)") < b:match(": (.*)") end)
  lu.assertEquals(#failures, 3)
  lu.assertStrContains(failures[1], ": closed by the peer during the handshake")
  lu.assertStrContains(failures[2], ": refused by the peer: unknown CA")
  lu.assertStrContains(failures[3], ": the peer speaks HTTP without TLS")
  for _, message in ipairs(failures) do
    lu.assertStrContains(message, "handshake 127.0.0.1:")
  end
end

function TestServe:test_no_handler_fails_a_server_that_is_to_fail()
  local listener = assert(net.listen(LOOPBACK))
  local server = rt.spawn(net.serve, listener, echo,
    { tls = context, on_error = "fail" })
  rt.yield()
  local plain = assert(net.connect(listener:address()))
  plain:write("nonsense")
  plain:shutdown()
  plain:read()
  plain:close()

  local conn <close> = assert(net.connect(listener:address(), { tls = trusting("ca") }))
  lu.assertEquals(ask(conn, "hello"), "hello")
  conn:close()
  server:cancel()
  server:join()
end

function TestServe:test_many_connections_at_once()
  local client = assert(tls.context(trusting("ca")))
  with_server(function(address)
    rt.group(function(group)
      for i = 1, harness.rounds(100) do
        group:spawn(function()
          local conn <close> = assert(net.connect(address, { tls = client }))
          for j = 1, 3 do
            local text = ("%d,%d;"):format(i, j):rep(100 * j)
            lu.assertEquals(ask(conn, text), text)
          end
        end)
      end
    end)
  end)
end

function TestServe:test_the_last_bytes_arrive_though_nobody_read()
  -- The client has not read what a server of TLS 1.3 sends unasked.
  local got, sizes = rt.channel(1), { 1, 100000, 8 << 20 }
  with_server(function(address)
    for _, size in ipairs(sizes) do
      local conn = assert(net.connect(address, { tls = trusting("ca") }))
      rt.sleep(0.01) -- the more has come unasked
      conn:write(("x"):rep(size))
      conn:close()
      lu.assertEquals({ got:recv() }, { size })
    end
  end, { handler = function(conn)
    rt.sleep(0.05) -- most is still on its way when it is closed
    local bytes, message = conn:read_all()
    got:send(bytes and #bytes or message)
  end })
end

harness.run()
