-- component: tls
-- Streams with TLS are streams: the tests of all streams, over several kinds.
local certificates = require("certificates")
local define = require("stream_tests")
local harness = require("harness")
local net = require("asyncrt.net")
local rt = require("asyncrt")
local testing = require("asyncrt.testing")
local tls = require("asyncrt.tls")

local server = assert(tls.context(certificates.of("server")))
local client = assert(tls.context(certificates.trusting("ca")))

-- Both ends of a stream, with TLS above.
local function secure(a, b)
  local handshake = rt.spawn(tls.server, b, server)
  assert(a:starttls({ context = client, server_name = "localhost" }))
  assert(handshake:await())
  return a, b
end

local function connect()
  local listener <close> = assert(net.listen("127.0.0.1:0", { tls = server }))
  local dialled = rt.spawn(net.connect, listener:address(), { tls = client })
  local accepted = assert(listener:accept())
  assert(accepted:handshake())
  return assert(dialled:await()), accepted
end

TestTlsInMemory = define(function() return secure(testing.stream_pair()) end)

TestTlsInPieces = define(function()
  return secure(testing.stream_pair({ split = true, jitter = 0.0005 }))
end)

TestTlsOverTcp = define(connect)

TestTlsOverTls = define(function()
  return secure(secure(testing.stream_pair()))
end)

harness.run()
