-- The HTTP server over real sockets: what clients do that go away, and what
-- reaches one that is still sending.
local harness = require("harness")
local http = require("asyncrt.http")
local lu = require("luaunit")
local net = require("asyncrt.net")
local rt = require("asyncrt")

local GET = "GET / HTTP/1.1\r\nHost: h\r\n\r\n"

-- A server and a connection to it, for the time of `use`.
local function with_server(address, handler, use)
  local listener = assert(net.listen(address))
  local task = rt.spawn(http.serve, listener, handler, { on_error = "fail" })
  local conn <close> = assert(net.connect(listener:address()))
  use(conn)
  conn:close()
  task:cancel()
  task:join()
end

-- A handler that says when it has begun, and why it was cancelled; it answers
-- once it is told to.
local function waiter()
  local self = { began = rt.event(), ended = rt.event(), go = rt.event() }
  return self, function(_, res)
    local _ <close> = setmetatable({}, { __close = function()
      self.reason = select(2, rt.cancelled())
      self.ended:set()
    end })
    self.began:set()
    self.go:wait()
    res:send("done")
  end
end

local addresses = {
  "127.0.0.1:0",
  harness.abstract_address(),
}

TestGone = {}

-- A client that leaves so while the handler is at work.
local function assert_leaving_cancels(how)
  for _, address in ipairs(addresses) do
    local state, handler = waiter()
    with_server(address, handler, function(conn)
      conn:write(GET)
      state.began:wait()

      conn[how](conn)

      state.ended:wait()
      lu.assertEquals(state.reason, "the client is gone")
    end)
  end
end

function TestGone:test_a_client_that_closes()
  assert_leaving_cancels("close")
end

function TestGone:test_a_client_that_resets()
  assert_leaving_cancels("reset")
end

function TestGone:test_a_client_whose_request_came_before_the_server()
  local state, handler = waiter()
  local listener = assert(net.listen("127.0.0.1:0"))
  local conn = assert(net.connect(listener:address()))
  conn:write(GET)
  conn:flush()
  local task = rt.spawn(http.serve, listener, handler, { on_error = "fail" })
  state.began:wait()

  conn:close()

  state.ended:wait()
  lu.assertEquals(state.reason, "the client is gone")
  task:cancel()
  task:join()
end

function TestGone:test_a_client_that_only_sends_no_more()
  for _, address in ipairs(addresses) do
    local state, handler = waiter()
    with_server(address, handler, function(conn)
      conn:write(GET)
      state.began:wait()
      conn:shutdown()
      lu.assertEquals(conn:read(), "HTTP/1.1 ") -- the server looks for us

      state.go:set()

      lu.assertStrMatches(conn:read_all(), "200 OK\r\n.*\r\n\r\ndone")
      state.ended:wait()
      lu.assertNil(state.reason)
    end)
  end
end

function TestGone:test_a_client_that_closes_between_chunks()
  local state, wait = waiter()
  with_server("127.0.0.1:0", function(req, res)
    res:write("one")
    wait(req, res)
  end, function(conn)
    conn:write(GET)
    conn:read_until("one\r\n")
    state.began:wait()

    conn:close()

    state.ended:wait()
    lu.assertEquals(state.reason, "the client is gone")
  end)
end

TestLinger = {}

function TestLinger:test_a_refusal_reaches_a_client_that_is_still_sending()
  with_server("127.0.0.1:0", function(_, res) res:send() end, function(conn)
    conn:write("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 20000000\r\n\r\n")
    lu.assertTrue(conn:write(("x"):rep(20000000)))
    lu.assertTrue(conn:flush())

    lu.assertStrMatches(conn:read_all(), "HTTP/1.1 413 Content Too Large\r\n.*")
  end)
end

harness.run()
