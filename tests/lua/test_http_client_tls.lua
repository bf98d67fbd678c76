-- component: curl
-- The HTTP client over TLS, against the server of the same process.
local certificates = require("certificates")
local harness = require("harness")
local http = require("asyncrt.http")
local lu = require("luaunit")
local servers = require("http_servers")

local of, trusting = certificates.of, certificates.trusting
local failure = servers.failure

local function read(name)
  local file <close> = assert(io.open(certificates.path(name)))
  return file:read("a")
end

-- What a request says to a server with these options for TLS.
local function ask(server, client, host)
  local results
  servers.with_server(function(req, res)
    res:send("hello " .. req.path)
  end, function(url)
    if host then url = url:gsub("127%.0%.0%.1", host) end
    local res, message, code = http.get(url .. "/you", { tls = client })
    results = res and { res:read_all() } or { nil, message, code }
  end, { tls = server })
  return table.unpack(results, 1, 3)
end

TestTls = {}

function TestTls:test_a_good_certificate()
  local trust = trusting("ca")

  lu.assertEquals(ask(of("server"), trust), "hello /you")
  lu.assertEquals(ask(of("server"), trust, "localhost"), "hello /you")
  lu.assertEquals(ask(of("chain", { key = certificates.path("below.key") }),
    trust, "localhost"), "hello /you")
end

function TestTls:test_pem_as_text()
  lu.assertEquals(ask(of("server"), { ca = read("ca.pem") }), "hello /you")
end

function TestTls:test_bad_certificates()
  for code, case in pairs({
    ECERT_EXPIRED = { "expired", "ca", "localhost" },
    ECERT_HOST = { "named", "ca", "localhost" },
    ECERT_SELF_SIGNED = { "self", "ca", "localhost" },
    ECERT_UNKNOWN_CA = { "server", "other", "localhost" },
  }) do
    local got, message = failure(ask(of(case[1]), trusting(case[2]), case[3]))

    lu.assertEquals(got, code)
    lu.assertStrMatches(message, "get https://localhost:%d+/you: .+")
  end
  lu.assertEquals(failure(ask(of("server"), nil)), "ECERT_UNKNOWN_CA")
end

function TestTls:test_any_certificate_where_that_is_wanted()
  lu.assertEquals(ask(of("expired"), { verify = false }), "hello /you")
  lu.assertEquals(failure(ask(of("expired"), { verify = true })),
    "ECERT_UNKNOWN_CA")
end

function TestTls:test_a_client_with_a_certificate()
  local server = of("server", { client_ca = certificates.path("ca.pem") })

  lu.assertEquals(ask(server, of("client", trusting("ca"))), "hello /you")
  lu.assertEquals(ask(server, {
    ca = read("ca.pem"), cert = read("client.pem"), key = read("client.key"),
  }), "hello /you")
  lu.assertNil(ask(server, trusting("ca")))
end

function TestTls:test_a_key_with_a_password()
  local server = of("server")
  local given = trusting("ca", {
    cert = certificates.path("server.pem"),
    key = certificates.path("locked.key"),
    password = "secret",
  })

  lu.assertEquals(ask(server, given), "hello /you")
end

function TestTls:test_files_that_are_not_there()
  lu.assertEquals(failure(ask(of("server"), { ca = "/nowhere" })), "ECERT")
  lu.assertEquals(failure(ask(of("server"), trusting("ca", {
    cert = "/nowhere", key = "/nowhere",
  }))), "ECERT")
end

function TestTls:test_connections_of_other_options_are_not_shared()
  servers.with_server(function(_, res) res:send("hello") end, function(url)
    local client <close> = http.client()
    local trust = { tls = trusting("ca") }

    lu.assertEquals(client:get(url, trust):read_all(), "hello")
    lu.assertEquals(failure(client:get(url)), "ECERT_UNKNOWN_CA")
    lu.assertEquals(client:get(url, trust):read_all(), "hello")
    lu.assertEquals(client:stats().connections, 1)
  end, { tls = of("server") })
end

function TestTls:test_a_server_that_speaks_no_tls()
  servers.with_sockets(function(conn)
    conn:read()
    conn:write("HTTP/1.1 400 Bad Request\r\n\r\n")
  end, function(url)
    lu.assertEquals(failure(http.get((url:gsub("http", "https")))), "ETLS")
  end)
end

function TestTls:test_a_body_that_is_cut_off()
  -- Neither a length nor the end of TLS says that this is all.
  for _, framing in ipairs({ "", "Content-Length: 100\r\n",
    "Transfer-Encoding: chunked\r\n" }) do
    local net = require("asyncrt.net")
    local rt = require("asyncrt")
    local listener = assert(net.listen("127.0.0.1:0", { tls = of("server") }))
    local task = rt.spawn(net.serve, listener, function(conn)
      conn:read_until("\r\n\r\n")
      conn:write(servers.OK .. framing .. "\r\n")
      conn:write(framing:find("chunked") and "5\r\nhello\r\n" or "hello")
      conn:flush()
      conn:reset()
    end, { on_error = "collect" })
    local res, _, code = http.get("https://" .. listener:address(), {
      tls = trusting("ca"),
    })
    if res then code = failure(res:read_all()) end
    task:cancel()
    task:join()

    lu.assertTableContains({ "ETRUNCATED", "ECONNRESET" }, code)
  end
end

harness.run()
