--- Stream sockets, TCP and Unix.
---
--- Addresses are "host:port", "[::1]:port", "unix:/path", "unix:@name", or
--- "fd:3", an inherited socket. Without a host it is the loopback interface.
local core = require("asyncrt.core.net")
local failures = require("asyncrt.failures")
local options_ = require("asyncrt.options")
local rt = require("asyncrt")

local DRAIN = 10                   -- seconds
local MOST_CONNECTIONS = 0x7fffffff -- that a listener may be given

local net = {
  connect = core.connect,
  connect_evt = core.connect_evt,
  listen = core.listen,
}

-- What the core leaves to Lua where the options have `tls`. No wrapper around
-- each function: an error of the core names the function that was called.
for _, name in ipairs({ "connect", "connect_evt", "listen" }) do
  core.with_tls[name] = function(address, options)
    return require("asyncrt.secure")[name](address, options)
  end
end

--- Places for `count` connections: `take` waits for one, closing gives it back.
local Places = {}
Places.__index = Places

local function new_places(count)
  return setmetatable({ taken = rt.channel(count) }, Places)
end

function Places:take()
  self.taken:send(true)
end

function Places:__close()
  rt.poll({ self.taken })
end

---@class asyncrt.net.Server: asyncrt.net.ServeOptions
---@field listener asyncrt.Listener
---@field handler fun(conn: asyncrt.Stream)
---@field tells boolean? errors are logged
---@field places table? where the number of connections is limited

-- Keeps whose connection a handler has failed with.
local Guard = {}

function Guard:__close(err)
  if err ~= nil and not rt.cancelled() then failures.keep(self.conn) end
end

---@param server asyncrt.net.Server
local function handle(server, conn)
  local connection <close> = conn
  local _ <close> = server.places
  local _ <close> = server.tells and
    setmetatable({ conn = connection }, Guard)
  if server.timeout then
    connection:timeouts({ idle = server.timeout })
  end
  local ready, message = connection:handshake()
  if ready then
    server.handler(connection)
  elseif type(server.on_error) == "function" then
    failures.keep(connection)
    server.on_error(message, rt.current())
  end
end

--- Accepts until the listener is closed, then waits for the handlers.
---@param server asyncrt.net.Server
local function accept_all(server, handlers)
  local listener, places = server.listener, server.places
  if places then places:take() end
  for conn in listener:accepts() do
    handlers:spawn(handle, server, conn)
    if places then places:take() end
  end
  handlers:wait()
end

--- Runs where no cancellation enters: the acceptor notices it, and ends.
---@param server asyncrt.net.Server
local function supervise(server, acceptors)
  local handlers <close> = rt.group({ on_error = server.on_error })
  local acceptor = acceptors:spawn(accept_all, server, handlers)
  if not acceptor:join() then
    server.listener:close()
    rt.timeout(server.drain or DRAIN, handlers.wait, handlers)
    handlers:cancel()
  end
end

local known = {
  drain = "seconds",
  max_connections = "positive",
  on_error = "any",
  timeout = "seconds",
  tls = "any",
}

-- What is wrong is an argument of serve.
local function listen(address, options)
  local ok, listener, message = pcall(core.listen, address, options)
  if ok and listener then return listener end
  options_.raise(message or
    listener:gsub("^.-(bad argument #1 to ').-(' %()", "%1serve%2"))
end

---@class asyncrt.net.ServeOptions
---@field max_connections integer? open at once; others wait in the kernel
---@field drain number? seconds that handlers get to end when serve is
---  cancelled; 10 by default
---@field timeout number? seconds without a byte in either direction after which
---  a waiting read or write of a connection fails with "ETIMEDOUT"
---@field tls (asyncrt.tls.Context|asyncrt.tls.Options)? for connections with
---  TLS; the handler is called after the handshake
---@field on_error ("log"|"collect"|"fail"|fun(err: any, task: asyncrt.Task))?
---  what a handler's error does: "log" by default

local SERVE = { name = "serve", arg = 3, is_option = true }

--- Serves connections, each in a task of its own, until it is cancelled or the
--- listener is closed.
---
--- A connection is closed after its handler, whichever way that ends, and a
--- handler's error is logged and ends no other. Cancelled, serve stops
--- accepting and gives the running handlers `drain` seconds before it cancels
--- them.
--- Raises where it cannot listen.
---@param address string|asyncrt.Listener
---@param handler fun(conn: asyncrt.Stream)
---@param options asyncrt.net.ServeOptions?
function net.serve(address, handler, options)
  options_.check_callable("serve", 2, handler)
  options_.check("serve", 3, options, known)
  local server = {}
  for name, value in pairs(options or {}) do server[name] = value end
  if server.max_connections then
    server.max_connections = math.min(server.max_connections, MOST_CONNECTIONS)
  end
  if type(address) == "string" then
    address = listen(address, { max_connections = server.max_connections })
  end
  local listener <close> = address
  if server.tls then
    local secure = require("asyncrt.secure")
    local ok, message = secure.listener(listener, server.tls, SERVE)
    if not ok then options_.raise(message) end
  end
  server.listener = listener
  server.handler = handler
  if server.on_error == nil or server.on_error == "log" then
    server.on_error = failures.tell
    server.tells = true
  end
  server.places = server.max_connections and new_places(server.max_connections)
  rt.group(function(acceptors)
    rt.shield(math.huge, supervise, server, acceptors)
  end)
end

return net
