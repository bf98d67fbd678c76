---@meta asyncrt.net
-- luacheck: ignore 212 241

--- Accepts connections; itself an event: accept.
---@class asyncrt.Listener: asyncrt.Event
local Listener = {}

--- [wait] Waits for a connection.
---@return asyncrt.Stream? conn
---@return string? message
---@return string? code
function Listener:accept() end

---@return asyncrt.Event
function Listener:accept_evt() end

--- Accepts until the listener is closed; another failure raises. Each step is a
--- [wait].
---@return fun(): asyncrt.Stream?
function Listener:accepts() end

---@return string? address
---@return string? message
---@return string? code
function Listener:address() end

--- Accepted connections stay open. Never waits.
---@return true
function Listener:close() end

---@return boolean
function Listener:is_closed() end

---@class asyncrt.net.ListenOptions
---@field backlog integer?
---@field reuseport boolean? SO_REUSEPORT
---@field max_connections integer? open at once; 10000 by default
---@field tls (asyncrt.tls.Context|asyncrt.tls.Options)? to speak TLS

---@class asyncrt.net.ConnectOptions
---@field tls (true|asyncrt.tls.Context|asyncrt.tls.ClientOptions)?
---@field timeout number? seconds, 10 by default
---@field local_address string? an IP address

---@class asyncrt.net.ServeOptions
---@field max_connections integer? open at once
---@field drain number? seconds that handlers get to end; 10 by default
---@field timeout number? seconds without a byte in either direction
---@field on_error asyncrt.OnError? "log" by default
---@field tls (asyncrt.tls.Context|asyncrt.tls.Options)? to speak TLS

---@class asyncrt.net
local net = {}

--- [wait] Waits until connected.
---@param address string
---@param options asyncrt.net.ConnectOptions?
---@return asyncrt.Stream? conn
---@return string? message
---@return string? code
function net.connect(address, options) end

---@param address string
---@param options asyncrt.net.ConnectOptions?
---@return asyncrt.Event
function net.connect_evt(address, options) end

--- Waits only to look up a host name.
---@param address string "host:port", "[::1]:port", "unix:/path", "fd:3"
---@param options asyncrt.net.ListenOptions?
---@return asyncrt.Listener? listener
---@return string? message
---@return string? code
function net.listen(address, options) end

--- [wait] Serves connections, each in a task of its own, until it is cancelled
--- or the listener is closed.
---@param address string|asyncrt.Listener
---@param handler fun(conn: asyncrt.Stream)
---@param options asyncrt.net.ServeOptions?
function net.serve(address, handler, options) end

return net
