--- Serves HTTP/1.1 over the connections of net.serve.
local core = require("asyncrt.core.http_connection")
local failures = require("asyncrt.failures")
local log = require("asyncrt.http.log")
local net = require("asyncrt.net")
local options_ = require("asyncrt.options")
local rt = require("asyncrt")
require("asyncrt.http.request")
require("asyncrt.http.response")

local LINGER = 5             -- seconds for a client to take the last response
local REFUSE = 5             -- seconds for options.refuse
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
---@field access_log any? what a line for each response is written to: a stream,
---  or a function
---@field log_format ("common"|"combined"|fun(entry: asyncrt.http.LogEntry):
---  string)? "common" by default
---@field max_connections integer? as for net.serve
---@field drain number? as for net.serve
---@field on_error any? as for net.serve
---@field refuse (fun(request: asyncrt.http.Request?,
---  response: asyncrt.http.Response, problem: any))? answers what the server
---  refuses, with response.status set
---@field tls (asyncrt.tls.Context|asyncrt.tls.Options)? as for net.serve; with
---  alpn = { "http/1.1" }
local defaults = {
  body_timeout = 60,
  header_timeout = 10,
  idle_timeout = 60,
  max_requests = 1000,
  read_timeout = 30,
  write_timeout = 30,
}

local MAX_BODY = 1024 * 1024 -- bytes

local known = {
  access_log = log.is_sink,
  body_timeout = "seconds",
  drain = "seconds",
  header_timeout = "seconds",
  idle_timeout = "seconds",
  limits = "table",
  log_format = log.is_format,
  max_body = "count",
  max_connections = "positive",
  max_requests = "positive",
  on_error = "any",
  read_timeout = "seconds",
  refuse = "callable",
  tls = "any",
  write_timeout = "seconds",
}

local server = {}

-- Closing with bytes unread would take the response from the client.
local function linger(self, stream)
  if not stream:flush() or not stream:shutdown() then return end
  rt.timeout(LINGER, function()
    while stream:read_into(self.unread) do end
  end)
end

-- Lets options.refuse answer; returns what goes wrong with that.
local function ask(self, request, response, problem)
  local ok, result = xpcall(rt.timeout, debug.traceback, REFUSE, function()
    self.refuse(request, response, problem)
    if response:has_begun() then response:finish() end
    return true
  end)
  if not ok then return result or tostring(result) end
  return not result and ("it has taken more than %d s"):format(REFUSE) or nil
end

local function tell_of_refuse(self, failure)
  if type(self.on_error) == "function" then
    self.on_error(failure, rt.current())
  else
    io.stderr:write(("asyncrt: http.serve: refuse: %s\n"):format(failure))
  end
end

local function last_response(connection, status)
  local response = connection:response()
  response.status = status
  return response
end

-- Answers with a status and its name, or as options.refuse does, and ends the
-- connection.
local function refuse(self, connection, status, request, problem)
  local failure
  if self.refuse then
    local response = last_response(connection, status)
    failure = ask(self, request, response, problem)
    if response:has_begun() then
      if failure then connection:cut() end
      return failure and tell_of_refuse(self, failure)
    end
  end
  local response = last_response(connection, status)
  response.headers["Content-Type"] = "text/plain"
  response:send(("%d %s\n"):format(status, core.reason(status)))
  if failure then tell_of_refuse(self, failure) end
end

local function add_to_log(self, guard, request, start)
  local status, bytes, complete = guard.connection:sent()
  self.log:add({
    peer = guard.peer,
    host = guard.host,
    request = request,
    status = status > 0 and status or 499,
    bytes = bytes,
    seconds = start and rt.now() - start or 0,
    complete = complete,
  })
end

-- Answers 500 where the handler raises; the error itself goes on.
local Guard = {}

function Guard:__close(err)
  local connection = self.connection
  self.server.connections[connection] = nil
  if err == nil then return end
  local failed = not rt.cancelled()
  if failed and self.request and self.server.tells then
    failures.keep(self.stream, log.first_line(self.request))
  end
  local answered = failed and connection:sent() == 0
  if answered then
    refuse(self.server, connection, 500, self.request, err)
  elseif failed then
    connection:cut()
  end
  if self.request and self.server.log then
    add_to_log(self.server, self, self.request, self.start)
  end
  if answered then linger(self.server, self.stream) end
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

-- A handler that sends nothing sends an empty response; one that returns what
-- another library would send means another.
local function check_result(result, response)
  if result == nil or type(result) == "boolean" or response:has_begun() then
    return
  end
  error(("the handler has sent nothing and returned a %s value; a response is "
    .. "sent by response:send"):format(type(result)), 0)
end

-- Does what the handler has left to do; false where the connection ends.
local function complete(self, connection, request, response, result)
  local failure = request.failure
  if failure and failure[3] and not response:has_begun() then
    refuse(self, connection, failure[3], request, failure[1])
    return false
  end
  check_result(result, response)
  return response:finish() and skip_body(request)
end

-- Answers one request after the other; false where the connection is no longer
-- the server's.
local function answer_all(self, connection, guard)
  local handler = self.handler
  local is_logged = self.log ~= nil
  local next_request, done = connection.next, connection.done
  while true do
    local request, response, _, status, refused = next_request(connection)
    if not request then
      if not status then return true end
      refuse(self, connection, status, refused, response)
      if is_logged then add_to_log(self, guard, refused) end
      return true
    end
    guard.request = request
    if is_logged then guard.start = rt.now() end
    local result = handler(request, response)
    local goes_on = done(connection)
    if not goes_on and not connection:is_upgraded() then
      goes_on = complete(self, connection, request, response, result)
        and done(connection)
    end
    if is_logged then add_to_log(self, guard, request, guard.start) end
    guard.request = nil
    if not goes_on then return not connection:is_upgraded() end
  end
end

local function serve_connection(self, stream)
  local connection <close> = core.connection(stream, self.settings)
  local guard <close> = setmetatable(
    { server = self, connection = connection, stream = stream }, Guard)
  if self.log then
    guard.peer = stream:peer() or "-"
    guard.host = log.host_of(guard.peer)
  end
  self.connections[connection] = true
  if self.stopping then connection:stop() end
  if answer_all(self, connection, guard) then linger(self, stream) end
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

-- Clients that know HTTP/2 too ask which it is to be.
local function with_protocol(tls)
  if type(tls) ~= "table" or tls.alpn then return tls end
  local options = { alpn = { "http/1.1" } }
  for name, value in pairs(tls) do options[name] = value end
  return options
end

-- What the connections have in common; or nil, and what is wrong.
local function new_settings(options)
  local own, limits = {}, { body = options.max_body or MAX_BODY }
  for name, value in pairs(defaults) do own[name] = options[name] or value end
  for name, value in pairs(options.limits or {}) do limits[name] = value end
  local ok, settings = pcall(core.settings, own, limits)
  if ok then return settings end
  return nil, settings:match("^bad argument.-%((.*)%)$")
end

local Helpers = {}

-- They end where no cancellation enters: a wait for them would raise it, and
-- serve returns where it is cancelled.
function Helpers:__close()
  self.watcher:cancel()
  if self.log then self.log:finish() end
  rt.shield(math.huge, function()
    self.watcher:join()
    if self.writer then self.writer:join() end
  end)
end

-- The tasks beside the connections.
local function start_helpers(self, group)
  local function spawn(name, ...)
    return group:spawn_with({ name = name, daemon = true }, ...)
  end
  local writer = self.log and spawn("http log", self.log.run, self.log)
  return setmetatable({
    log = self.log,
    watcher = spawn("http stop", watch, self),
    writer = writer,
  }, Helpers)
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
  options_.check_callable("serve", 2, handler)
  options_.check("serve", 3, options, known)
  options = options or {}
  local settings, problem = new_settings(options)
  if not settings then
    error("bad argument #3 to 'serve' (limits: " .. problem .. ")", 2)
  end
  local self = {
    connections = {},
    handler = handler,
    log = options.access_log and
      log.new(options.access_log, options.log_format),
    on_error = options.on_error,
    refuse = options.refuse,
    settings = settings,
    stopping = false,
    tells = options.on_error == nil or options.on_error == "log",
    unread = rt.buffer(),
  }
  rt.group(function(group)
    local _ <close> = start_helpers(self, group)
    net.serve(address, function(stream)
      serve_connection(self, stream)
    end, {
      drain = options.drain,
      max_connections = options.max_connections,
      on_error = options.on_error,
      tls = options.tls and with_protocol(options.tls),
    })
  end)
end

return server
