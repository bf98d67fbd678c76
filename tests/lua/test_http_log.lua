-- asyncrt: --virtual-time
-- The access log of the HTTP server.
local harness = require("harness")
local http = require("asyncrt.http")
local log = require("asyncrt.http.log")
local lu = require("luaunit")
local rt = require("asyncrt")
local testing = require("asyncrt.testing")

local GET = "GET /a?b=c HTTP/1.1\r\nHost: h\r\n\r\n"
local DATE = "[01/Jan/2000:00:00:00 +0000]"

local function hello(_, res)
  res:send("hello")
end

-- What is logged of a client that sends these bytes; `use` may do more.
local function log_of(bytes, handler, options, use)
  local lines = {}
  options = options or {}
  options.on_error = "collect"
  options.access_log = options.access_log or
    function(line) lines[#lines + 1] = line:gsub("%[%d.-%]", DATE) end
  local listener = testing.listener({ address = "[::1]:80" })
  local task = rt.spawn(http.serve, listener, handler, options)
  local conn <close> = listener:dial()
  assert(conn:write(bytes))
  if use then
    use(conn)
  else
    assert(conn:shutdown())
    conn:read_all()
  end
  task:cancel()
  task:join()
  return lines
end

TestFormat = {}

function TestFormat:test_common()
  local lines = log_of(GET .. GET, hello)

  lu.assertEquals(lines[1], 'memory - - ' .. DATE .. ' "GET /a?b=c HTTP/1.1" 200 5')
  lu.assertEquals(#lines, 2)
end

-- The head was understood, and says where the large body would have gone.
function TestFormat:test_a_body_that_is_too_long()
  local head = "POST /up HTTP/1.1\r\nHost: h\r\n"
  for _, rest in ipairs({ "Content-Length: 9\r\n\r\n",
    "Transfer-Encoding: chunked\r\n\r\n9\r\n123456789\r\n0\r\n\r\n" }) do
    local lines = log_of(head .. rest, function(req) req:read_all() end, { max_body = 8 })

    lu.assertEquals(lines, { 'memory - - ' .. DATE .. ' "POST /up HTTP/1.1" 413 22' })
  end
end

function TestFormat:test_combined()
  local lines = log_of("GET / HTTP/1.0\r\nReferer: http://x/\r\nUser-Agent: a b\r\n\r\n",
    function(req, res)
      req.user = "joe doe"
      res.status = 404
      res:write("no")
      res:write("ne")
    end, { log_format = "combined" })

  lu.assertEquals(lines, { 'memory - joe\\x20doe ' .. DATE .. ' "GET / HTTP/1.0" 404 4 "http://x/" "a b"' })
end

function TestFormat:test_ones_own()
  local seen
  local lines = log_of(GET, function(_, res)
    rt.sleep(2)
    res:send("hello")
  end, { log_format = function(entry)
    seen = entry
    return "one\ntwo\27[2J\tthree"
  end })

  lu.assertEquals(lines, { "one\\x0Atwo\\x1B[2J\tthree" })
  lu.assertEquals({ seen.status, seen.bytes, seen.seconds, seen.complete, seen.request.path },
    { 200, 5, 2.0, true, "/a" })
end

function TestFormat:test_nothing_gets_out_of_its_field()
  local agent = 'x" 500 0 "\\"\t\127\128\r\n 1.2.3.4 - -'
  local lines = log_of(GET, function(req, res)
    req.headers["user-agent"] = agent
    req.target = '/\n"'
    res:send()
  end, { log_format = "combined" })

  lu.assertEquals(lines, { "memory - - " .. DATE .. ' "GET /\\x0A\\" HTTP/1.1" 200 0 "-" '
    .. '"x\\" 500 0 \\"\\\\\\"\\x09\\x7F\\x80\\x0D\\x0A 1.2.3.4 - -"' })
end

function TestFormat:test_addresses()
  for peer, host in pairs({ ["127.0.0.1:8080"] = "127.0.0.1", ["[::1]:80"] = "::1", ["unix:/a\n"] = "unix:/a\\x0A" }) do
    lu.assertEquals(log.host_of(peer), host)
  end
end

TestEnd = {}

function TestEnd:test_what_was_not_understood()
  local lines = log_of("GET / HTTP/1.1\r\nHost : h\r\n\r\n", hello)

  lu.assertEquals(lines, { "memory - - " .. DATE .. ' "-" 400 16' })
end

function TestEnd:test_an_error()
  local lines = log_of(GET, function() error("oops") end)

  lu.assertEquals(lines, { "memory - - " .. DATE .. ' "GET /a?b=c HTTP/1.1" 500 26' })
end

function TestEnd:test_an_error_in_the_middle()
  local complete
  log_of(GET, function(_, res)
    res:write("abc")
    error("oops")
  end, { log_format = function(entry)
    complete = { entry.status, entry.bytes, entry.complete }
    return ""
  end })

  lu.assertEquals(complete, { 200, 3, false })
end

function TestEnd:test_a_client_that_is_gone()
  local lines = log_of(GET, function() rt.sleep(100) end, nil, function(conn)
    rt.sleep(1)
    conn:close()
    rt.sleep(1)
  end)

  lu.assertEquals(lines, { "memory - - " .. DATE .. ' "GET /a?b=c HTTP/1.1" 499 0' })
end

function TestEnd:test_a_connection_that_is_cancelled_after_its_last_response()
  local lines = log_of("GET /a HTTP/1.0\r\n\r\n", hello, { drain = 1 }, function(conn)
    conn:read_until("hello")
  end)

  lu.assertEquals(#lines, 1)
end

function TestEnd:test_an_upgrade()
  local lines = log_of("GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", function(_, res)
    res:upgrade("x"):read_all()
  end)

  lu.assertEquals(lines, { "memory - - " .. DATE .. ' "GET / HTTP/1.1" 101 0' })
end

TestStream = {}

function TestStream:test_lines_come_out_in_order()
  local sink, source <close> = testing.stream_pair()
  local lines = {}
  local reader = rt.spawn(function()
    for line in source:lines() do lines[#lines + 1] = line:match('"GET (%S*)') end
  end)

  local requests = {}
  for i = 1, 50 do requests[i] = ("GET /%d HTTP/1.1\r\nHost: h\r\n\r\n"):format(i) end
  log_of(table.concat(requests), hello, { access_log = sink })
  sink:close()
  reader:join()

  lu.assertEquals(#lines, 50)
  for i = 1, 50 do lu.assertEquals(lines[i], "/" .. i) end
end

function TestStream:test_a_slow_stream_gets_what_there_is_room_for()
  local sink, source <close> = testing.stream_pair(1)
  local lines = log.new(sink, function(entry) return tostring(entry) end)
  local writer = rt.spawn(lines.run, lines)
  for i = 1, 100 do lines:add(i) end
  rt.sleep(0.1) -- they are written
  for i = 101, 20000 do lines:add(i) end
  lines:finish()
  local start, count, last = rt.now(), 0, nil
  rt.sleep(1)

  local reader = rt.spawn(function()
    for line in source:lines() do
      count = count + 1
      last = line
    end
  end)
  writer:join()
  sink:close()
  reader:join()

  lu.assertEquals({ count, last }, { 10100, "10100" })
  lu.assertEquals(rt.now() - start, 1.0)
end

function TestStream:test_a_stream_that_is_stuck_is_given_up()
  local sink, source <close> = testing.stream_pair(1)
  local start = rt.now()

  log_of(GET:rep(3), hello, { access_log = sink })

  lu.assertTrue(rt.now() - start <= 5)
  lu.assertTrue(#source:read() > 0)
  sink:close()
end

function TestStream:test_a_file()
  local path = os.tmpname()
  local file = assert(io.open(path, "w"))

  log_of(GET, hello, { access_log = file })
  file:close()

  local text = assert(io.open(path)):read("a")
  os.remove(path)
  lu.assertStrMatches(text, 'memory %- %- %[.-%] "GET /a%?b=c HTTP/1.1" 200 5\n')
end

function TestStream:test_wrong_options_raise()
  local listener <close> = testing.listener()
  for option, value in pairs({ access_log = 5, log_format = "json" }) do
    lu.assertErrorMsgContains("option '" .. option .. "'", http.serve, listener, hello,
      { [option] = value })
  end
end

harness.run()
