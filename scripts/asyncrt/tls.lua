--- TLS over any stream: contexts, and where it begins.
local core = require("asyncrt.core.tls")
local secure = require("asyncrt.secure")

local tls = { context = core.context }

local CLIENT = { name = "client", arg = 2 }
local SERVER = { name = "server", arg = 2 }
local LISTENER = { name = "listener", arg = 2 }

--- [wait] Makes a connection one with TLS, in its place, as the client.
---@param conn asyncrt.Stream
---@param options true|asyncrt.tls.Context|asyncrt.tls.ClientOptions
---@return asyncrt.Stream? conn the same
---@return string? message
---@return string? code
function tls.client(conn, options)
  return secure.client(conn, options, CLIENT)
end

--- [wait] The same as the server.
---@param conn asyncrt.Stream
---@param options asyncrt.tls.Context|asyncrt.tls.Options
---@return asyncrt.Stream? conn the same
---@return string? message
---@return string? code
function tls.server(conn, options)
  return secure.server(conn, options, SERVER)
end

--- Makes every connection that a listener accepts from now on one with TLS.
---@param listener asyncrt.Listener
---@param options asyncrt.tls.Context|asyncrt.tls.Options
---@return asyncrt.Listener? listener the same
---@return string? message
---@return string? code
function tls.listener(listener, options)
  return secure.listener(listener, options, LISTENER)
end

return tls
