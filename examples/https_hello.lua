-- HTTPS. Without a certificate it makes one for localhost; SIGHUP reads the
-- files again. Runs until Ctrl-C:
--   asyncrt examples/https_hello.lua [address [certificate key]]
--   curl -k https://127.0.0.1:8443/hello/joe
local http = require("asyncrt.http")
local net = require("asyncrt.net")
local rt = require("asyncrt")
local tls = require("asyncrt.tls")

local address, certificate, key = arg[1], arg[2], arg[3]

if not certificate then
  local openssl <close> = io.popen(
    "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes " ..
    "-days 30 -subj /CN=localhost " ..
    "-addext subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1 " ..
    "-keyout - -out - 2>/dev/null")
  certificate = openssl:read("a")
end

local context = assert(tls.context({
  cert = certificate,
  key = key,
  alpn = { "http/1.1" },
}))

rt.spawn_with({ daemon = true }, function()
  local hangup <close> = rt.signal("HUP")
  for _ in hangup:iter() do
    local ok, message = context:reload()
    io.stderr:write(ok and "reloaded" or message, "\n")
  end
end)

local listener = assert(net.listen(address or "127.0.0.1:8443"))
print("listening on " .. listener:address())

http.serve(listener, function(request, response)
  local name = request.path:match("^/hello/(%w+)$")
  if not name then
    response.status = 404
    response:send("no such page\n")
    return
  end
  response.headers["Content-Type"] = "text/plain"
  response:send(("Hello, %s, by %s!\n"):format(name,
    request:tls_info().version))
end, { tls = context })
