-- asyncrt: --virtual-time
-- A finalizer that closed the stream of a connection while the server made the
-- tables of a request, or the head of a response, crashed it.
local finalizers = require("finalizers")
local http = require("asyncrt.http")
local rt = require("asyncrt")
local testing = require("asyncrt.testing")

local connection, countdown, closed = nil, 0, 0

local listener = testing.listener()
local count = 0
local server = rt.spawn(http.serve, listener, function(req, res)
  count = count + 1
  connection = req.connection
  countdown = count % 40
  for i = 1, 20 do
    res.headers["X-" .. i] = i + 0.5
  end
  res:send(req:read_all())
end)

local running = finalizers.run(function()
  countdown = countdown - 1
  if connection and countdown < 0 then
    closed = closed + 1
    connection:stream():close()
    connection = nil
  end
end)
for _ = 1, 200 do
  local conn = listener:dial()
  for _ = 1, 3 do
    conn:write("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello")
    rt.sleep(0.01)
    conn:read()
  end
  conn:close()
end
running:stop()
server:cancel()
assert(closed > 20)
