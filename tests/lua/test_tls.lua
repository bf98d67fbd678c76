-- component: tls
-- asyncrt: --virtual-time --seed=3
-- TLS over streams in memory: handshakes, and what goes wrong on the way.
local certificates = require("certificates")
local harness = require("harness")
local http = require("asyncrt.http")
local lu = require("luaunit")
local net = require("asyncrt.net")
local rt = require("asyncrt")
local testing = require("asyncrt.testing")
local tls = require("asyncrt.tls")
local core = require("asyncrt.core.tls")

local of, trusting = certificates.of, certificates.trusting
local server_context = assert(tls.context(of("server")))
local opened = {}

local function pair(options)
  local a, b = testing.stream_pair(options)
  opened[#opened + 1], opened[#opened + 2] = a, b
  return a, b
end

local function close_opened()
  for _, stream in ipairs(opened) do stream:close() end
  opened = {}
  rt.sleep(1)
end

-- Options of a client that trusts the test authority.
local function client(options)
  options = options or {}
  options.server_name = options.server_name or "localhost"
  return trusting("ca", options)
end

-- Shakes hands over a and b; gives what each side was told.
local function shake(a, b, client_options, server_options)
  local server = rt.spawn(tls.server, b, server_options or server_context)
  local at_client = table.pack(a:starttls(client_options or client()))
  -- The server of TLS 1.3 hears of a refusal when it reads.
  local at_server = table.pack(select(2, server:join()))
  return at_client, at_server
end

local function secure_pair(client_options, server_options, stream_options)
  local a, b = pair(stream_options)
  local at_client, at_server = shake(a, b, client_options, server_options)
  assert(at_client[1], at_client[2])
  assert(at_server[1], at_server[2])
  return a, b
end

-- Two pairs with a man in the middle: `pass(bytes, write, number)` gets what
-- goes from the first to the last stream in records, and writes what it likes.
local RECORD_HEAD = 5

local function read_record(conn)
  local head = conn:peek(RECORD_HEAD)
  if not head or #head < RECORD_HEAD then return nil end
  return conn:read_exact(RECORD_HEAD + (">I2"):unpack(head, 4))
end

local function carry(from, to, pass)
  local number = 0
  while true do
    local record = read_record(from)
    if not record then break end
    number = number + 1
    if not pass(record, function(bytes) to:write(bytes) end, number) then
      break
    end
  end
  to:close()
  from:close()
end

local function all(record, write)
  write(record)
  return true
end

-- The two ends, with a relay between them; `middle` runs it.
local function relayed(to_server, to_client)
  local a, near = pair()
  local far, b = pair()
  local relay = rt.spawn(function()
    rt.all(function() carry(near, far, to_server or all) end,
      function() carry(far, near, to_client or all) end)
  end)
  return a, b, relay
end

local function run_to_end(relay, a, b)
  a:close()
  b:close()
  relay:join()
end

-- What a stream gives until it has no more: the bytes, and the failure.
local function drain(conn)
  local got = {}
  while true do
    local bytes, _, code = conn:read()
    if not bytes then return table.concat(got), code end
    got[#got + 1] = bytes
  end
end

TestHandshake = { tearDown = close_opened }

function TestHandshake:test_both_sides_agree()
  local a, b = secure_pair(client({ alpn = { "two", "one" } }),
    of("server", { alpn = { "one", "two" } }))

  local mine, theirs = a:tls_info(), b:tls_info()
  lu.assertEquals(mine.version, "TLSv1.3")
  lu.assertEquals(mine.cipher, theirs.cipher)
  lu.assertEquals({ mine.alpn, theirs.alpn }, { "one", "one" })
  lu.assertEquals({ mine.server_name, theirs.server_name },
    { "localhost", "localhost" })
  lu.assertEquals({ mine.verified, theirs.verified }, { true, false })
  lu.assertEquals({ mine.resumed, theirs.resumed }, { false, false })
  lu.assertNil(theirs.peer)
  lu.assertEquals(mine.peer.subject, "CN=server")
  lu.assertEquals(mine.peer.issuer, "CN=Test Authority")
  lu.assertEquals(mine.peer.names,
    { "DNS:localhost", "IP:127.0.0.1", "IP:::1", "DNS:server.test" })
  lu.assertEquals(#mine.peer.fingerprint, 64)
  lu.assertEquals(mine.peer.not_after - mine.peer.not_before, 3650 * 86400)
end

function TestHandshake:test_a_plain_stream_has_nothing_to_tell()
  local a = pair()

  lu.assertNil(a:tls_info())
  lu.assertEquals(a:handshake(), true)
  a:close()
  lu.assertEquals({ a:tls_info() }, { nil, "closed", "ECLOSED" })
  lu.assertEquals({ a:handshake() }, { nil, "closed", "ECLOSED" })
  lu.assertEquals({ a:starttls(true) }, { nil, "closed", "ECLOSED" })
end

function TestHandshake:test_whom_a_client_refuses()
  local cases = {
    { "expired", {}, "ECERT_EXPIRED", "the certificate has expired",
      "certificate expired" },
    { "self", {}, "ECERT_SELF_SIGNED", "the certificate is self-signed",
      "unknown CA" },
    { "stranger", {}, "ECERT_UNKNOWN_CA",
      "the certificate is of an unknown authority", "unknown CA" },
    { "below", {}, "ECERT_UNKNOWN_CA",
      "the certificate is of an unknown authority", "unknown CA" },
    { "server", { server_name = "other.test" }, "ECERT_HOST",
      "the certificate is not for 'other.test' but for DNS:localhost, " ..
      "IP:127.0.0.1, IP:::1, DNS:server.test", "bad certificate" },
    { "server", { server_name = "127.0.0.2" }, "ECERT_HOST",
      "the certificate is not for '127.0.0.2' but for DNS:localhost, " ..
      "IP:127.0.0.1, IP:::1, DNS:server.test", "bad certificate" },
    { "server", { server_name = "::2" }, "ECERT_HOST", nil,
      "bad certificate" },
    { "wild", { server_name = "wild.test" }, "ECERT_HOST", nil,
      "bad certificate" },
    { "wild", { server_name = "a.b.wild.test" }, "ECERT_HOST", nil,
      "bad certificate" },
    -- A subject is no name.
    { "nameless", {}, "ECERT_HOST",
      "the certificate is not for 'localhost' but for no name",
      "bad certificate" },
  }
  for _, version in ipairs({ "1.2", "1.3" }) do
    for _, case in ipairs(cases) do
      local name, options, code, reason, alert = table.unpack(case, 1, 5)
      local a, b = pair()
      local mine, theirs = shake(a, b,
        client({ server_name = options.server_name, max_version = version }),
        of(name))

      lu.assertNil(mine[1])
      lu.assertEquals(mine[3], code, name)
      if reason then lu.assertEquals(mine[2], "handshake memory: " .. reason) end
      lu.assertTrue(a:is_closed())
      lu.assertNil(theirs[1])
      lu.assertEquals(theirs[3], "ETLS_ALERT")
      lu.assertEquals(theirs[2],
        "handshake memory: refused by the peer: " .. alert)
      b:close()
    end
  end
end

function TestHandshake:test_whom_a_client_trusts()
  local cases = {
    { "server", {} },
    { "server", { server_name = "server.test" } },
    { "server", { server_name = "SERVER.test" } },
    { "server", { server_name = "localhost." } },
    { "server", { server_name = "127.0.0.1" } },
    { "server", { server_name = "::1" } },
    { "server", { server_name = "0:0:0:0:0:0:0:1" } },
    { "wild", { server_name = "a.wild.test" } },
    { "chain", {} },
    { "self", { verify = false } },
    { "expired", { verify = false } },
  }
  for _, case in ipairs(cases) do
    local name, options = table.unpack(case)
    local a = secure_pair(client(options), of(name))
    lu.assertEquals(a:tls_info().verified, options.verify ~= false, name)
  end
  local a = secure_pair({ verify = false })
  lu.assertFalse(a:tls_info().verified)
  lu.assertNil(a:tls_info().server_name)
  -- One that is its own authority, for who says so.
  a = secure_pair(trusting("self", { server_name = "localhost" }), of("self"))
  lu.assertTrue(a:tls_info().verified)
end

function TestHandshake:test_the_system_does_not_know_the_test_authority()
  local a, b = pair()

  local mine = shake(a, b, { server_name = "localhost" })

  lu.assertEquals(mine[3], "ECERT_UNKNOWN_CA")
end

function TestHandshake:test_certificates_of_clients()
  local function try(who, version, options)
    local settings = client({ max_version = version })
    if who then of(who, settings) end
    options = of("server", options)
    options.client_ca = certificates.path("ca.pem")
    local a, b = pair()
    local mine, theirs = shake(a, b, settings, options)
    -- With TLS 1.3 the client has finished before it is refused.
    if mine[1] and not theirs[1] then
      b:close()
      mine = table.pack(a:read())
    end
    return mine, theirs, b
  end

  for _, version in ipairs({ "1.2", "1.3" }) do
    local mine, theirs, b = try("client", version)
    lu.assertTrue(mine[1] and theirs[1] and true)
    local info = b:tls_info()
    lu.assertTrue(info.verified)
    lu.assertEquals(info.peer.subject, "CN=A Client")
    lu.assertEquals(info.peer.names, { "email:me@client.test", "URI:urn:client" })

    mine, theirs = try(nil, version)
    lu.assertEquals({ mine[3], theirs[3] }, { "ETLS_ALERT", "ECERT_MISSING" })
    lu.assertStrContains(theirs[2], "the client has no certificate")
    lu.assertStrContains(mine[2], version == "1.3" and "certificate required"
      or "handshake failure")

    mine, theirs = try("stranger", version)
    lu.assertEquals({ mine[3], theirs[3] }, { "ETLS_ALERT", "ECERT_UNKNOWN_CA" })
    lu.assertStrContains(mine[2], "refused by the peer: unknown CA")

    mine, theirs, b = try(nil, version, { verify_client = "optional" })
    lu.assertTrue(mine[1] and theirs[1] and true)
    lu.assertFalse(b:tls_info().verified)
    lu.assertNil(b:tls_info().peer)

    mine, theirs, b = try("client", version, { verify_client = "optional" })
    lu.assertTrue(mine[1] and theirs[1] and b:tls_info().verified)

    mine, theirs = try("stranger", version, { verify_client = "optional" })
    lu.assertEquals({ mine[3], theirs[3] }, { "ETLS_ALERT", "ECERT_UNKNOWN_CA" })
  end
end

function TestHandshake:test_versions()
  for _, case in ipairs({
    { "1.2", nil, "TLSv1.2" }, { nil, "1.2", "TLSv1.2" },
    { "1.3", nil, "TLSv1.3" }, { "1.2", "1.2", "TLSv1.2" },
  }) do
    local a, b = secure_pair(client({ max_version = case[1] }),
      of("server", { max_version = case[2] }))
    lu.assertEquals({ a:tls_info().version, b:tls_info().version },
      { case[3], case[3] })
  end

  local a, b = pair()
  local mine, theirs = shake(a, b, client({ max_version = "1.2" }),
    of("server", { min_version = "1.3" }))
  lu.assertEquals({ mine[3], theirs[3] }, { "ETLS_VERSION", "ETLS_VERSION" })
  lu.assertStrContains(theirs[2], "no version of TLS in common")

  a, b = pair()
  mine = shake(a, b, client({ min_version = "1.3" }),
    of("server", { max_version = "1.2" }))
  lu.assertEquals(mine[3], "ETLS_VERSION")
end

function TestHandshake:test_application_protocols()
  local function agreed(mine, theirs)
    local a, b = secure_pair(client({ alpn = mine }),
      of("server", { alpn = theirs }))
    lu.assertEquals(a:tls_info().alpn, b:tls_info().alpn)
    return a:tls_info().alpn
  end

  lu.assertEquals(agreed({ "h2", "http/1.1" }, { "http/1.1", "h2" }), "http/1.1")
  lu.assertEquals(agreed({ ("x"):rep(255) }, { ("x"):rep(255) }), ("x"):rep(255))
  lu.assertNil(agreed(nil, { "h2" }))
  lu.assertNil(agreed({ "h2" }, nil))

  local a, b = pair()
  local mine, theirs = shake(a, b, client({ alpn = { "h2" } }),
    of("server", { alpn = { "http/1.1" } }))
  lu.assertEquals({ mine[3], theirs[3] }, { "ETLS_ALPN", "ETLS_ALPN" })
  lu.assertStrContains(theirs[2], "no application protocol in common")
end

function TestHandshake:test_a_certificate_for_each_name()
  local options = of("server", { sni = {
    ["*.wild.test"] = of("wild"), ["Named.Test"] = of("named"),
  } })
  for name, subject in pairs({
    ["a.wild.test"] = "CN=wild", ["A.WILD.TEST"] = "CN=wild",
    ["named.test"] = "CN=named", ["NAMED.test"] = "CN=named",
    ["server.test"] = "CN=server", ["a.b.wild.test"] = "CN=server",
    ["wild.test"] = "CN=server", ["localhost"] = "CN=server",
  }) do
    local a = secure_pair(client({ server_name = name, verify = false }), options)
    lu.assertEquals(a:tls_info().peer.subject, subject, name)
  end
  local a = secure_pair({ verify = false }, options)
  lu.assertEquals(a:tls_info().peer.subject, "CN=server")
  lu.assertTrue(secure_pair(client({ server_name = "named.test" }), options)
    :tls_info().verified)
end

function TestHandshake:test_every_name_wants_the_same_of_clients()
  local options = of("server", {
    client_ca = certificates.path("ca.pem"), sni = { ["named.test"] = of("named") },
  })
  local a, b = pair()
  local _, theirs = shake(a, b, client({ server_name = "named.test" }), options)
  lu.assertEquals(theirs[3], "ECERT_MISSING")
  b:close()

  a, b = secure_pair(of("client", client({ server_name = "named.test" })), options)
  lu.assertEquals(a:tls_info().peer.subject, "CN=named")
  lu.assertEquals(b:tls_info().peer.subject, "CN=A Client")
end

function TestHandshake:test_a_stall_has_a_time_limit()
  local a, b = pair()
  local before = rt.now()
  lu.assertEquals({ a:starttls(client({ handshake_timeout = 3 })) },
    { nil, "handshake memory: connection timed out", "ETIMEDOUT" })
  lu.assertEquals(rt.now() - before, 3.0)
  b:close()

  a, b = pair()
  lu.assertEquals({ tls.server(b, server_context) },
    { nil, "handshake memory: connection timed out", "ETIMEDOUT" })
  lu.assertEquals(rt.now() - before, 13.0)
  a:close()
end

function TestHandshake:test_the_end_in_the_middle_of_a_handshake()
  local cut = 1
  repeat
    local total = 0
    local a, b, relay = relayed(nil, function(record, write, number)
      if number > cut then return false end
      total = number
      write(record)
      return true
    end)
    local mine, theirs = shake(a, b)
    if not mine[1] then
      lu.assertEquals(mine[3], "EOF")
      lu.assertEquals(mine[2],
        "handshake memory: closed by the peer during the handshake")
    end
    if not theirs[1] then lu.assertEquals(theirs[3], "EOF") end
    run_to_end(relay, a, b)
    cut = cut + 1
  until total < cut - 1
  lu.assertTrue(cut > 3)
end

function TestHandshake:test_what_is_no_tls()
  for _, case in ipairs({
    { "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "the peer speaks HTTP without TLS" },
    { "POST / HTTP/1.1\r\nHost: a\r\n\r\n", "the peer speaks HTTP without TLS" },
    { "CONNECT a:443 HTTP/1.1\r\n\r\n", "the peer speaks HTTP without TLS" },
    { "SSH-2.0-OpenSSH_9.2\r\n", "the peer does not speak TLS" },
    { ("\0"):rep(100), "the peer does not speak TLS" },
    { ("\xff"):rep(100), "the peer does not speak TLS" },
    { "\x16\x03\x01\xff\xff" .. ("a"):rep(100), nil },
    { "\x16\x03\x01\x00\x05\x01\xff\xff\xff\xff", nil },
    { "\x17\x03\x03\x00\x05hello", nil },
    { "\x15\x03\x03\x00\x02\x02\x28", nil },
  }) do
    local a, b = pair()
    a:write(case[1])
    local ok, message, code = tls.server(b, server_context)
    lu.assertNil(ok)
    lu.assertStrContains(message, "handshake memory: ")
    if case[2] then lu.assertStrContains(message, case[2]) end
    lu.assertStrContains(code, "ETLS")
    lu.assertTrue(b:is_closed())
    a:close()
  end

  local a, b = pair()
  b:write("220 mail.test ESMTP\r\n")
  local _, message, code = a:starttls(client())
  lu.assertEquals({ message, code },
    { "handshake memory: the peer does not speak TLS", "ETLS" })
end

function TestHandshake:test_random_bytes_are_refused()
  math.randomseed(7)
  for _ = 1, harness.rounds(300) do
    local a, b = pair()
    local bytes = {}
    for i = 1, math.random(300) do bytes[i] = string.char(math.random(0, 255)) end
    if math.random(2) == 1 then
      bytes[1], bytes[2], bytes[3] = "\x16", "\x03", "\x01"
      bytes[4], bytes[5], bytes[6] = "\0", string.char(math.random(255)), "\1"
    end
    a:write(table.concat(bytes))
    a:close()
    lu.assertNil(tls.server(b, server_context))
  end
end

function TestHandshake:test_a_cancelled_handshake_resets()
  local a, b = pair()
  lu.assertEquals({ rt.timeout(1, a.starttls, a, client()) }, { nil, "timeout" })

  lu.assertTrue(a:is_closed())
  b:read()
  lu.assertEquals(select(3, b:read()), "ECONNRESET")
end

function TestHandshake:test_close_ends_a_handshake()
  local a = pair()
  local task = rt.spawn(a.starttls, a, client())
  rt.yield()

  a:close()

  lu.assertEquals({ task:join() }, { true, nil, "closed", "ECLOSED" })
end

function TestHandshake:test_a_change_on_the_way_is_noticed()
  for number = 1, 6 do
    local a, b, relay = relayed(nil, function(record, write, n)
      if n == number then
        local last = record:byte(-1)
        record = record:sub(1, -2) .. string.char(last ~ 1)
      end
      write(record)
      return true
    end)
    local mine = shake(a, b)
    if mine[1] then
      rt.spawn(b.write, b, "hello")
      mine = table.pack(a:read())
      if mine[1] then break end
    end
    lu.assertStrContains(mine[3], "ETLS")
    run_to_end(relay, a, b)
  end
end

TestSession = { tearDown = close_opened }

function TestSession:test_sessions_go_on()
  for _, version in ipairs({ "1.2", "1.3" }) do
    local context = assert(tls.context(trusting("ca", { max_version = version })))
    local function connect(name, server)
      local a, b = secure_pair({ context = context, server_name = name }, server)
      b:write("x") -- with TLS 1.3 what the client is to keep comes before it
      a:read()
      lu.assertEquals(a:tls_info().resumed, b:tls_info().resumed)
      lu.assertTrue(a:tls_info().verified)
      lu.assertEquals(a:tls_info().peer.subject, "CN=server")
      a:close()
      return b:tls_info().resumed
    end

    lu.assertFalse(connect("localhost"))
    lu.assertTrue(connect("localhost"))
    lu.assertTrue(connect("localhost"))
    -- Not for another name, which was not verified.
    lu.assertFalse(connect("server.test"))
    lu.assertTrue(connect("server.test"))
    lu.assertTrue(connect("localhost"))
    -- A server that is loaded anew begins anew.
    lu.assertFalse(connect("localhost", of("server")))
    lu.assertEquals(context:reload(), true)
    lu.assertFalse(connect("localhost"))
  end
end

function TestSession:test_a_client_that_was_refused_is_not_let_in_later()
  local context = assert(tls.context(trusting("ca")))
  local server = assert(tls.context(of("server",
    { client_ca = certificates.path("ca.pem") })))
  for _ = 1, 2 do
    local a, b = pair()
    local _, theirs = shake(a, b,
      { context = context, server_name = "localhost" }, server)
    lu.assertEquals(theirs[3], "ECERT_MISSING")
    a:read()
  end
end

function TestSession:test_certificates_of_clients_go_on_too()
  local context = assert(tls.context(of("client", trusting("ca"))))
  local server = assert(tls.context(of("server",
    { client_ca = certificates.path("ca.pem") })))
  for i = 1, 3 do
    local a, b = secure_pair({ context = context, server_name = "localhost" },
      server)
    b:write("x")
    a:read()
    local info = b:tls_info()
    lu.assertEquals({ info.resumed, info.verified, info.peer.subject },
      { i > 1, true, "CN=A Client" })
    a:close()
  end
end

function TestSession:test_sessions_of_many_servers()
  local context = assert(tls.context({ verify = false }))
  local function connect(i)
    local a, b = secure_pair({
      context = context, server_name = ("host-%d.test"):format(i),
    })
    b:write("x")
    a:read()
    a:close()
    return b:tls_info().resumed
  end

  for i = 1, 70 do lu.assertFalse(connect(i)) end
  lu.assertFalse(connect(1)) -- the oldest were forgotten
  lu.assertTrue(connect(70))
  lu.assertTrue(connect(20))
end

TestInPlace = { tearDown = close_opened }

function TestInPlace:test_the_stream_stays_the_same_object()
  local a, b = pair()
  local server = rt.spawn(tls.server, b, server_context)

  local conn = a:starttls(client())

  lu.assertIs(conn, a)
  server:join()
  lu.assertEquals(tostring(a), "stream (memory)")
end

function TestInPlace:test_bytes_from_before_are_no_bytes_with_tls()
  local a, b = pair()
  local server = rt.spawn(function()
    lu.assertEquals(b:read_line(), "STARTTLS")
    b:write("220 go ahead\r\n")
    return tls.server(b, server_context)
  end)
  a:write("STARTTLS\nEVIL COMMAND\n")
  lu.assertEquals(a:read_line(), "220 go ahead")

  lu.assertNil(a:starttls(client()))

  lu.assertEquals(select(4, server:join()), "ETLS")
end

function TestInPlace:test_what_came_early_belongs_to_the_handshake()
  local a, b = pair()
  local client_task = rt.spawn(function()
    a:write("STARTTLS\n")
    return a:starttls(client())
  end)
  rt.yield()
  rt.yield()
  -- This read takes the first message of the handshake too.
  lu.assertEquals(b:read_line(), "STARTTLS")

  lu.assertIs(tls.server(b, server_context), b)

  lu.assertTrue(client_task:await() ~= nil)
  a:write("x")
  lu.assertEquals(b:read(), "x")
end

function TestInPlace:test_a_write_during_the_handshake_is_not_in_the_clear()
  local seen = {}
  local a, b, relay = relayed(function(record, write)
    seen[#seen + 1] = record
    write(record)
    return true
  end)
  local starting = rt.spawn(a.starttls, a, client())
  rt.yield()
  local reading = rt.spawn(a.read, a)
  lu.assertEquals(a:write("a secret"), true)

  assert(tls.server(b, server_context))

  lu.assertEquals(b:read(), "a secret")
  b:write("an answer")
  lu.assertEquals(reading:await(), "an answer")
  lu.assertNil(table.concat(seen):find("a secret", 1, true))
  starting:join()
  run_to_end(relay, a, b)
end

function TestInPlace:test_a_close_during_the_handshake_still_sends()
  local a, b = pair()
  local starting = rt.spawn(a.starttls, a, client())
  rt.yield()
  a:write("the last words")
  a:close()
  starting:join()

  assert(tls.server(b, server_context))

  lu.assertEquals(b:read_all(), "the last words")
end

function TestInPlace:test_a_shutdown_during_the_handshake_comes_after_it()
  local a, b = pair()
  local starting = rt.spawn(a.starttls, a, client())
  rt.yield()
  local ending = rt.spawn(function()
    a:write("all")
    return a:shutdown()
  end)
  rt.yield()

  assert(tls.server(b, server_context))

  lu.assertEquals(b:read_all(), "all")
  b:write("answer")
  lu.assertEquals(ending:await(), true)
  lu.assertEquals(a:read(), "answer")
  starting:join()
end

function TestInPlace:test_a_stream_in_use_cannot_change()
  local a, b = pair()
  local reader = rt.spawn(a.read, a)
  rt.yield()

  lu.assertErrorMsgContains("another task is using this stream",
    a.starttls, a, client())

  b:write("x")
  lu.assertEquals(reader:await(), "x")
end

function TestInPlace:test_time_limits_stay()
  local a, b = pair()
  a:timeouts({ read = 2 })
  rt.spawn(tls.server, b, server_context)
  assert(a:starttls(client()))
  local before = rt.now()

  lu.assertEquals({ a:read() },
    { nil, "read memory: connection timed out", "ETIMEDOUT" })

  lu.assertEquals(rt.now() - before, 2.0)
end

TestEnd = { tearDown = close_opened }

function TestEnd:test_the_end_is_said()
  local a, b = secure_pair()
  a:write("all of it")
  a:close()

  lu.assertEquals({ drain(b) }, { "all of it" })
end

function TestEnd:test_a_cut_is_no_end_wherever_it_is()
  local payload = ("0123456789"):rep(5000)
  local lengths = {}
  for cut = 1, 100 do
    local a, b, relay = relayed(nil, function(record, write, number)
      if number > cut then return false end
      write(record)
      return true
    end)
    local mine, theirs = shake(a, b)
    if mine[1] and theirs[1] then
      rt.spawn(function()
        b:write(payload)
        b:close()
      end)
      local got, code = drain(a)
      lu.assertEquals(got, payload:sub(1, #got))
      lengths[#lengths + 1] = #got
      if code == nil then
        lu.assertEquals(#got, #payload)
        run_to_end(relay, a, b)
        break
      end
      lu.assertEquals(code, "ETRUNCATED")
      lu.assertEquals({ a:read() }, {
        nil, "read memory: cut off without close_notify", "ETRUNCATED",
      })
    end
    run_to_end(relay, a, b)
  end
  -- Cut behind each of four records, and before the end.
  lu.assertTrue(#lengths >= 6)
  lu.assertEquals(lengths[#lengths - 1], #payload)
end

function TestEnd:test_a_cut_inside_of_a_record()
  local a, b, relay = relayed(nil, function(record, write, number)
    write(#record > 1000 and record:sub(1, 900) or record)
    return #record <= 1000 or number < 5
  end)
  local mine = shake(a, b)
  assert(mine[1])
  rt.spawn(b.write, b, ("x"):rep(5000))

  lu.assertEquals({ drain(a) }, { "", "ETRUNCATED" })

  -- Framed reads give the same, and keep nothing back.
  lu.assertEquals(select(3, a:read_exact(3)), "ETRUNCATED")
  lu.assertErrorMsgContains("cut off without close_notify", function()
    for _ in a:chunks() do lu.fail("no chunk expected") end
  end)
  run_to_end(relay, a, b)
end

function TestEnd:test_writing_goes_on_after_a_cut()
  local a, near = pair()
  local far, b = pair()
  local there = rt.spawn(carry, near, far, all)
  local back = rt.spawn(rt.copy, far, near)
  assert(shake(a, b)[1])
  b:write("and then")
  lu.assertEquals(a:read(), "and then")

  near:shutdown()
  lu.assertEquals({ drain(a) }, { "", "ETRUNCATED" })
  lu.assertEquals(a:write("still here"), true)

  lu.assertEquals(b:read(), "still here")
  a:close()
  b:close()
  there:join()
  back:join()
end

function TestEnd:test_half_close_in_both_orders()
  local a, b = secure_pair()
  lu.assertEquals(a:shutdown(), true)
  lu.assertEquals(a:shutdown(), true)
  lu.assertEquals({ drain(b) }, { "" })
  lu.assertEquals(select(3, a:write("x")), "EPIPE")
  for i = 1, 3 do
    lu.assertEquals(b:write("answer " .. i), true)
    lu.assertEquals(a:read(), "answer " .. i)
  end
  lu.assertEquals(b:shutdown(), true)
  lu.assertEquals({ drain(a) }, { "" })
  a:close()
  b:close()
end

function TestEnd:test_a_reset_is_no_end()
  local a, b = secure_pair()
  a:write("x")
  a:reset()

  lu.assertEquals(select(2, drain(b)), "ECONNRESET")
end

function TestEnd:test_both_close_at_once()
  local a, b = secure_pair()
  a:write("to b")
  b:write("to a")
  a:close()

  lu.assertEquals({ drain(b) }, { "to b" })
  b:close()
end

TestTransfer = { tearDown = close_opened }

local payload = {}
for i = 1, 40000 do payload[i] = ("%d,"):format(i * i) end
payload = table.concat(payload)

function TestTransfer:test_bytes_one_by_one()
  local function slowly(record, write)
    for i = 1, #record do
      write(record:sub(i, i))
      if i % 50 == 0 then rt.yield() end
    end
    return true
  end
  local a, b, relay = relayed(slowly, slowly)
  assert(shake(a, b)[1])
  local sent = payload:sub(1, 5000)
  rt.spawn(function()
    a:write(sent)
    a:shutdown()
  end)

  lu.assertTrue(b:read_all() == sent)
  b:write({ "an ", "answer" })
  b:shutdown()
  lu.assertEquals(a:read_all(), "an answer")
  run_to_end(relay, a, b)
end

function TestTransfer:test_random_splits_and_delays()
  for _, options in ipairs({
    { split = true }, { delay = 0.01, jitter = 0.1 },
    { split = true, jitter = 0.01, high_water = 10 },
  }) do
    local a, b = secure_pair(nil, nil, options)
    local writer = rt.spawn(function()
      for from = 1, #payload, 7777 do
        assert(a:write(payload:sub(from, from + 7776)))
      end
      assert(a:shutdown())
    end)
    lu.assertTrue(b:read_all() == payload)
    writer:join()
  end
end

function TestTransfer:test_both_ends_write_much_and_then_read()
  local big = payload:rep(20)
  local a, b = secure_pair()
  local function work(conn)
    local reader = rt.spawn(function() return conn:read_all() end)
    for from = 1, #big, 100000 do
      assert(conn:write(big:sub(from, from + 99999)))
    end
    assert(conn:shutdown())
    return reader:await()
  end

  local got_a, got_b = rt.all(function() return work(a) end,
    function() return work(b) end)

  lu.assertTrue(got_a == big)
  lu.assertTrue(got_b == big)
end

function TestTransfer:test_a_table_is_joined_into_records()
  local sizes = {}
  local a, b, relay = relayed(function(record, write, _)
    sizes[#sizes + 1] = #record
    write(record)
    return true
  end)
  assert(shake(a, b)[1])
  local before = #sizes
  a:write({ "HTTP/1.1 200 OK\r\n", "Content-Length: 5\r\n", "\r\n", "hello" })
  lu.assertEquals(b:read_until("\r\n\r\n"), "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
  lu.assertEquals(#sizes - before, 1)
  local parts, size = {}, 0
  for i = 1, 500 do
    parts[i] = payload:sub(i * 10, i * 10 + i)
    size = size + #parts[i]
  end
  parts[501], parts[502], parts[503] = "", payload, ""
  a:write(parts)
  b:read_exact(5)
  lu.assertTrue(b:read_exact(size + #payload) == table.concat(parts))
  run_to_end(relay, a, b)
end

function TestTransfer:test_a_cancelled_write_sends_nothing()
  local a, b = secure_pair()
  a:write(payload)

  lu.assertEquals({ rt.timeout(1, a.write, a, "LOST") }, { nil, "timeout" })
  lu.assertEquals(rt.select({ w = a:write_evt("LOST TOO"), t = 1 }), "t")

  local reader = rt.spawn(function() return b:read_all() end)
  a:write("end")
  a:close()
  lu.assertTrue(reader:await() == payload .. "end")
end

function TestTransfer:test_a_cancelled_read_loses_nothing()
  local a, b = secure_pair()
  a:write("ab")
  lu.assertEquals({ rt.timeout(1, b.read_exact, b, 4) }, { nil, "timeout" })
  lu.assertEquals(rt.select({ r = b:read_line_evt(), t = 1 }), "t")
  a:write("cd\n")

  lu.assertEquals(b:read_line(), "abcd")
end

function TestTransfer:test_copies_go_through()
  local a, b = secure_pair()
  local c, d = secure_pair(nil, nil, { split = true })
  local copier = rt.spawn(function()
    local size = rt.copy(b, c)
    c:shutdown()
    return size
  end)
  rt.spawn(function()
    a:write(payload)
    a:shutdown()
  end)

  lu.assertTrue(d:read_all() == payload)
  lu.assertEquals(copier:await(), #payload)
end

function TestTransfer:test_keys_are_renewed()
  for _, options in ipairs({ {}, { split = true }, { delay = 0.1 } }) do
    local a, b = secure_pair(nil, nil, options)
    for i = 1, 100 do
      local from, to = a, b
      if i % 2 == 0 then from, to = b, a end
      lu.assertTrue(core.renew(from, i % 3 == 0))
      from:write("number " .. i)
      lu.assertEquals(to:read_exact(#("number " .. i)), "number " .. i)
    end
    a:close()
    lu.assertNil(b:read())
  end
  local a = secure_pair(client({ max_version = "1.2" }))
  lu.assertFalse(core.renew(a))
end

-- Whoever waits for one of several streams shares the buffer of all.
function TestTransfer:test_renewed_keys_amid_much_data()
  local a, b, relay = relayed()
  assert(shake(a, b)[1])
  local function send(conn)
    for i = 1, 50 do
      conn:write(payload:sub(i * 1000, i * 1000 + i * 100))
      assert(core.renew(conn, true))
    end
    conn:shutdown()
  end
  local function take(conn)
    local got = {}
    while true do
      local _, bytes = rt.select({ conn:read_evt(), rt.never })
      if not bytes then return table.concat(got) end
      got[#got + 1] = bytes
    end
  end
  local expected = {}
  for i = 1, 50 do expected[i] = payload:sub(i * 1000, i * 1000 + i * 100) end

  local _, _, got_a, got_b = rt.all(function() send(a) end, function() send(b) end,
    function() return take(a) end, function() return take(b) end)

  lu.assertTrue(got_a == table.concat(expected))
  lu.assertTrue(got_b == table.concat(expected))
  run_to_end(relay, a, b)
end

function TestTransfer:test_a_peer_that_asks_for_too_much_is_cut_off()
  local a, b = secure_pair()
  for _ = 1, 1000 do assert(core.renew(a, true)) end
  a:write("hello")

  local _, message, code = b:read()

  lu.assertEquals(code, "ETLS")
  lu.assertStrContains(message, "the peer asks for too much")
end

function TestTransfer:test_a_changed_byte_ends_the_connection()
  local change = false
  local a, b, relay = relayed(nil, function(record, write)
    if change then record = record:sub(1, -2) .. string.char(record:byte(-1) ~ 1) end
    write(record)
    return true
  end)
  assert(shake(a, b)[1])
  b:write("good")
  lu.assertEquals(a:read(), "good")
  change = true
  b:write("bad")

  local _, message, code = a:read()

  lu.assertEquals(code, "ETLS")
  lu.assertStrContains(message, "read memory: ")
  rt.sleep(1)
  lu.assertEquals(select(3, a:write("x")), "ETLS")
  lu.assertEquals(select(3, a:read()), "ETLS")
  -- The other side was told why.
  lu.assertEquals(select(3, b:read()), "ETLS_ALERT")
  run_to_end(relay, a, b)
end

function TestTransfer:test_a_blocked_writer_hears_of_a_broken_connection()
  local a, b = pair()
  assert(shake(a, b)[1])
  a:write(payload)
  local writer = rt.spawn(a.write, a, "more")
  rt.yield()

  b:reset()

  local ok, result, _, code = writer:join()
  lu.assertEquals({ ok, result }, { true, nil })
  lu.assertTrue(code == "ECONNRESET" or code == "EPIPE", code)
end

TestListener = { tearDown = close_opened }

local function serve(context, handler, options)
  local listener = testing.listener()
  options = options or {}
  options.tls = context
  local server = rt.spawn(net.serve, listener, handler, options)
  rt.yield()
  return listener, server
end

local function echo(conn)
  for chunk in conn:chunks() do conn:write(chunk) end
end

local function dial(listener, options)
  local conn = listener:dial()
  opened[#opened + 1] = conn
  assert(conn:starttls(options or client()))
  return conn
end

function TestListener:test_a_server()
  local listener, server = serve(server_context, echo)
  local conns = {}
  for i = 1, 10 do conns[i] = dial(listener) end
  for i, conn in ipairs(conns) do conn:write("number " .. i) end
  for i, conn in ipairs(conns) do
    lu.assertEquals(conn:read(), "number " .. i)
    conn:close()
  end
  server:cancel()
  server:join()
end

function TestListener:test_a_stalled_handshake_holds_up_nobody()
  local failures = {}
  local listener, server = serve(server_context, echo, {
    on_error = function(message) failures[#failures + 1] = message end,
  })
  local stalled = {}
  for i = 1, 20 do
    stalled[i] = listener:dial()
    stalled[i]:write("\x16\x03\x01")
  end
  local before = rt.now()

  local conn = dial(listener)
  conn:write("x")
  lu.assertEquals(conn:read(), "x")

  lu.assertEquals(rt.now(), before)
  lu.assertEquals(failures, {})
  rt.sleep(11)
  lu.assertEquals(#failures, 20)
  lu.assertEquals(failures[1], "handshake memory: connection timed out")
  -- The server has closed them.
  for _, one in ipairs(stalled) do
    lu.assertNil(one:read())
    one:close()
  end
  conn:write("y")
  lu.assertEquals(conn:read(), "y")
  conn:close()
  server:cancel()
  server:join()
end

function TestListener:test_of_too_many_handshakes_the_oldest_gives_way()
  local failures = {}
  local listener, server = serve(of("server", { max_handshakes = 3 }), echo, {
    on_error = function(message) failures[#failures + 1] = message end,
  })
  local stalled = {}
  for i = 1, 5 do
    stalled[i] = listener:dial()
    rt.sleep(0.1)
  end
  lu.assertEquals(failures, {
    "handshake memory: too many unfinished handshakes",
    "handshake memory: too many unfinished handshakes",
  })
  lu.assertNil(stalled[1]:read())
  local conn = dial(listener)
  conn:write("x")
  lu.assertEquals(conn:read(), "x")
  lu.assertEquals(#failures, 3)

  conn:close()
  for _, one in ipairs(stalled) do one:close() end
  server:cancel()
  server:join()
end

function TestListener:test_accept_does_not_wait_for_the_handshake()
  local listener <close> = testing.listener()
  tls.listener(listener, server_context)
  local first, second = listener:dial(), listener:dial()
  local a, b = listener:accept(), listener:accept()
  lu.assertNil(a:tls_info())
  lu.assertEquals(rt.select({ r = a:read_evt(), t = 1 }), "t")
  local key, conn = rt.select({ listener, 1 })
  lu.assertEquals({ key, conn }, { 2 })

  assert(second:starttls(client()))
  second:write("x")
  lu.assertEquals({ rt.select({ a = a:read_evt(), b = b:read_evt() }) },
    { "b", "x" })
  lu.assertEquals(b:handshake(), true)

  first:close()
  lu.assertEquals(select(3, a:read()), "EOF")
  lu.assertEquals(select(3, a:handshake()), "EOF")
  lu.assertEquals(select(3, a:write("x")), "EOF")
  for _, one in ipairs({ a, b, second }) do one:close() end
end

function TestListener:test_new_certificates_for_new_connections()
  local context = assert(tls.context(of("server")))
  local listener, server = serve(context, echo)
  local old = dial(listener)

  lu.assertEquals(context:reload(of("renewed")), true)
  local new = dial(listener)

  lu.assertEquals(old:tls_info().peer.subject, "CN=server")
  lu.assertEquals(new:tls_info().peer.subject, "CN=renewed")
  for _, conn in ipairs({ old, new }) do
    conn:write("still there")
    lu.assertEquals(conn:read(), "still there")
  end

  lu.assertEquals({ context:reload({ cert = "/nowhere" }) },
    { nil, "tls cert /nowhere: no such file or directory", "ENOENT" })
  lu.assertEquals(select(3, context:reload({
    key = certificates.path("other.key"),
  })), "EKEY")
  local after = dial(listener)
  lu.assertEquals(after:tls_info().peer.subject, "CN=renewed")
  -- Without options, what was loaded last is read anew.
  lu.assertEquals(context:reload(), true)
  collectgarbage()
  collectgarbage()
  old:write("and still")
  lu.assertEquals(old:read(), "and still")
  for _, conn in ipairs({ old, new, after }) do conn:close() end
  server:cancel()
  server:join()
end

function TestListener:test_a_context_lives_as_long_as_it_is_used()
  local listener = testing.listener()
  tls.listener(listener, of("server"))
  collectgarbage()
  collectgarbage()
  local conn = listener:dial()
  local starting = rt.spawn(conn.starttls, conn, client())
  local accepted = listener:accept()
  listener:close()
  collectgarbage()
  collectgarbage()

  lu.assertTrue(starting:await() ~= nil)
  accepted:write("x")
  lu.assertEquals(conn:read(), "x")
  conn:close()
  accepted:close()
end

function TestListener:test_the_end_of_a_server_in_a_handshake()
  local listener, server = serve(server_context, echo, { drain = 1 })
  local conn = listener:dial()
  rt.sleep(0.1)

  server:cancel()
  server:join()

  lu.assertNil(conn:read())
  conn:close()
end

function TestListener:test_http()
  local listener = testing.listener()
  local server = rt.spawn(http.serve, listener, function(request, response)
    response:send("you asked for " .. request.path)
  end, { tls = of("server") })
  rt.yield()
  local conn = dial(listener, client({ alpn = { "h2", "http/1.1" } }))
  lu.assertEquals(conn:tls_info().alpn, "http/1.1")

  for i = 1, 3 do
    conn:write(("GET /%d HTTP/1.1\r\nHost: localhost\r\n\r\n"):format(i))
    lu.assertStrContains(conn:read_until("\r\n\r\n"), "200 OK")
    lu.assertEquals(conn:read_exact(#"you asked for /1"), "you asked for /" .. i)
  end
  server:cancel()
  server:join()
  lu.assertNil(conn:read())
  conn:close()
end

function TestListener:test_http_bodies_that_are_cut_off()
  local listener = testing.listener()
  local got
  local server = rt.spawn(http.serve, listener, function(request, response)
    got = table.pack(request:read_all())
    response:send("got it")
  end, { tls = of("server"), on_error = "collect" })
  rt.yield()
  for _, case in ipairs({
    { "Content-Length: 5\r\n\r\nhello", "hello" },
    { "Content-Length: 6\r\n\r\nhello", nil, "ETRUNCATED" },
    { "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", "hello" },
    { "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", nil, "ETRUNCATED" },
  }) do
    local a, near = pair()
    local far = listener:dial()
    local relay = rt.spawn(function()
      rt.all(function() carry(near, far, all) end,
        function() carry(far, near, all) end)
    end)
    assert(a:starttls(client()))
    a:write("POST / HTTP/1.1\r\nHost: localhost\r\n" .. case[1])
    rt.sleep(1)
    near:shutdown()
    far:shutdown() -- an end of the connection, and none of TLS
    rt.sleep(1)
    lu.assertEquals({ got[1], got[3] }, { case[2], case[3] })
    run_to_end(relay, a, far)
  end
  server:cancel()
  server:join()
end

TestNetwork = { tearDown = close_opened }

function TestNetwork:test_tls_in_a_network_in_memory()
  local network = testing.network({ delay = 0.1, split = true })
  local listener = assert(network.listen("localhost:443", { tls = server_context }))
  local server = rt.spawn(network.serve, listener, echo, { on_error = "collect" })
  rt.yield()

  local conn = assert(network.connect("localhost:443", { tls = trusting("ca") }))
  conn:write("hello")
  lu.assertEquals(conn:read_exact(5), "hello")
  conn:close()
  local key, other = rt.select({
    c = network.connect_evt("localhost:443", { tls = trusting("ca") }),
  })
  lu.assertEquals(key, "c")
  lu.assertTrue(other:tls_info().verified)
  other:close()
  lu.assertEquals({ network.connect("other.test:443", { tls = trusting("ca") }) },
    { nil, "connect other.test:443: the certificate is not for 'other.test' " ..
      "but for DNS:localhost, IP:127.0.0.1, IP:::1, DNS:server.test",
      "ECERT_HOST" })
  lu.assertEquals(select(3, network.connect("localhost:80", { tls = true })),
    "ECONNREFUSED")
  lu.assertErrorMsgContains("bad argument #2 to 'connect' (option 'tls': ",
    network.connect, "localhost:443", { tls = 5 })
  lu.assertErrorMsgContains("bad argument #2 to 'listen' (option 'tls': ",
    network.listen, "localhost:444", { tls = {} })
  rt.sleep(1)
  server:cancel()
  server:join()

  server = rt.spawn(network.serve, "localhost:8443", echo, { tls = of("server") })
  rt.yield()
  conn = assert(network.connect("localhost:8443", { tls = trusting("ca") }))
  conn:close()
  rt.sleep(1)
  server:cancel()
  server:join()
end

TestContext = { tearDown = close_opened }

function TestContext:test_files_that_are_not_what_they_should_be()
  local path = certificates.path
  local function fails(options, message, code)
    local context, got, got_code = tls.context(options)
    lu.assertNil(context)
    lu.assertEquals({ (got:gsub("/[^ ]*/", "")), got_code }, { message, code })
  end

  fails({ cert = path("none.pem") },
    "tls cert none.pem: no such file or directory", "ENOENT")
  fails({ cert = path("server.key") },
    "tls cert server.key: no certificate in it", "ECERT")
  fails({ cert = path("server.pem") },
    "tls key server.pem: no private key in it", "EKEY")
  fails({ cert = path("server.pem"), key = path("other.key") },
    "tls key other.key: it is not the key of the certificate", "EKEY")
  fails({ cert = path("server.pem"), key = path("locked.key") },
    "tls key locked.key: malformed, or it needs a password", "EKEY")
  fails({ cert = path("server.pem"), key = path("locked.key"), password = "x" },
    "tls key locked.key: malformed, or the password is wrong", "EKEY")
  fails({ ca = path("") }, "tls ca : illegal operation on a directory", "EISDIR")
  fails({ ca = path("server.key") },
    "tls ca server.key: no certificate in it", "ECERT")
  fails({ client_ca = "-----BEGIN CERTIFICATE-----\nx\n", verify_client = true },
    "tls client_ca: a certificate is malformed", "ECERT")
  fails(of("server", { sni = { a = { cert = path("none.pem") } } }),
    "tls cert none.pem: no such file or directory", "ENOENT")
end

function TestContext:test_pem_may_be_given_itself()
  local function text(name)
    local file <close> = assert(io.open(certificates.path(name)))
    return file:read("a")
  end

  for _, options in ipairs({
    { cert = text("server.pem"), key = text("server.key") },
    { cert = text("server.pem") .. text("server.key") },
    { cert = text("server.key") .. text("server.pem") },
    { cert = text("server.pem"), key = text("locked.key"), password = "secret" },
  }) do
    local a, b = testing.stream_pair()
    local server = rt.spawn(tls.server, b, options)
    lu.assertIs(a:starttls({ ca = text("other.pem") .. text("ca.pem"),
      server_name = "localhost" }), a)
    server:join()
    a:close()
    b:close()
  end
end

function TestContext:test_wrong_options_raise()
  local function raises(problem, options)
    local ok, message = pcall(load("local tls, o = ... tls.context(o)", "=call"),
      tls, options)
    lu.assertFalse(ok)
    lu.assertStrContains(message, "call:1: bad argument #1 to 'context' (")
    lu.assertStrContains(message, problem)
  end

  raises("table expected, got number", 1)
  raises("unknown option 'sni_'", { sni_ = {} })
  raises("unknown option [1]", { "x" })
  raises("option 'cert': string", { cert = 1 })
  raises("option 'cert': string without NUL", { cert = "a\0b" })
  raises("option 'key' needs 'cert'", { key = "x" })
  raises("option 'verify': boolean", { verify = "no" })
  raises("option 'verify_client' needs 'client_ca'", { verify_client = true })
  raises("option 'verify_client' needs 'client_ca'",
    { verify_client = "optional" })
  raises("option 'client_ca' needs 'verify_client'",
    { verify_client = false, client_ca = "x" })
  raises("boolean or 'optional'", { verify_client = "never", client_ca = "x" })
  raises("option 'min_version': '1.2' or '1.3' expected", { min_version = "1.1" })
  raises("option 'max_version'", { max_version = 1.3 })
  raises("'min_version' is above 'max_version'",
    { min_version = "1.3", max_version = "1.2" })
  for _, alpn in ipairs({ "h2", {}, { "" }, { 1 }, { ("x"):rep(256) } }) do
    raises("option 'alpn': list of strings", { alpn = alpn })
  end
  raises("option 'sni': table expected, beside 'cert'", { sni = {} })
  for _, sni in ipairs({ { {} }, { a = "x" }, { a = {} }, { a = { cert = 1 } } }) do
    raises("option 'sni': table of {cert =, key =}", of("server", { sni = sni }))
  end
  raises("option 'handshake_timeout'", { handshake_timeout = -1 })
  raises("option 'max_handshakes'", { max_handshakes = 0 })
end

function TestContext:test_misuse_raises_at_the_line_of_the_call()
  local a, b = pair()
  local listener = testing.listener()
  local trusted = assert(tls.context(trusting("ca")))
  local function raises(problem, call, ...)
    local ok, message = pcall(load("local a, tls, net = ... " .. call, "=call"),
      ...)
    lu.assertFalse(ok, call)
    local expected = "call:1: " .. problem
    lu.assertEquals(message:sub(1, #expected), expected)
  end

  raises("bad argument #1 to 'starttls' (table, true or TLS context expected, " ..
    "got nil)", "a:starttls()", a)
  raises("bad argument #1 to 'starttls' (unknown option 'x'; there are alpn, ",
    "a:starttls({ x = 1 })", a)
  raises("bad argument #1 to 'starttls' (option 'server_name': string expected, " ..
    "got number)", "a:starttls({ server_name = 1 })", a)
  raises("'starttls' needs the option 'server_name', or verify = false",
    "a:starttls(true)", a)
  raises("bad argument #1 to 'starttls' (option 'context': TLS context " ..
    "expected, got number)", "a:starttls({ context = 1 })", a)
  raises("bad argument #1 to 'starttls' (option 'ca' beside 'context')",
    "a:starttls({ context = tls, ca = 'x' })", a, trusted)
  raises("bad argument #2 to 'client' (table, true or TLS context expected, " ..
    "got number)", "tls.client(a, 5)", a, tls)
  raises("bad argument #1 to 'client' (stream expected, got number)",
    "tls.client(5, true)", a, tls)
  raises("bad argument #1 to 'server' (stream expected, got nil)",
    "tls.server(nil, {})", a, tls)
  raises("bad argument #2 to 'server' (no certificate)",
    "tls.server(a, {})", a, tls)
  raises("bad argument #2 to 'listener' (no certificate)",
    "tls.listener(a, {})", listener, tls)
  raises("bad argument #2 to 'listen' (option 'tls': no certificate)",
    "net.listen('127.0.0.1:0', { tls = {} })", a, tls, net)
  raises("bad argument #2 to 'connect' (option 'tls': unknown option 'y'; there are ",
    "net.connect('127.0.0.1:1', { tls = { y = 1 } })", a, tls, net)
  raises("bad argument #2 to 'connect' (unknown option 'tsl'; there are ",
    "net.connect('127.0.0.1:1', { tsl = true })", a, tls, net)
  raises("'connect' needs the option 'server_name', or verify = false",
    "net.connect('unix:/nowhere', { tls = true })", a, tls, net)
  raises("bad argument #1 to 'reload' (unknown option 'z'; there are ",
    "tls:reload({ z = 1 })", a, trusted)
  lu.assertFalse(a:is_closed())
  a:write("plain")
  lu.assertEquals(b:read(), "plain")
  tls.listener(listener, server_context)
  raises("this listener has TLS already", "tls.listener(a, net)", listener,
    tls, server_context)
  raises("bad argument #1 to 'listener' (listener expected, got table)",
    "tls.listener({}, net)", a, tls, server_context)
  raises("this listener has TLS already",
    "net.serve(a, print, { tls = tls })", listener, server_context, net)
  listener:close()
  lu.assertEquals({ tls.listener(listener, server_context) },
    { nil, "closed", "ECLOSED" })
  a:shutdown()
  raises("this stream was shut down", "a:starttls({ verify = false })", a)
end

harness.run()
