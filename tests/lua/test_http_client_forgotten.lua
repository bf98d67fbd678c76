-- component: curl
-- directly: what is forgotten here is a failure of any other test
-- Responses and clients that nobody closes.
local harness = require("harness")
local http = require("asyncrt.http")
local lu = require("luaunit")
local net = require("asyncrt.net")
local rt = require("asyncrt")

-- A server whose responses have no end.
local function with_server(use)
  local listener = assert(net.listen("127.0.0.1:0"))
  local task = rt.spawn(http.serve, listener, function(_, res)
    while res:write(("x"):rep(65536)) do end
  end, { drain = 0 })
  use("http://" .. listener:address())
  task:cancel()
  task:join()
end

local function collect()
  collectgarbage()
  collectgarbage()
end

local kept -- luacheck: ignore 231

TestForgotten = {}

function TestForgotten:test_a_response_is_collected()
  with_server(function(url)
    local client <close> = http.client()
    assert(client:get(url))
    collect()

    lu.assertEquals(client:stats(), { requests = 0, connections = 0 })
  end)
end

function TestForgotten:test_a_client_is_collected_and_ends_its_requests()
  with_server(function(url)
    local res = assert(http.client():get(url))
    collect()

    lu.assertEquals(select(3, res:read_all({ max = math.huge })), "ECLOSED")
  end)
end

function TestForgotten:test_the_end_of_the_run_closes_the_rest()
  with_server(function(url)
    kept = { assert(http.get(url)), http.client() }
  end)
end

harness.run()
