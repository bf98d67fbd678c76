-- A connection was reset while one task waited to read and another to write.
-- The kernel reports a reset once, and the writer got it; the reader saw the
-- end of the stream, so that a stream cut short looked complete.
local net = require("asyncrt.net")
local rt = require("asyncrt")

local listener <close> = assert(net.listen("127.0.0.1:0"))
local client = assert(net.connect(listener:address()))
local server <close> = assert(listener:accept())

local reader = rt.spawn(function()
  local data, _, code = server:read()
  return data, code
end)
local writer = rt.spawn(function()
  local block = ("x"):rep(65536)
  while true do
    local ok, _, code = server:write(block)
    if not ok then return code end
  end
end)
rt.yield() -- both wait now
client:reset()

local _, data, read_code = reader:join()
local _, write_code = writer:join()
assert(data == nil)
assert(read_code == "ECONNRESET", read_code)
assert(write_code == "ECONNRESET", write_code)
