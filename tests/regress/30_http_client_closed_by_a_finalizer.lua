-- A finalizer that closed the HTTP client while a request of it was started:
-- the request went on with a client that was freed.
local finalizers = require("finalizers")
local http = require("asyncrt.http")
local net = require("asyncrt.net")
local rt = require("asyncrt")

local listener = assert(net.listen("127.0.0.1:0"))
local url = "http://" .. listener:address() .. "/"
local server = rt.spawn(http.serve, listener, function(_, res)
  res:send("hello")
end)

local client, countdown, closed = nil, 0, 0
local running = finalizers.run(function()
  countdown = countdown - 1
  if client and countdown < 0 then
    closed = closed + 1
    client:close()
    client = nil
  end
end)
local answers = 0
for i = 1, 200 do
  local kept = http.client({ cookies = true })
  client = kept
  countdown = i % 50
  for _ = 1, 2 do
    local _, response = pcall(kept.request, kept, {
      url = url,
      method = "POST",
      body = "abc",
      headers = { a = "b" },
      tls = { verify = true },
    })
    if type(response) == "table" then answers = answers + 1 end
  end
  kept:close()
end
running:stop()
server:cancel()
assert(closed > 50 and answers > 0)
