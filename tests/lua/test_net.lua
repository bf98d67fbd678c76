-- Sockets: addresses, listening, connecting, accepting and serving.
local harness = require("harness")
local lu = require("luaunit")
local net = require("asyncrt.net")
local rt = require("asyncrt")
local testing = require("asyncrt.testing")

local LOOPBACK = "127.0.0.1:0"

local function yield(times)
  for _ = 1, times or 3 do rt.yield() end
end

-- A path for a socket; nothing is there.
local function socket_path()
  local path = os.tmpname()
  os.remove(path)
  return path
end

-- The error names the caller's line, the function and the argument.
local function assert_raises(name, problem, ...)
  local call = "local net = ... net." .. name .. "(select(2, ...))"
  local expected = "call:1: " .. problem

  local ok, message = pcall(load(call, "=call"), net, ...)

  lu.assertFalse(ok)
  lu.assertEquals(message:sub(1, #expected), expected)
end

TestAddress = {}

function TestAddress:test_malformed_addresses_raise()
  local problems = {
    [""] = "no port",
    ["127.0.0.1"] = "no port",
    ["host"] = "no port",
    ["host:"] = "the port is no number from 0 to 65535",
    ["host:http"] = "the port is no number from 0 to 65535",
    ["host:-1"] = "the port is no number from 0 to 65535",
    ["host:+1"] = "the port is no number from 0 to 65535",
    ["host: 1"] = "the port is no number from 0 to 65535",
    ["host:65536"] = "the port is no number from 0 to 65535",
    ["host:80.5"] = "the port is no number from 0 to 65535",
    ["host:99999999999999999999"] = "the port is no number from 0 to 65535",
    ["::1:80"] = "an IPv6 address needs brackets",
    ["[::1]"] = "the port is no number from 0 to 65535",
    ["[localhost]:80"] = "no IPv6 address in brackets",
    ["[::zz]:80"] = "no host name or address",
    ["a b:80"] = "no host name or address",
    ["http://host:80"] = "an IPv6 address needs brackets",
    [("h"):rep(300) .. ":80"] = "the host name is too long",
    ["unix:"] = "the path is empty",
    ["unix:" .. ("p"):rep(200)] = "the path is too long",
    ["fd:"] = "a descriptor number is expected",
    ["fd:x"] = "a descriptor number is expected",
    ["fd:1"] = "descriptors 0 to 2 are the standard streams",
  }
  for address, problem in pairs(problems) do
    for _, name in ipairs({ "listen", "connect", "connect_evt" }) do
      assert_raises(name, ("bad argument #1 to '%s' (address '%s': %s")
        :format(name, address, problem), address)
    end
  end
end

function TestAddress:test_what_is_no_string_raises()
  for _, value in ipairs({ 80, {}, true, 1.5, -1, 0 / 0 }) do
    assert_raises("listen", "bad argument #1 to 'listen' (string expected, got",
      value)
  end
  assert_raises("connect",
    "bad argument #1 to 'connect' (string expected, got no value")
  assert_raises("connect", "bad argument #1 to 'connect' (embedded NUL",
    "127.0.0.1\0:80")
end

function TestAddress:test_no_host_is_the_loopback_interface()
  local listener <close> = assert(net.listen(":0"))

  lu.assertStrMatches(listener:address(), "127%.0%.0%.1:%d+")
end

function TestAddress:test_ipv6_has_brackets()
  local listener <close> = assert(net.listen("[::1]:0"))
  lu.assertStrMatches(listener:address(), "%[::1%]:%d+")

  local conn <close> = assert(net.connect(listener:address()))

  lu.assertEquals(conn:peer(), listener:address())
end

function TestAddress:test_the_ends_agree_on_their_addresses()
  local listener <close> = assert(net.listen(LOOPBACK))
  local a <close> = assert(net.connect(listener:address()))
  local b <close> = assert(listener:accept())

  lu.assertEquals(a:peer(), listener:address())
  lu.assertEquals(b:address(), listener:address())
  lu.assertEquals(a:address(), b:peer())
  lu.assertEquals(tostring(b), "stream (" .. a:address() .. ")")
  lu.assertEquals(tostring(listener), "listener (" .. listener:address() .. ")")
end

function TestAddress:test_a_wildcard_takes_both_families()
  local listener <close> = assert(net.listen("[::]:0"))
  local port = listener:address():match("%d+$")

  local four <close> = assert(net.connect("127.0.0.1:" .. port))
  local six <close> = assert(net.connect("[::1]:" .. port))

  local first <close> = assert(listener:accept())
  lu.assertEquals(first:peer(),
    "[::ffff:127.0.0.1]:" .. four:address():match("%d+$"))
  local second <close> = assert(listener:accept())
  lu.assertEquals(second:peer(), six:address())
end

TestUnix = {}

function TestUnix:test_a_path_is_removed_with_its_listener()
  local path = socket_path()
  local listener = assert(net.listen("unix:" .. path))
  lu.assertEquals(listener:address(), "unix:" .. path)
  local conn <close> = assert(net.connect("unix:" .. path))
  local accepted <close> = assert(listener:accept())
  lu.assertEquals(conn:peer(), "unix:" .. path)
  lu.assertEquals(accepted:peer(), "unix:" .. path)

  listener:close()

  lu.assertNil(io.open(path))
  lu.assertEquals(select(3, net.connect("unix:" .. path)), "ENOENT")
end

function TestUnix:test_a_path_in_use_is_left_alone()
  local address = "unix:" .. socket_path()
  local first <close> = assert(net.listen(address))

  local other, message, code = net.listen(address)

  lu.assertNil(other)
  lu.assertEquals(message, "listen " .. address .. ": address already in use")
  lu.assertEquals(code, "EADDRINUSE")
  assert(net.connect(address)):close()
  assert(first:accept()):close()
end

function TestUnix:test_what_a_dead_server_left_is_replaced()
  local path = socket_path()
  local address = "unix:" .. path
  local dead = assert(net.listen(address))
  os.rename(path, path .. ".kept")
  dead:close()
  os.rename(path .. ".kept", path)
  lu.assertEquals(select(3, net.connect(address)), "ECONNREFUSED")

  local successor <close> = assert(net.listen(address))

  assert(net.connect(address)):close()
  assert(successor:accept()):close()
end

function TestUnix:test_a_file_is_not_replaced()
  local path = os.tmpname()

  lu.assertEquals(select(3, net.listen("unix:" .. path)), "EADDRINUSE")

  lu.assertNotNil(io.open(path))
  os.remove(path)
end

function TestUnix:test_an_abstract_name()
  local address = harness.abstract_address()
  local listener <close> = assert(net.listen(address))
  lu.assertEquals(listener:address(), address)

  local conn <close> = assert(net.connect(address))

  lu.assertEquals(conn:peer(), address)
  lu.assertEquals(select(3, conn:nodelay(true)), "ENOTSUP")
  lu.assertEquals(select(3, conn:keepalive(1)), "ENOTSUP")
end

TestListen = {}

function TestListen:test_a_used_port_is_an_error()
  local listener <close> = assert(net.listen(LOOPBACK))
  local address = listener:address()

  local other, message, code = net.listen(address)

  lu.assertNil(other)
  lu.assertEquals(message, "listen " .. address .. ": address already in use")
  lu.assertEquals(code, "EADDRINUSE")
end

function TestListen:test_reuseport_shares_a_port()
  local listener <close> = assert(net.listen(LOOPBACK, { reuseport = true }))

  local other <close> = assert(
    net.listen(listener:address(), { reuseport = true }))

  lu.assertEquals(other:address(), listener:address())
end

function TestListen:test_a_host_name_is_looked_up()
  local listener <close> = assert(net.listen("localhost:0"))

  lu.assertStrMatches(listener:address(), ".*:%d+")
  lu.assertEquals(select("#", net.listen("no-such-host.invalid:0")), 3)
end

function TestListen:test_wrong_options_raise()
  local function raises(problem, options)
    assert_raises("listen", "bad argument #2 to 'listen' (" .. problem,
      LOOPBACK, options)
  end

  raises("unknown option 'backlock'", { backlock = 5 })
  raises("option 'backlog': integer from 1 to 65535 expected, got 0",
    { backlog = 0 })
  raises("option 'reuseport': boolean expected, got 1", { reuseport = 1 })
  raises("option 'max_connections'", { max_connections = 1.5 })
  raises("table expected, got number", 5)
end

function TestListen:test_a_closed_listener_says_closed()
  local listener = assert(net.listen(LOOPBACK))
  local waiting = rt.spawn(listener.accept, listener)
  local selecting = rt.spawn(rt.select, { l = listener, t = 5 })
  yield()

  lu.assertEquals(listener:close(), true)

  lu.assertEquals({ waiting:join() }, { true, nil, "closed", "ECLOSED" })
  lu.assertEquals({ selecting:join() }, { true, "l", nil, "closed", "ECLOSED" })
  lu.assertEquals(listener:close(), true)
  lu.assertTrue(listener:is_closed())
  lu.assertEquals({ listener:accept() }, { nil, "closed", "ECLOSED" })
  lu.assertEquals({ listener:address() }, { nil, "closed", "ECLOSED" })
  lu.assertEquals({ rt.poll({ listener }) }, { 1, nil, "closed", "ECLOSED" })
  for _ in listener:accepts() do lu.fail("no connection expected") end
end

TestAccept = {}

function TestAccept:setUp()
  self.listener = assert(net.listen(LOOPBACK))
  self.address = self.listener:address()
end

function TestAccept:tearDown()
  self.listener:close()
end

function TestAccept:test_a_losing_accept_leaves_the_connection()
  local waiter = rt.spawn(rt.select, { conn = self.listener, t = 0 })
  waiter:join()
  local conn <close> = assert(net.connect(self.address))
  local arms = { conn = self.listener, now = rt.always("now") }

  local accepted
  for _ = 1, 50 do
    local key, value = rt.select(arms)
    if key == "conn" then
      accepted = value
      break
    end
  end
  accepted = accepted or self.listener:accept()

  conn:write("hi")
  lu.assertEquals(accepted:read(), "hi")
  accepted:close()
end

function TestAccept:test_several_tasks_accept_in_turn()
  local got = {}
  local acceptors = {}
  for i = 1, 4 do
    acceptors[i] = rt.spawn(function()
      local conn <close> = assert(self.listener:accept())
      got[#got + 1] = i
      conn:write(tostring(i))
    end)
  end
  yield()

  local conns = {}
  for i = 1, 4 do conns[i] = assert(net.connect(self.address)) end
  for _, acceptor in ipairs(acceptors) do acceptor:await() end

  lu.assertEquals(got, { 1, 2, 3, 4 })
  for i, conn in ipairs(conns) do
    lu.assertEquals(conn:read_all(), tostring(i))
    conn:close()
  end
end

function TestAccept:test_tasks_and_selects_share_a_burst()
  local served = 0
  local tasks <close> = rt.group()
  for i = 1, 20 do
    tasks:spawn(function()
      local conn
      if i % 2 == 0 then
        conn = assert(self.listener:accept())
      else
        conn = assert(select(2, rt.select({ self.listener, rt.never })))
      end
      served = served + 1
      conn:close()
    end)
  end
  for _ = 1, 20 do
    tasks:spawn(function()
      local conn <close> = assert(net.connect(self.address))
      lu.assertNil(conn:read())
    end)
  end

  tasks:wait()

  lu.assertEquals(served, 20)
end

function TestAccept:test_a_cancelled_accept_gives_its_place_up()
  local first = rt.spawn(self.listener.accept, self.listener)
  local second = rt.spawn(self.listener.accept, self.listener)
  yield()
  first:cancel()
  first:join()

  local conn <close> = assert(net.connect(self.address))

  local accepted <close> = second:await()
  lu.assertEquals(accepted:peer(), conn:address())
end

function TestAccept:test_an_iteration_ends_with_the_listener()
  local count = 0
  local acceptor = rt.spawn(function()
    for conn in self.listener:accepts() do
      count = count + 1
      conn:close()
    end
  end)
  for _ = 1, 3 do
    local conn <close> = assert(net.connect(self.address))
    conn:read()
  end

  self.listener:close()

  acceptor:await()
  lu.assertEquals(count, 3)
end

function TestAccept:test_a_break_out_of_an_iteration_leaves_the_rest()
  local kept = {}
  local first <close> = assert(net.connect(self.address))
  local second <close> = assert(net.connect(self.address))
  for conn in self.listener:accepts() do
    kept[#kept + 1] = function() return conn end -- captures the variable
    if #kept == 1 then break end
  end

  local accepted <close> = assert(self.listener:accept())

  lu.assertEquals(kept[1]():peer(), first:address())
  lu.assertEquals(accepted:peer(), second:address())
  kept[1]():close()
end

function TestAccept:test_connections_beyond_the_limit_wait()
  local listener <close> = assert(net.listen(LOOPBACK, { max_connections = 2 }))
  local clients = {}
  for i = 1, 3 do clients[i] = assert(net.connect(listener:address())) end
  local one, two = listener:accept(), listener:accept()
  local third = rt.spawn(listener.accept, listener)
  lu.assertEquals(rt.sync_timeout(0.02, third), nil)

  one:close()

  local accepted <close> = third:await()
  lu.assertEquals(accepted:peer(), clients[3]:address())
  two:close()
  for _, client in ipairs(clients) do client:close() end
end

function TestAccept:test_a_client_that_left_before_is_accepted()
  assert(net.connect(self.address)):reset()
  local conn <close> = assert(net.connect(self.address))
  conn:write("x")

  local got
  repeat
    local accepted <close> = assert(self.listener:accept())
    got = accepted:read()
  until got

  lu.assertEquals(got, "x")
end

TestConnect = {}

function TestConnect:test_a_refusal_names_the_address()
  local listener = assert(net.listen(LOOPBACK))
  local address = listener:address()
  listener:close()

  local conn, message, code = net.connect(address)

  lu.assertNil(conn)
  lu.assertEquals(message, "connect " .. address .. ": connection refused")
  lu.assertEquals(code, "ECONNREFUSED")
end

function TestConnect:test_all_addresses_of_a_name_are_tried()
  local listener <close> = assert(net.listen(LOOPBACK))
  local port = listener:address():match("%d+$")

  local conn <close> = assert(net.connect("localhost:" .. port))

  lu.assertEquals(conn:peer(), "127.0.0.1:" .. port)
end

function TestConnect:test_an_unknown_name_is_an_error()
  local conn, message, code = net.connect("no-such-host.invalid:80")

  lu.assertNil(conn)
  lu.assertStrContains(message, "connect no-such-host.invalid:80: ")
  lu.assertStrMatches(code, "E.*")
end

function TestConnect:test_a_time_limit()
  local conn, message, code = net.connect("127.0.0.1:9", { timeout = 0 })

  lu.assertNil(conn)
  lu.assertEquals(message, "connect 127.0.0.1:9: connection timed out")
  lu.assertEquals(code, "ETIMEDOUT")
end

function TestConnect:test_a_local_address()
  local listener <close> = assert(net.listen(LOOPBACK))

  local conn <close> = assert(
    net.connect(listener:address(), { local_address = "127.0.0.2" }))

  lu.assertStrMatches(conn:address(), "127%.0%.0%.2:%d+")
  lu.assertEquals(
    select(3, net.connect(listener:address(), { local_address = "::1" })),
    "EADDRNOTAVAIL")
end

function TestConnect:test_wrong_options_raise()
  local function raises(problem, options)
    assert_raises("connect", "bad argument #2 to 'connect' (" .. problem,
      "127.0.0.1:9", options)
  end

  raises("unknown option 'time'", { time = 1 })
  raises("option 'timeout'", { timeout = -1 })
  raises("option 'timeout'", { timeout = 0 / 0 })
  raises("option 'local_address'", { local_address = "host" })
end

function TestConnect:test_a_losing_connect_closes_its_socket()
  local listener <close> = assert(net.listen(LOOPBACK))
  local event = net.connect_evt(listener:address())

  lu.assertEquals(rt.select({ event, rt.always("now") }), 2)
  lu.assertEquals(rt.select({ event, now = rt.after(0) }), "now")

  local key, conn = rt.select({ event, t = 5 })
  lu.assertEquals(key, 1)
  conn:write("x")
  conn:close()
  local got
  repeat
    local accepted <close> = assert(listener:accept())
    got = accepted:read()
  until got
  lu.assertEquals(got, "x")
end

function TestConnect:test_a_cancelled_connect_leaves_nothing()
  local listener <close> = assert(net.listen(LOOPBACK))
  local tasks = {}
  for i = 1, 20 do
    tasks[i] = rt.spawn(net.connect, listener:address())
  end
  yield(1)
  for _, task in ipairs(tasks) do task:cancel() end
  for _, task in ipairs(tasks) do
    local ok, conn = task:join()
    if ok then conn:close() end
  end

  local conn <close> = assert(net.connect(listener:address()))

  lu.assertFalse(conn:is_closed())
end

function TestConnect:test_options_of_a_connection()
  local listener <close> = assert(net.listen(LOOPBACK))
  local conn <close> = assert(net.connect(listener:address()))

  lu.assertEquals(conn:nodelay(), true)
  lu.assertEquals(conn:nodelay(false), true)
  lu.assertEquals(conn:keepalive(60), true)
  lu.assertEquals(conn:keepalive(0.5), true)
  lu.assertEquals(conn:keepalive(0), true)
  lu.assertEquals(conn:keepalive(false), true)
end

function TestConnect:test_a_descriptor_number_that_is_reused()
  local listener <close> = assert(net.listen(LOOPBACK))
  local address = listener:address()

  -- Every round closes two sockets and opens two with the same numbers, while
  -- events of the closed ones are under way.
  for _ = 1, 200 do
    local a, b = assert(net.connect(address)), assert(listener:accept())
    local reader = rt.spawn(a.read, a)
    yield(1)
    b:write("stale")
    a:close()
    b:close()
    local c, d = assert(net.connect(address)), assert(listener:accept())
    d:write("fresh")
    lu.assertEquals(c:read(), "fresh")
    c:close()
    d:close()
    reader:join()
  end
end

TestServe = {}

local function start(...)
  local listener = assert(net.listen(LOOPBACK))
  local server = rt.spawn(net.serve, listener, ...)
  return server, listener:address(), listener
end

-- Runs f while what is written to stderr by the library is of no interest.
local function echo(conn)
  for line in conn:lines() do
    if line == "fail" then error("on request", 0) end
    conn:write(line .. "\n")
  end
end

function TestServe:test_each_connection_has_its_task()
  local server, address = start(echo)
  local conns = {}
  for i = 1, 5 do conns[i] = assert(net.connect(address)) end

  for i = 5, 1, -1 do
    conns[i]:write(i .. "\n")
    lu.assertEquals(conns[i]:read_line(), tostring(i))
  end

  for _, conn in ipairs(conns) do conn:close() end
  server:cancel()
  server:join()
end

function TestServe:test_a_connection_is_closed_after_its_handler()
  local server, address = start(function(conn) conn:write("bye") end)

  local conn <close> = assert(net.connect(address))

  lu.assertEquals(conn:read_all(), "bye")
  server:cancel()
  server:join()
end

function TestServe:test_an_error_ends_its_connection_only()
  local errors = {}
  local server, address = start(echo, {
    on_error = function(err) errors[#errors + 1] = err end,
  })
  local good <close> = assert(net.connect(address))
  local bad <close> = assert(net.connect(address))

  bad:write("fail\n")
  lu.assertNil(bad:read())

  good:write("on\n")
  lu.assertEquals(good:read_line(), "on")
  lu.assertEquals(errors, { "on request" })
  server:cancel()
  server:join()
end

function TestServe:test_cancelled_it_lets_handlers_finish()
  local release = rt.event()
  local server, address = start(function(conn)
    conn:write("hello\n")
    release:wait()
    conn:write("done\n")
  end)
  local conn <close> = assert(net.connect(address))
  conn:read_line()

  server:cancel()
  yield()

  lu.assertEquals(select(3, net.connect(address)), "ECONNREFUSED")
  release:set()
  lu.assertEquals(conn:read_all(), "done\n")
  server:join()
end

function TestServe:test_cancelled_it_cancels_handlers_after_the_drain_time()
  local server, address = start(echo, { drain = 0.01 })
  local conn <close> = assert(net.connect(address))
  conn:write("x\n")
  conn:read_line()

  server:cancel()
  server:join()

  lu.assertNil(conn:read())
end

function TestServe:test_a_closed_listener_ends_it_after_the_handlers()
  local server, address, listener = start(echo)
  local conn <close> = assert(net.connect(address))
  conn:write("x\n")
  conn:read_line()

  listener:close()
  yield()
  lu.assertEquals(server:status(), "waiting")
  conn:write("y\n")
  lu.assertEquals(conn:read_line(), "y")
  conn:close()

  lu.assertEquals({ server:join() }, { true })
end

function TestServe:test_no_more_connections_than_allowed()
  local open, most = 0, 0
  local server, address = start(function(conn)
    open = open + 1
    most = math.max(most, open)
    yield(5)
    conn:write("x")
    open = open - 1
  end, { max_connections = 3 })

  local clients <close> = rt.group()
  for _ = 1, 12 do
    clients:spawn(function()
      local conn <close> = assert(net.connect(address))
      lu.assertEquals(conn:read_all(), "x")
    end)
  end
  clients:wait()

  lu.assertEquals(most, 3)
  server:cancel()
  server:join()
end

function TestServe:test_an_idle_connection_times_out()
  local message
  local server, address = start(function(conn)
    message = select(2, conn:read())
  end, { timeout = 0.01 })

  local conn <close> = assert(net.connect(address))

  lu.assertNil(conn:read())
  lu.assertStrContains(message, "timed out")
  server:cancel()
  server:join()
end

function TestServe:test_it_serves_an_in_memory_listener()
  local listener = testing.listener()
  local server = rt.spawn(net.serve, listener, echo)
  local conn <close> = assert(listener:dial())

  conn:write("hi\n")

  lu.assertEquals(conn:read_line(), "hi")
  conn:close()
  server:cancel()
  server:join()
  lu.assertEquals(select(3, listener:dial()), "ECONNREFUSED")
end

function TestServe:test_it_raises_where_it_cannot_listen()
  local listener <close> = assert(net.listen(LOOPBACK))

  local address = listener:address()
  assert_raises("serve", "listen " .. address .. ": address already in use",
    address, echo)
  assert_raises("serve", "bad argument #1 to 'serve' (address 'h': no port",
    "h", echo)
end

function TestServe:test_what_cannot_be_called_is_no_handler()
  assert_raises("serve",
    "bad argument #2 to 'serve' (function expected, got no value)", LOOPBACK)
  assert_raises("serve",
    "bad argument #2 to 'serve' (function expected, got table)", LOOPBACK, {})
end

function TestServe:test_wrong_options_raise()
  assert_raises("serve", "bad argument #3 to 'serve' (unknown option 'drane'; " ..
    "there are drain, max_connections, on_error, timeout, tls)",
    LOOPBACK, echo, { drane = 1 })
  assert_raises("serve", "bad argument #3 to 'serve' (option 'drain'",
    LOOPBACK, echo, { drain = -1 })
  assert_raises("serve", "bad argument #3 to 'serve' (option 'max_connections'",
    LOOPBACK, echo, { max_connections = 0 })
end

function TestServe:test_no_limit_of_connections()
  local server, address = start(echo, { max_connections = math.huge })
  local conn <close> = assert(net.connect(address))

  conn:write("x\n")
  lu.assertEquals(conn:read_line(), "x")
  conn:close()
  server:cancel()
  server:join()
end

TestMany = {}

function TestMany:test_a_thousand_connections_at_once()
  local server, address = start(echo)
  local clients <close> = rt.group()
  for i = 1, 1000 do
    clients:spawn(function()
      local conn <close> = assert(net.connect(address))
      for _ = 1, 3 do
        conn:write(i .. "\n")
        lu.assertEquals(conn:read_line(), tostring(i))
      end
    end)
  end

  clients:wait()

  server:cancel()
  server:join()
end

TestLoop = {}

-- How often the loop went round in a twentieth of a second.
local function rounds()
  local ticks = rt.stats().ticks
  rt.sleep(0.05)
  return rt.stats().ticks - ticks
end

function TestLoop:test_it_sleeps_while_nobody_reads_what_came()
  local listener <close> = net.listen(LOOPBACK)
  local client <close> = net.connect(listener:address())
  local peer <close> = listener:accept()

  peer:write("xx")
  client:peek(1)
  rt.select({ client:read_exact_evt(3), timeout = 0.01 }) -- it is watched now
  peer:write("x")
  rt.sleep(0.01)
  lu.assertTrue(rounds() < 10)
  peer:shutdown()
  rt.sleep(0.01)
  lu.assertTrue(rounds() < 10)
  lu.assertEquals(client:read_all(), "xxx")
  lu.assertTrue(rounds() < 10)
end

harness.run()
