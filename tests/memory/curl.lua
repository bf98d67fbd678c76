-- component: curl
-- Requests and their bodies in both directions, redirects, failures; and that a
-- client has let go of all at the end.
local http = require("asyncrt.http")
local net = require("asyncrt.net")
local rt = require("asyncrt")
local _ = http.client -- loads libcurl
if not ... then return end

local ANSWERS = {
  ["/"] = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: 1\r\nX-A: 2\r\n" ..
    "Set-Cookie: a=b\r\n\r\nhello",
  ["/chunks"] = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" ..
    "5\r\nhello\r\n0\r\nX-End: yes\r\n\r\n",
  ["/moved"] = "HTTP/1.1 302 Found\r\nLocation: /chunks\r\n" ..
    "Content-Length: 0\r\n\r\n",
}

-- Answers by the path.
local function talk(conn)
  while true do
    local head = conn:read_until("\r\n\r\n")
    if not head then return end
    if head:find("Content-Length: 4", 1, true) then conn:read_exact(4) end
    if head:find("chunked", 1, true) then conn:read_until("0\r\n\r\n") end
    conn:write(ANSWERS[head:match(" (%S+)")])
  end
end

local function fetch(client, url)
  local res = assert(client:get(url .. "/moved"))
  assert(res.url == url .. "/chunks" and res:read_all() == "hello")
  assert(res.trailers["x-end"] == "yes")
  res = assert(client:post(url .. "/", "body", { headers = { ["X-B"] = "1" } }))
  assert(res.headers["x-a"] == "1, 2" and res:read() == "hello")
  local pieces = { "a", "b" }
  res = assert(client:post(url .. "/", function()
    return table.remove(pieces)
  end))
  assert(res:read_all() == "hello")
end

local listener <close> = assert(net.listen("127.0.0.1:0"))
rt.group(function(group)
  local client <close> = http.client({ cookies = true })
  -- What fails in the server is not waited for by the client.
  group:spawn_with({ daemon = true }, net.serve, listener, talk,
    { on_error = "fail" })
  fetch(client, "http://" .. listener:address())
end)
