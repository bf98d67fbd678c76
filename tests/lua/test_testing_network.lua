-- asyncrt: --virtual-time --seed=3
-- The network in memory, in place of asyncrt.net.
local harness = require("harness")
local lu = require("luaunit")
local rt = require("asyncrt")
local testing = require("asyncrt.testing")

local function echo(conn)
  for line in conn:lines() do conn:write(line .. "!\n") end
end

TestNetwork = {}

function TestNetwork:test_what_listens_is_reached_by_its_address()
  local net = testing.network()
  local listener <close> = assert(net.listen("127.0.0.1:7000"))

  local conn <close> = assert(net.connect("localhost:7000"))
  local accepted <close> = listener:accept()

  conn:write("x")
  lu.assertEquals(accepted:read(), "x")
  lu.assertEquals(listener:address(), "127.0.0.1:7000")
  lu.assertEquals(conn:peer(), "127.0.0.1:7000")
  lu.assertEquals(accepted:address(), "127.0.0.1:7000")
end

function TestNetwork:test_port_0_is_a_free_port()
  local net = testing.network()
  local a <close> = assert(net.listen("127.0.0.1:0"))
  local b <close> = assert(net.listen(":0"))

  lu.assertEquals(a:address(), "127.0.0.1:49152")
  lu.assertEquals(b:address(), "127.0.0.1:49153")
  local conn <close> = assert(net.connect(b:address()))
  lu.assertEquals(conn:peer(), b:address())
end

function TestNetwork:test_a_path_is_an_address_too()
  local net = testing.network()
  local _ <close> = assert(net.listen("unix:/run/app:1"))

  lu.assertEquals(select(3, net.connect("unix:/run/app:2")), "ECONNREFUSED")
  local conn <close> = assert(net.connect("unix:/run/app:1"))
  lu.assertFalse(conn:is_closed())
end

function TestNetwork:test_an_address_is_listened_on_once_at_a_time()
  local net = testing.network()
  local listener = assert(net.listen("127.0.0.1:80"))

  lu.assertEquals({ net.listen("0.0.0.0:80") },
    { nil, "listen 0.0.0.0:80: address already in use", "EADDRINUSE" })
  listener:close()
  assert(net.listen("127.0.0.1:80")):close()
end

function TestNetwork:test_where_nothing_listens_it_is_refused()
  local net = testing.network()
  net.listen("127.0.0.1:80"):close()

  for _, address in ipairs({ "127.0.0.1:80", "127.0.0.1:81" }) do
    lu.assertEquals({ net.connect(address) },
      { nil, ("connect %s: connection refused"):format(address),
        "ECONNREFUSED" })
  end
end

function TestNetwork:test_two_networks_are_apart()
  local _ <close> = assert(testing.network().listen("127.0.0.1:80"))

  lu.assertNil((testing.network().connect("127.0.0.1:80")))
end

function TestNetwork:test_connecting_takes_the_way_there_and_back()
  local net = testing.network({ delay = 0.2 })
  local listener <close> = assert(net.listen(":80"))
  local start = rt.now()

  local conn <close> = assert(net.connect(":80"))
  lu.assertAlmostEquals(rt.now() - start, 0.4, 1e-9)
  local accepted <close> = listener:accept()
  conn:write("x")
  accepted:read()
  lu.assertAlmostEquals(rt.now() - start, 0.6, 1e-9)
end

function TestNetwork:test_connecting_is_an_event()
  local net = testing.network({ delay = 1 })
  local listener <close> = assert(net.listen(":80"))

  local key = rt.select({ conn = net.connect_evt(":80"), late = 1.5 })
  lu.assertEquals(key, "late")
  lu.assertNil(rt.poll({ listener })) -- the losing one has not connected
  local conn
  key, conn = rt.select({ conn = net.connect_evt(":80"), late = 2.5 })
  lu.assertEquals(key, "conn")
  conn:close()
  listener:accept():close()
end

function TestNetwork:test_a_server_runs_on_it()
  local net = testing.network({ split = true, delay = 0.01, jitter = 0.1 })
  local server = rt.spawn(net.serve, "127.0.0.1:7000", echo)
  rt.yield()

  local conn <close> = assert(net.connect("127.0.0.1:7000"))
  conn:write("hello\n")

  lu.assertEquals(conn:read_line(), "hello!")
  conn:close()
  server:cancel()
  server:join()
  lu.assertNil((net.connect("127.0.0.1:7000")))
end

function TestNetwork:test_misuse_raises()
  lu.assertErrorMsgContains("unknown option 'lag'", testing.network,
    { lag = 1 })
  local net = testing.network(5)
  lu.assertErrorMsgContains("bad argument #1 to 'listen'", net.listen, 80)
  lu.assertErrorMsgContains("bad argument #1 to 'connect'", net.connect)
  lu.assertErrorMsgContains("bad argument #1 to 'connect_evt'",
    net.connect_evt)
  lu.assertErrorMsgContains("option 'address': string expected",
    testing.listener, { address = 1 })
  lu.assertErrorMsgContains("unknown option 'address'", testing.stream_pair,
    { address = "x" })
end

harness.run()
