--- Serves HTTP/1.1 over the connections of net.serve.
local core = require("asyncrt.core.http_connection")
local net = require("asyncrt.net")
local rt = require("asyncrt")
require("asyncrt.http.request")
require("asyncrt.http.response")

local LINGER = 5             -- seconds for a client to take the last response
local UNREAD_MAX = 64 * 1024 -- bytes of a body that is read for its end alone

---@class asyncrt.http.ServeOptions
---@field body_timeout number? seconds for a whole body; 60 by default
---@field header_timeout number? seconds for a whole head; 10 by default
---@field idle_timeout number? seconds between two requests; 60 by default
---@field read_timeout number? seconds for each read of a body; 30 by default
---@field write_timeout number? seconds for each write; 30 by default
---@field max_body number? bytes; 1 MiB by default
---@field max_requests number? on one connection; 1000 by default
---@field limits asyncrt.http.Limits? of heads
---@field max_connections integer? as for net.serve
---@field drain number? as for net.serve
---@field on_error any? as for net.serve
---@field tls (asyncrt.tls.Context|asyncrt.tls.Options)? as for net.serve; with
---  alpn = { "http/1.1" }
local defaults = {
  body_timeout = 60,
  header_timeout = 10,
  idle_timeout = 60,
  max_body = 1024 * 1024,
  max_requests = 1000,
  read_timeout = 30,
  write_timeout = 30,
}

local counts = { max_body = true, max_requests = true }
local passed_on = {
  drain = true,
  max_connections = true,
  on_error = true,
  tls = true,
}

local server = {}

-- Closing with bytes unread would take the response from the client.
local function linger(self, stream)
  if not stream:flush() or not stream:shutdown() then return end
  rt.timeout(LINGER, function()
    while stream:read_into(self.unread) do end
  end)
end

-- Answers with a status and its name, and ends the connection.
local function refuse(response, status)
  response.status = status
  response.headers = { Connection = "close", ["Content-Type"] = "text/plain" }
  return response:send(("%d %s\n"):format(status, core.reason(status)))
end

-- Answers 500 where the handler raises; the error itself goes on.
local Guard = {}

function Guard:__close(err)
  local connection = self.connection
  self.server.connections[connection] = nil
  if err == nil or rt.cancelled() then return end
  if connection:sent() == 0 then
    refuse(connection:response(), 500)
    linger(self.server, self.stream)
  else
    connection:cut()
  end
end

-- Reads what the handler left of the body; false where that is too much.
local function skip_body(request)
  local size = 0
  while size <= UNREAD_MAX do
    local bytes, message = request:read()
    if not bytes then return not message end
    size = size + #bytes
  end
  return false
end

-- Does what the handler has left to do; false where the connection ends.
local function complete(request, response)
  local failure = request.failure
  if failure and failure[3] and not response:has_begun() then
    refuse(response, failure[3])
  end
  return response:finish() and skip_body(request)
end

-- Answers one request after the other; false where the connection is no longer
-- the server's.
local function answer_all(self, connection)
  local handler = self.handler
  while true do
    local request, response, _, status = connection:next()
    if not request then
      if status then refuse(connection:response(), status) end
      return true
    end
    handler(request, response)
    if not connection:done() then
      if connection:is_upgraded() then return false end
      if not complete(request, response) or not connection:done() then
        return true
      end
    end
  end
end

local function serve_connection(self, stream)
  local connection <close> = core.connection(stream, self.settings)
  local _ <close> = setmetatable(
    { server = self, connection = connection, stream = stream }, Guard)
  self.connections[connection] = true
  if self.stopping then connection:stop() end
  if answer_all(self, connection) then linger(self, stream) end
end

-- Tells the connections when the server is cancelled: those that wait for a
-- request are closed, the others end with their response.
local function watch(self)
  local _ <close> = setmetatable({}, {
    __close = function()
      self.stopping = true
      for connection in pairs(self.connections) do connection:stop() end
    end,
  })
  rt.sync(rt.never)
end

local function bad_option(message, ...)
  error("bad argument #3 to 'serve' (" .. message:format(...) .. ")", 4)
end

local function check_option(name, value)
  if type(value) ~= "number" or value ~= value or value < 0 then
    bad_option("option '%s': non-negative number expected", name)
  elseif counts[name] and value ~= math.huge and not math.tointeger(value) then
    bad_option("option '%s': integer expected", name)
  end
end

-- Clients that know HTTP/2 too ask which it is to be.
local function with_protocol(tls)
  if type(tls) ~= "table" or tls.alpn then return tls end
  local options = { alpn = { "http/1.1" } }
  for name, value in pairs(tls) do options[name] = value end
  return options
end

-- The settings of connections, and the options of net.serve.
local function read_options(options)
  local own, for_net, limits = {}, {}, {}
  for name, value in pairs(defaults) do own[name] = value end
  for name, value in pairs(options) do
    if passed_on[name] then
      for_net[name] = name == "tls" and with_protocol(value) or value
    elseif name == "limits" then
      for key, limit in pairs(value) do limits[key] = limit end
    elseif not defaults[name] then
      bad_option("unknown option '%s'", tostring(name))
    else
      check_option(name, value)
      own[name] = value
    end
  end
  limits.body = limits.body or own.max_body
  own.max_body = nil
  local ok, settings = pcall(core.settings, own, limits)
  if not ok then
    bad_option("limits: %s", settings:match("^bad argument.-%((.*)%)$"))
  end
  return settings, for_net
end

--- Serves HTTP until it is cancelled or the listener is closed.
---
--- `handler(request, response)` runs in the task of the connection, one request
--- after the other. An error in it is answered with 500, logged, and ends that
--- connection alone. It is cancelled where its client goes away.
--- Raises where it cannot listen.
---@param address string|asyncrt.Listener
---@param handler fun(request: asyncrt.http.Request,
---  response: asyncrt.http.Response)
---@param options asyncrt.http.ServeOptions?
function server.serve(address, handler, options)
  local self = {
    handler = handler,
    connections = {},
    unread = rt.buffer(),
    stopping = false,
  }
  local for_net
  self.settings, for_net = read_options(options or {})
  rt.group(function(group)
    group:spawn_with({ name = "http stop", daemon = true }, watch, self)
    net.serve(address, function(stream)
      serve_connection(self, stream)
    end, for_net)
  end)
end

return server
