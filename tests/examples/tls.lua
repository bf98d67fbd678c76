-- A server with TLS for test_tls.py: what it says of a connection, and bytes.
-- Arguments are options of TLS, as NAME=VALUE, and `smtp` for one that begins
-- in the clear.
local net = require("asyncrt.net")
local rt = require("asyncrt")
local tls = require("asyncrt.tls")

local options, mode = { sni = {} }, "tls"
for _, argument in ipairs(arg) do
  local name, value = argument:match("^(.-)=(.*)$")
  if not name then
    mode = argument
  elseif name == "alpn" then
    options.alpn = {}
    for protocol in value:gmatch("[^,]+") do
      table.insert(options.alpn, protocol)
    end
  elseif name == "sni" then
    local host, file = value:match("^(.-)=(.*)$")
    options.sni[host] = { cert = file .. ".pem", key = file .. ".key" }
  else
    options[name] = tonumber(value) or value
  end
end
for _, name in ipairs({ "min_version", "max_version" }) do
  options[name] = options[name] and tostring(options[name])
end
if not next(options.sni) then options.sni = nil end

local commands = {}

function commands.info(conn)
  local info = conn:tls_info()
  return conn:write(("%s|%s|%s|%s|%s|%s\n"):format(info.version, info.alpn,
    info.server_name, info.verified, info.resumed,
    info.peer and info.peer.subject))
end

function commands.echo(conn, rest) return conn:write(rest .. "\n") end

function commands.send(conn, rest)
  local chunk = ("x"):rep(10000)
  for _ = 1, tonumber(rest) // #chunk do
    local ok, message, code = conn:write(chunk)
    if not ok then return nil, message, code end
  end
  return conn:write(chunk:sub(1, tonumber(rest) % #chunk))
end

function commands.take(conn, rest)
  local bytes, message, code = conn:read_exact(tonumber(rest))
  if not bytes then return nil, message, code end
  return conn:write("taken\n")
end

function commands.shutdown(conn) return conn:shutdown() end

function commands.crash() error("as asked") end

local function serve(conn)
  if mode == "smtp" then
    conn:write("220 mail.test ESMTP\r\n")
    for line in conn:lines() do
      if line == "STARTTLS" then break end
      conn:write("250-mail.test\r\n250 STARTTLS\r\n")
    end
    conn:write("220 go ahead\r\n")
    assert(tls.server(conn, options))
  end
  while true do
    local line, message, code = conn:read_line()
    if not line then
      -- How each connection ended.
      print(code or "end", message)
      return
    end
    local name, rest = line:match("^(%a+) ?(.*)$")
    if commands[name] then assert(commands[name](conn, rest)) end
  end
end

local listener = assert(net.listen("127.0.0.1:0"))
if mode == "tls" then assert(tls.listener(listener, options)) end
print("listening on " .. listener:address())
rt.spawn_with({ daemon = true }, function()
  for line in rt.stdin:lines() do print(line) end
end)
net.serve(listener, serve, { drain = 1 })
