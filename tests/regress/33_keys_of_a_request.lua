-- A request that is over keeps its header fields under a key of its own: what a
-- script put there instead was taken for them, whatever it was.
local net = require("asyncrt.net")
local rt = require("asyncrt")
local has_http, http = pcall(require, "asyncrt.http")
if not has_http then return end

local requests = {}
local listener <close> = assert(net.listen("127.0.0.1:0"))
local server = rt.spawn(http.serve, listener, function(request, response)
  requests[#requests + 1] = request
  response:send()
end)

for _ = 1, 2 do
  local conn <close> = assert(net.connect(listener:address()))
  conn:write("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
  conn:read_all()
end
server:cancel()
server:join()

for key in next, requests[1] do
  if type(key) == "userdata" then
    rawset(requests[2], key, key)
    rawset(requests[1], key, rt.buffer())
  end
end
assert(requests[1].headers == nil and requests[2].headers == nil)
