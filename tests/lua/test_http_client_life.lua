-- component: curl
-- The HTTP client: cancellation, connections, cookies, proxies, closing.
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

TestCancel = {}

-- Cancels `request` once `ready` is set, and checks that nothing is left.
local function cancelled(client, ready, request)
  local task = rt.spawn(request)
  ready:wait()
  rt.yield()
  task:cancel()
  lu.assertEquals({ task:join() }, { false, "cancelled" })
  lu.assertEquals(client:stats(), { requests = 0, connections = 0 })
end

function TestCancel:test_while_the_name_is_looked_up()
  local client <close> = http.client()
  local ready = rt.event()
  cancelled(client, ready, function()
    ready:set()
    client:get("http://name.invalid/")
  end)
end

function TestCancel:test_while_it_connects()
  local ready = rt.event()
  with_sockets(function(conn)
    conn:read()
    ready:set()
    rt.sync(rt.never)
  end, function(url)
    local client <close> = http.client()
    cancelled(client, ready, function()
      client:get((url:gsub("http", "https")))
    end)
  end)
end

function TestCancel:test_while_it_waits_for_the_response()
  local ready = rt.event()
  local closed = rt.event()
  with_sockets(function(conn)
    conn:read_until("\r\n\r\n")
    ready:set()
    conn:read()
    closed:set()
  end, function(url)
    local client <close> = http.client()
    cancelled(client, ready, function() client:get(url) end)
    closed:wait()
  end)
end

function TestCancel:test_while_the_body_is_sent()
  local ready = rt.event()
  with_sockets(function(conn)
    conn:read_until("\r\n\r\n")
    ready:set()
    rt.sync(rt.never)
  end, function(url)
    local client <close> = http.client()
    cancelled(client, ready, function()
      client:post(url, function() return ("x"):rep(10000) end)
    end)
    ready = rt.event()
    cancelled(client, ready, function()
      client:post(url, function() rt.sync(rt.never) end)
    end)
  end)
end

function TestCancel:test_while_the_body_is_read()
  local ready = rt.event()
  with_server(function(_, res)
    res:write("a")
    rt.sync(rt.never)
  end, function(url)
    local client <close> = http.client()
    cancelled(client, ready, function()
      local res <close> = client:get(url)
      res:read()
      ready:set()
      res:read()
    end)
  end)
end

function TestCancel:test_a_cancelled_read_takes_nothing()
  local go = rt.event()
  with_server(function(_, res)
    go:wait()
    res:write("a")
  end, function(url)
    local res
    local task = rt.spawn(function()
      res = assert(http.get(url .. "/"))
      res:read()
    end)
    rt.timeout(SOON, task.join, task)
    task:cancel()
    task:join()
    go:set()

    -- Had it no head yet, the request itself was given up.
    if res then lu.assertEquals(res:read_all(), "a") end
  end)
end

function TestCancel:test_by_a_time_limit_of_the_task()
  with_sockets(function() rt.sync(rt.never) end, function(url)
    local client <close> = http.client()

    lu.assertEquals({ rt.timeout(SOON, client.get, client, url) },
      { nil, "timeout" })
    lu.assertEquals(client:stats(), { requests = 0, connections = 0 })
  end)
end

TestClient = {}

local function counting(use)
  local connections = 0
  with_sockets(function(conn)
    connections = connections + 1
    while conn:read_until("\r\n\r\n") do conn:write(HELLO) end
  end, function(url) use(url, function() return connections end) end)
end

function TestClient:test_connections_are_used_again()
  counting(function(url, connections)
    local client <close> = http.client()
    for _ = 1, 10 do
      lu.assertEquals(client:get(url):read_all(), "hello")
    end

    lu.assertEquals(connections(), 1)
    lu.assertEquals(client:stats(), { requests = 0, connections = 1 })
  end)
end

function TestClient:test_a_connection_that_the_server_closed()
  with_sockets(function(conn)
    conn:read_until("\r\n\r\n")
    conn:write(HELLO)
  end, function(url)
    local client <close> = http.client()
    for _ = 1, 5 do
      lu.assertEquals(client:get(url):read_all(), "hello")
    end
  end)
end

function TestClient:test_many_at_once()
  with_server(function(req, res) res:send(req.path) end, function(url)
    local client <close> = http.client()
    rt.group(function(group)
      for i = 1, 200 do
        group:spawn(function()
          local path = "/" .. i
          lu.assertEquals(client:get(url .. path):read_all(), path)
        end)
      end
    end)
  end)
end

function TestClient:test_the_number_of_connections_is_limited()
  local open, most = 0, 0
  with_server(function(_, res)
    open = open + 1
    most = math.max(most, open)
    rt.sleep(0.001)
    res:send()
    open = open - 1
  end, function(url)
    for _, option in ipairs({ "max_connections", "max_per_host" }) do
      local client <close> = http.client({ [option] = 3 })
      rt.group(function(group)
        for _ = 1, 20 do
          group:spawn(function() client:get(url):read_all() end)
        end
      end)
      lu.assertEquals(most, 3)
      most = 0
    end
  end)
end

function TestClient:test_what_its_requests_have()
  with_server(function(req, res)
    res:send(("%s %s"):format(req.headers["x-a"], req.headers["x-b"]))
  end, function(url)
    local client <close> = http.client({
      headers = { ["X-A"] = "1", ["X-B"] = "2" },
      max_body = 3,
    })

    lu.assertEquals(client:get(url):read_all(), "1 2")
    lu.assertEquals(client:get(url, { headers = { ["x-b"] = 3 } }):read_all(),
      "1 3")
    lu.assertEquals(client:get(url, { headers = { ["x-b"] = "" } }):read_all(),
      "1 ")
    lu.assertEquals(failure(client:get(url, { headers = { ["x-b"] = 44 } })
      :read_all()), "ELIMIT")
  end)
end

function TestClient:test_cookies()
  local function ask(client, url)
    return client:get(url):read_all()
  end
  with_server(function(req, res)
    if req.path == "/set" then res.headers["Set-Cookie"] = "a=b; Path=/" end
    res:send(req.headers.cookie or "none")
  end, function(url)
    local client <close> = http.client({ cookies = true })
    local without <close> = http.client()
    lu.assertEquals(ask(client, url .. "/set"), "none")
    lu.assertEquals(ask(client, url), "a=b")
    lu.assertEquals(ask(without, url .. "/set"), "none")
    lu.assertEquals(ask(without, url), "none")
  end)
end

function TestClient:test_cookies_in_a_file()
  local path = os.tmpname()
  with_server(function(req, res)
    res.headers["Set-Cookie"] = "a=b; Max-Age=1000"
    res:send(req.headers.cookie or "none")
  end, function(url)
    for _, expected in ipairs({ "none", "a=b" }) do
      local client <close> = http.client({ cookies = path })
      lu.assertEquals(client:get(url):read_all(), expected)
    end
  end)
  os.remove(path)
end

function TestClient:test_closing_ends_requests()
  local ready = rt.channel()
  with_sockets(function(conn)
    if conn:read_until("\r\n\r\n"):find("GET /body", 1, true) then
      conn:write(OK .. "Content-Length: 9\r\n\r\nabc")
    end
    ready:send(true)
    conn:read()
  end, function(url)
    local client = http.client()
    local waiting = rt.spawn(client.get, client, url)
    local reading = rt.spawn(function()
      local res, message, code = client:get(url .. "/body")
      if not res then return nil, message, code end
      return res:read_all()
    end)
    ready:recv()
    ready:recv()
    rt.sleep(SOON) -- it is just as well if the head has not come by then
    lu.assertTrue(client:close())
    lu.assertTrue(client:close())

    lu.assertEquals(failure(select(2, waiting:join())), "ECLOSED")
    lu.assertEquals(failure(select(2, reading:join())), "ECLOSED")
    lu.assertEquals(client:stats(), { requests = 0, connections = 0 })
  end)
end

function TestClient:test_a_proxy()
  local lines = {}
  with_sockets(function(conn)
    lines[#lines + 1] = conn:read_line()
    conn:read_until("\r\n\r\n")
    conn:write(HELLO)
  end, function(url)
    local res = assert(http.get("http://name.invalid/x", { proxy = url }))

    lu.assertEquals(res:read_all(), "hello")
    lu.assertEquals(lines, { "GET http://name.invalid/x HTTP/1.1" })
  end)
end

function TestClient:test_a_proxy_that_refuses()
  with_answer("HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n", function(url)
    local code = failure(http.get("https://name.invalid/x", { proxy = url }))

    lu.assertEquals(code, "EPROXY")
  end)
end

harness.run()
