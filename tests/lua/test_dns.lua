-- Names and addresses of hosts; nothing outside this machine is asked.
local dns = require("asyncrt.dns")
local harness = require("harness")
local lu = require("luaunit")
local rt = require("asyncrt")

TestDns = {}

function TestDns:test_an_address_resolves_to_itself()
  lu.assertEquals(dns.resolve("127.0.0.1"), { "127.0.0.1" })
  lu.assertEquals(dns.resolve("::1"), { "::1" })
end

function TestDns:test_localhost_is_the_loopback_interface()
  lu.assertEquals(dns.resolve("localhost", { family = 4 }), { "127.0.0.1" })
end

function TestDns:test_an_unknown_host_is_an_error()
  local addresses, message, code = dns.resolve("no-such-host.invalid")

  lu.assertNil(addresses)
  lu.assertStrContains(message, "resolve no-such-host.invalid: ")
  lu.assertStrMatches(code, "E.*")
end

function TestDns:test_a_family_that_an_address_has_not_is_an_error()
  lu.assertNil(dns.resolve("127.0.0.1", { family = 6 }))
end

function TestDns:test_many_lookups_share_the_threads()
  local tasks = {}
  for i = 1, 100 do tasks[i] = rt.spawn(dns.resolve, "127.0.0." .. i) end

  for i, task in ipairs(tasks) do
    lu.assertEquals(task:await(), { "127.0.0." .. i })
  end
end

function TestDns:test_a_cancelled_lookup_is_abandoned()
  local tasks = {}
  for i = 1, 30 do tasks[i] = rt.spawn(dns.resolve, "localhost") end
  rt.yield()
  for _, task in ipairs(tasks) do task:cancel() end

  for _, task in ipairs(tasks) do
    local ok, value = task:join()
    lu.assertTrue(ok or value == "cancelled") -- some are quick
  end
  lu.assertEquals(dns.resolve("127.0.0.1"), { "127.0.0.1" })
end

function TestDns:test_an_address_has_a_name()
  local name, _, code = dns.reverse("127.0.0.1")

  if not name then lu.skip("127.0.0.1 has no name here: " .. code) end
  lu.assertEquals(type(name), "string")
end

function TestDns:test_wrong_arguments_raise()
  lu.assertErrorMsgContains("host name of 1 to 255 bytes", dns.resolve, "")
  lu.assertErrorMsgContains("host name of 1 to 255 bytes", dns.resolve,
    ("x"):rep(256))
  lu.assertErrorMsgContains("embedded NUL", dns.resolve, "a\0b")
  lu.assertErrorMsgContains("string expected", dns.resolve, 1)
  lu.assertErrorMsgContains("4 or 6 expected", dns.resolve, "a", { family = 5 })
  lu.assertErrorMsgContains("unknown option 'port'", dns.resolve, "a",
    { port = 1 })
  lu.assertErrorMsgContains("IP address without a port", dns.reverse, "host")
  lu.assertErrorMsgContains("IP address without a port", dns.reverse,
    "127.0.0.1:80")
end

harness.run()
