--- Serves HTTP/1.1 over the connections of net.serve.
local Request = require("asyncrt.http.request")
local Response = require("asyncrt.http.response")
local net = require("asyncrt.net")
local parsers = require("asyncrt.http.parser")
local rt = require("asyncrt")

local LINGER = 1             -- seconds for a client to take the last response
local UNREAD_MAX = 64 * 1024 -- bytes of a body that is read for its end alone

---@class asyncrt.http.ServeOptions
---@field max_body number? bytes; 1 MiB by default
---@field header_timeout number? seconds for a whole head; 10 by default
---@field idle_timeout number? seconds between two requests; 60 by default
---@field read_timeout number? seconds for each read of a body; 30 by default
---@field write_timeout number? seconds for each write; 30 by default
---@field max_requests integer? on one connection; 1000 by default
---@field limits asyncrt.http.Limits? of heads
---@field max_connections integer? as for net.serve
---@field drain number? as for net.serve
---@field on_error any? as for net.serve
local defaults = {
  header_timeout = 10,
  idle_timeout = 60,
  max_body = 1024 * 1024,
  max_requests = 1000,
  read_timeout = 30,
  write_timeout = 30,
}

local passed_on = { drain = true, max_connections = true, on_error = true }

local server = {}

-- Reads until the parser has an event.
local function read_event(conn, parser)
  while true do
    local bytes = conn:read()
    if not bytes then return nil, "closed", "ECLOSED" end
    parser:feed(bytes)
    local event, value, code, status = parser:next()
    if event or value then return event, value, code, status end
  end
end

-- Waits for the first bytes of a request; false where none is to come.
local function await_bytes(self, conn, parser, seconds)
  local key, bytes = rt.select({
    read = conn:read_evt(),
    stop = self.stop,
    timeout = seconds,
  })
  if key ~= "read" or not bytes then return false end
  parser:feed(bytes)
  return true
end

-- The next head, or nothing: then perhaps a status to answer with.
local function next_head(self, conn, parser, count)
  if self.stop:is_set() then return nil end
  local event, value, _, status = parser:next()
  if not event and not value and parser:is_idle() then
    local seconds = count == 1 and self.header_timeout or self.idle_timeout
    if not await_bytes(self, conn, parser, seconds) then return nil end
    event, value, _, status = parser:next()
  end
  if not event and not value then
    event, value, _, status =
      rt.timeout(self.header_timeout, read_event, conn, parser)
    if not event and value == "timeout" then status = 408 end
  end
  if event then return value end
  return nil, status
end

-- Closing with bytes unread would take the response from the client.
local function linger(conn)
  if not conn:flush() or not conn:shutdown() then return end
  rt.timeout(LINGER, function()
    local size = 0
    while size <= UNREAD_MAX do
      local bytes = conn:read()
      if not bytes then return end
      size = size + #bytes
    end
  end)
end

-- Answers 500 where the handler raises; the error itself goes on.
local Guard = {}

function Guard:__close(err)
  if err == nil or rt.cancelled() then return end
  local response = self.response
  if not response:has_begun() then
    response:_refuse(500)
    linger(response.conn)
  elseif response.framing == "eof" then
    response.conn:reset() -- else the client would take it for complete
  end
end

local function call_handler(self, request, response)
  local _ <close> = setmetatable({ response = response }, Guard)
  self.handler(request, response)
  local failure = request.failure
  if failure and failure[3] and not response:has_begun() then
    response:_refuse(failure[3])
  end
  response:finish()
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

local function answer(self, conn, parser, head, is_last)
  local request = Request.new(head, conn, parser, self.read_timeout)
  local response = Response.new(request, conn, is_last or not head.keep_alive)
  if head.expects_continue then
    request.continue = function()
      request.continue = nil
      return conn:write("HTTP/1.1 100 Continue\r\n\r\n")
    end
  end
  call_handler(self, request, response)
  if response.failure or request.failure then return false end
  return not response.close and skip_body(request)
end

local function refuse(conn, status)
  local request = { method = "", version = "1.1" }
  Response.new(request, conn, true):_refuse(status)
end

local function serve_connection(self, conn)
  local parser = parsers.request(self.limits)
  conn:timeouts({ write = self.write_timeout })
  for count = 1, self.max_requests do
    local head, status = next_head(self, conn, parser, count)
    if not head then
      if not status then return end
      refuse(conn, status)
      break
    end
    local is_last = count == self.max_requests or head.form == "authority"
    if not answer(self, conn, parser, head, is_last) then break end
    parser:restart()
  end
  linger(conn)
end

-- Lets connections that wait for a request go when the server is cancelled.
local function watch(stop)
  local _ <close> = setmetatable({}, { __close = function() stop:set() end })
  rt.sync(rt.never)
end

local function bad_option(message, ...)
  error("bad argument #3 to 'serve' (" .. message:format(...) .. ")", 4)
end

local function read_options(self, options)
  local for_net = {}
  for name, value in pairs(options) do
    if passed_on[name] then
      for_net[name] = value
    elseif name == "limits" then
      for key, limit in pairs(value) do self.limits[key] = limit end
    elseif not defaults[name] then
      bad_option("unknown option '%s'", tostring(name))
    elseif type(value) ~= "number" or value ~= value or
      value < 0 then
      bad_option("option '%s': non-negative number expected", name)
    else
      self[name] = value
    end
  end
  return for_net
end

--- Serves HTTP until it is cancelled or the listener is closed.
---
--- `handler(request, response)` runs in the task of the connection, one request
--- after the other. An error in it is answered with 500, logged, and ends that
--- connection alone.
--- Raises where it cannot listen.
---@param address string|asyncrt.Listener
---@param handler fun(request: asyncrt.http.Request,
---  response: asyncrt.http.Response)
---@param options asyncrt.http.ServeOptions?
function server.serve(address, handler, options)
  local self = { handler = handler, limits = {}, stop = rt.event() }
  for name, value in pairs(defaults) do self[name] = value end
  local for_net = read_options(self, options or {})
  self.limits.body = self.limits.body or self.max_body
  parsers.request(self.limits) -- raises where they are wrong
  rt.group(function(group)
    group:spawn_with({ name = "http stop", daemon = true }, watch, self.stop)
    net.serve(address, function(conn) serve_connection(self, conn) end, for_net)
  end)
end

return server
