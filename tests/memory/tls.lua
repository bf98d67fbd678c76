-- component: tls
-- Contexts, handshakes, sessions that go on, and what is said of failures.
local rt = require("asyncrt")
local testing = require("asyncrt.testing")
local tls = require("asyncrt.tls")
if not ... then return end

local folder = assert(os.getenv("CERTIFICATES"), "who made certificates?")

local function path(name) return folder .. "/" .. name end

local server = assert(tls.context({
  alpn = { "one", "two" },
  cert = path("server.pem"),
  key = path("server.key"),
  sni = { ["*.wild.test"] = { cert = path("wild.pem"), key = path("wild.key") } },
}))
local client = assert(tls.context({ alpn = { "two" }, ca = path("ca.pem") }))
assert(not tls.context({ ca = path("nothing.pem") }))

local function connect(name)
  local a, b = testing.stream_pair({ split = true })
  local message
  rt.group(function(group)
    local accepted = group:spawn(tls.server, b, server)
    local _
    _, message = a:starttls({ context = client, server_name = name })
    accepted:join()
  end)
  return a, b, message
end

for _ = 1, 2 do
  local a, b, message = connect("localhost")
  assert(not message, message)
  assert(a:tls_info().alpn == "two" and b:tls_info().alpn == "two")
  rt.group(function(group)
    group:spawn(function()
      assert(b:write(("x"):rep(20000)))
      assert(b:shutdown())
    end)
    assert(a:read_all() == ("x"):rep(20000))
  end)
  a:close()
  b:close()
end
local _, _, message = connect("other.test")
assert(message:find("other.test", 1, true), message)
