-- Streams: in-memory, TCP and Unix ones.
local define = require("stream_tests")
local harness = require("harness")
local net = require("asyncrt.net")
local rt = require("asyncrt")
local testing = require("asyncrt.testing")

local function connect(address)
  local listener <close> = assert(net.listen(address))
  local dialled = rt.spawn(net.connect, listener:address())
  local accepted = assert(listener:accept())
  return assert(dialled:await()), accepted
end

TestMemoryStream = define(testing.stream_pair)

TestSplitStream = define(function()
  return testing.stream_pair({ split = true, jitter = 0.0005 })
end)

TestTcpStream = define(function() return connect("127.0.0.1:0") end)

TestUnixStream = define(function()
  return connect(harness.abstract_address())
end)
-- A Unix socket has no reset: what was sent arrives.
TestUnixStream.test_reset_drops_what_was_written = nil

harness.run()
