--- Servers for the tests of the HTTP client, in the same process.
local http = require("asyncrt.http")
local lu = require("luaunit")
local net = require("asyncrt.net")
local rt = require("asyncrt")

local servers = {}

servers.SOON = 0.05 -- seconds, for limits that pass because nobody answers

servers.OK = "HTTP/1.1 200 OK\r\n"
servers.HELLO = servers.OK .. "Content-Length: 5\r\n\r\nhello"

--- Calls `use` with the URL of a server whose connections `talk` handles.
function servers.with_sockets(talk, use)
  local listener = assert(net.listen("127.0.0.1:0"))
  local task = rt.spawn(net.serve, listener, talk, {
    drain = 0,
    on_error = "collect",
  })
  use("http://" .. listener:address())
  task:cancel()
  task:join()
end

--- The same with a server that reads heads and answers each with `bytes`.
function servers.with_answer(bytes, use)
  servers.with_sockets(function(conn)
    while conn:read_until("\r\n\r\n") do
      conn:write(bytes)
      if not bytes:find("Content%-Length") then return end
    end
  end, use)
end

--- The same with a server of asyncrt.http; `options` are its own, and `tls` of
--- its listener.
function servers.with_server(handler, use, options)
  options = options or {}
  local tls = options.tls
  options.tls = nil
  options.drain = 0
  options.on_error = "collect"
  local listener = assert(net.listen("127.0.0.1:0", { tls = tls }))
  local task = rt.spawn(http.serve, listener, handler, options)
  use((tls and "https://" or "http://") .. listener:address())
  task:cancel()
  task:join()
end

--- The bytes that a text in hexadecimal stands for.
function servers.unhex(text)
  return (text:gsub("%x%x", function(pair)
    return string.char(tonumber(pair, 16))
  end))
end

--- The code and the message of a failure.
function servers.failure(...)
  lu.assertNil((...))
  return select(3, ...), (select(2, ...))
end

return servers
