--- Where TLS begins: on a connection, on a listener, on what net connects.
local core = require("asyncrt.core.tls")
local net = require("asyncrt.core.net")
local options_ = require("asyncrt.options")
local rt = require("asyncrt")

local CONNECT_LIMIT = 10 -- seconds, as net.connect's own

local secure = {}

local default -- the context of `tls = true`

--- Closes a connection whose handshake was cancelled.
local Guard = {}

function Guard:__close()
  if self.conn then self.conn:reset() end
end

--- What the user has called: the function's name, the number of the argument
--- that says how, and whether that is its option `tls`.
---@class asyncrt.secure.Call
---@field name string
---@field arg integer
---@field is_option boolean?

local function raise_argument(call, message)
  if call.is_option then message = "option 'tls': " .. message end
  options_.raise(("bad argument #%d to '%s' (%s)")
    :format(call.arg, call.name, message))
end

--- The context of what a caller gave, and the name of the server.
local function resolve(given, call)
  local function bad(message) raise_argument(call, message) end
  if core.about(given) then return given end
  if given == true then
    default = default or core.context()
    return default
  end
  if type(given) ~= "table" then
    bad("table, true or TLS context expected, got " .. type(given))
  end
  local server_name, context = given.server_name, given.context
  if server_name ~= nil and type(server_name) ~= "string" then
    bad("option 'server_name': string expected, got " .. type(server_name))
  end
  local options = {}
  for key, value in pairs(given) do options[key] = value end
  options.server_name, options.context = nil, nil
  if context ~= nil then
    if not core.about(context) then
      bad("option 'context': TLS context expected, got " .. type(context))
    elseif next(options) ~= nil then
      bad(("option '%s' beside 'context'"):format(tostring(next(options))))
    end
    return context, server_name
  end
  local ok, made, message, code = pcall(core.context, options)
  if not ok then bad(made:match("%((.*)%)$") or made) end
  if not made then return nil, message, code end
  return made, server_name
end

local function check_certificate(context, call)
  if not core.about(context).server then
    raise_argument(call, "no certificate")
  end
end

--- Without a name nobody knows whether the server is the right one.
local function check_name(context, server_name, call)
  if not server_name and core.about(context).verify then
    options_.raise(("'%s' needs the option 'server_name', or verify = false")
      :format(call.name))
  end
end

--- False for a stream that is closed.
local function check_stream(conn, call)
  local state = core.state(conn)
  if not state then
    options_.raise(("bad argument #1 to '%s' (stream expected, got %s)")
      :format(call.name, type(conn)))
  elseif state == "busy" then
    options_.raise("another task is using this stream")
  elseif state == "shut" then
    options_.raise("this stream was shut down")
  end
  return state == "open"
end

local function shake(conn, ...)
  local guard <close> = setmetatable({ conn = conn }, Guard)
  local done, message, code = core.start(conn, ...)
  if done then done, message, code = conn:handshake() end
  guard.conn = nil
  if done then return conn end
  conn:close()
  return nil, message, code
end

local function as_name(server_name)
  return server_name and server_name:gsub("%.$", "")
end

---@param call asyncrt.secure.Call
function secure.client(conn, options, call)
  if not check_stream(conn, call) then return nil, "closed", "ECLOSED" end
  local context, server_name, code = resolve(options, call)
  if not context then return nil, server_name, code end
  check_name(context, server_name, call)
  return shake(conn, context, false, as_name(server_name))
end

---@param call asyncrt.secure.Call
function secure.server(conn, options, call)
  if not check_stream(conn, call) then return nil, "closed", "ECLOSED" end
  local context, message, code = resolve(options, call)
  if not context then return nil, message, code end
  check_certificate(context, call)
  return shake(conn, context, true)
end

--- Makes a listener one with TLS.
---@param call asyncrt.secure.Call
function secure.listener(listener, options, call)
  local state = core.listener_state(listener)
  if not state then
    options_.raise(("bad argument #1 to '%s' (listener expected, got %s)")
      :format(call.name, type(listener)))
  elseif state == "secure" then
    options_.raise("this listener has TLS already")
  elseif state == "closed" then
    return nil, "closed", "ECLOSED"
  end
  local context, message, code = resolve(options, call)
  if not context then return nil, message, code end
  check_certificate(context, call)
  return core.secure(listener, context)
end

--- The host of an address, as far as a certificate can be for it.
local function host_of(address)
  if address:find("^unix:") or address:find("^fd:") then return nil end
  local host = address:match("^%[(.*)%]:%d+$") or address:match("^(.*):%d+$")
  return host == "" and "127.0.0.1" or host:gsub("%%.*$", "")
end

local function without_tls(options)
  local rest = {}
  for key, value in pairs(options) do rest[key] = value end
  rest.tls = nil
  return rest
end

--- The address is what the caller knows, not the one that was looked up.
local function connected(address, conn, message, code)
  if conn then return conn end
  local reason = message:match("^handshake .-: (.*)$")
  if reason then message = ("connect %s: %s"):format(address, reason) end
  return nil, message, code
end

--- The options tls of connecting `dial` to an address. The limit is for all of
--- it.
---@param call asyncrt.secure.Call
function secure.dial(dial, address, options, call)
  local context, server_name, code = resolve(options.tls, call)
  if not context then return nil, server_name, code end
  server_name = server_name or host_of(address)
  check_name(context, server_name, call)
  local limit = (options.timeout or CONNECT_LIMIT) + rt.now()
  local conn, message, why = dial(address, without_tls(options))
  if not conn then return nil, message, why end
  return connected(address, shake(conn, context, false, as_name(server_name),
    math.max(limit - rt.now(), 0)))
end

local CONNECT = { name = "connect", arg = 2, is_option = true }

--- net.connect with the option tls.
function secure.connect(address, options)
  return secure.dial(net.connect, address, options, CONNECT)
end

--- The same as events: the handshake follows the commit.
---@param call asyncrt.secure.Call
function secure.dial_evt(dial_evt, address, options, call)
  local context, server_name, code = resolve(options.tls, call)
  if not context then return rt.always(nil, server_name, code) end
  server_name = server_name or host_of(address)
  check_name(context, server_name, call)
  return dial_evt(address, without_tls(options))
    :wrap(function(conn, message, why)
      if not conn then return nil, message, why end
      return connected(address,
        shake(conn, context, false, as_name(server_name)))
    end)
end

local CONNECT_EVT = { name = "connect_evt", arg = 2, is_option = true }

function secure.connect_evt(address, options)
  return secure.dial_evt(net.connect_evt, address, options, CONNECT_EVT)
end

--- The option tls of listening by `open`.
---@param call asyncrt.secure.Call
function secure.open(open, address, options, call)
  local context, message, code = resolve(options.tls, call)
  if not context then return nil, message, code end
  check_certificate(context, call)
  local listener, why, name = open(address, without_tls(options))
  if not listener then return nil, why, name end
  return core.secure(listener, context)
end

local LISTEN = { name = "listen", arg = 2, is_option = true }

--- net.listen with the option tls.
function secure.listen(address, options)
  return secure.open(net.listen, address, options, LISTEN)
end

return secure
