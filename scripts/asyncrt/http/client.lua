--- Fetches over HTTP/1.1 and HTTP/2, with libcurl on the runtime's loop.
---
--- A request is one transfer of libcurl for each redirect that it follows: the
--- redirects are taken here, so that what may follow them is decided here.
local core = require("asyncrt.core.curl")
local options = require("asyncrt.options")
local rt = require("asyncrt")

local TOKEN = "^[%w!#$%%&'*+.^_`|~-]+$" -- names of methods and fields

local SCHEMES_OF_PROXIES = {
  http = true, https = true, socks4a = true, socks5h = true,
}

---@class asyncrt.http.Client
---@field private core table of asyncrt.core.curl
---@field private defaults asyncrt.http.RequestOptions
---@field private closed boolean
local Client = {}
Client.__index = Client

---@class asyncrt.http.ClientResponse
---@field status integer
---@field reason string
---@field version string "1.0", "1.1" or "2"
---@field headers table<string, string|string[]> by names in any case
---@field url string that answered, without credentials
---@field trailers table<string, string|string[]>? once the body has ended
---@field body asyncrt.Stream
---@field private all table options of read_all
local Response = {}

function Response:__index(name)
  if name == "trailers" then return (core.trailers(rawget(self, "body"))) end
  return Response[name]
end

--- [wait] Some of the body, at most `n` bytes, as it arrives; nil at its end.
---@param n integer? 65536 by default
---@return string? bytes
---@return string? message
---@return string? code
function Response:read(n)
  return self.body:read(n)
end

--- [wait] All of the body that is left.
---@param limit {max: integer}? `max_body` of the request by default
---@return string? body
---@return string? message
---@return string? code
function Response:read_all(limit)
  return self.body:read_all(limit or self.all)
end

--- The body piece by piece; a failure raises. Each step is a [wait].
---@param n integer? bytes, at most; 65536 by default
---@return fun(): string?
function Response:chunks(n)
  return self.body:chunks(n)
end

--- The lines of the body, without their ends; a failure raises. Each step is a
--- [wait].
---@param limit {max: integer}? bytes of a line; 64 KiB by default
---@return fun(): string?
function Response:lines(limit)
  return self.body:lines(limit)
end

--- Gives up what is left of the body, and with it the connection. A response
--- that was read to its end need not be closed.
---@return true
function Response:close()
  return self.body:reset()
end

Response.__close = Response.close

-- --- Options ---

local function is_limit(value)
  local integer = math.type(value) == "integer" and value >= 0
  return integer or value == math.huge, "number of bytes"
end

local of_tls = { ca = true, cert = true, key = true, password = true }

local function is_tls(value)
  if type(value) ~= "table" then return false, "table" end
  for name, each in pairs(value) do
    if name == "verify" then
      if type(each) ~= "boolean" then return false, "boolean 'verify'" end
    elseif not of_tls[name] then
      return false, "table of ca, cert, key, password and verify"
    elseif type(each) ~= "string" or each:find("\0", 1, true) then
      return false, ("string '%s'"):format(name)
    end
  end
  return true
end

local function is_proxy(value)
  if type(value) ~= "string" or value:find("\0", 1, true) then
    return false, "URL"
  end
  local scheme, rest = value:match("^(%w+)://(.+)$")
  return SCHEMES_OF_PROXIES[scheme] and rest:find(":%d+/?$") ~= nil,
    "http, https, socks4a or socks5h URL with a port"
end

local function is_auth(value)
  return type(value) == "table" and type(value[1]) == "string" and
    type(value[2]) == "string", "list of a user and a password"
end

local function is_http2(value)
  return type(value) == "boolean" or value == "prior", "boolean or 'prior'"
end

local function is_method(value)
  return type(value) == "string" and value:find(TOKEN) ~= nil,
    "name of a method"
end

-- A stream is whatever has a method `read`.
local function is_stream(value)
  local kind = type(value)
  if kind ~= "table" and kind ~= "userdata" then return false end
  local ok, read = pcall(function() return value.read end)
  return ok and read ~= nil
end

local function is_body(value)
  local kind = type(value)
  return kind == "string" or kind == "function" or is_stream(value),
    "string, function or stream"
end

local function is_cookies(value)
  return type(value) == "boolean" or
    (type(value) == "string" and not value:find("\0", 1, true)),
    "boolean or path"
end

local known = {
  auth = is_auth,
  connect_timeout = "seconds",
  decompress = "boolean",
  follow = "boolean",
  headers = "table",
  http2 = is_http2,
  idle_timeout = "seconds",
  max_body = is_limit,
  max_header = is_limit,
  max_ratio = "positive",
  max_redirects = "count",
  proxy = is_proxy,
  public_only = "boolean",
  timeout = "seconds",
  tls = is_tls,
}

local known_of_request = setmetatable({
  body = is_body,
  method = is_method,
  url = "string",
}, { __index = known })
local known_of_client = setmetatable({
  cookies = is_cookies,
  max_connections = "count",
  max_per_host = "count",
}, { __index = known })

---@class asyncrt.http.RequestOptions
local defaults = {
  connect_timeout = 10,
  decompress = true,
  follow = true,
  http2 = true,
  idle_timeout = 60,
  max_body = 16 * 1024 * 1024,
  max_header = 32 * 1024,
  max_ratio = 100,
  max_redirects = 10,
  public_only = false,
  timeout = 60,
}
local MOST_CONNECTIONS = 256
local MOST_FIELDS = 100
local NOTHING = {}
local READ_SIZE = 65536 -- bytes of a streamed body at once

-- --- Fields ---

--- What the user has called: a function's name, and the number of the argument
--- that holds the headers.
---@class asyncrt.http.Call
---@field [1] string
---@field [2] integer
local CLIENT, GET, POST, REQUEST =
  { "client", 1 }, { "get", 2 }, { "post", 3 }, { "request", 1 }

local function bad_field(call, format, ...)
  options.raise(("bad argument #%d to '%s' (option 'headers': %s)")
    :format(call[2], call[1], format:format(...)))
end

local function check_value(call, name, value)
  local kind = type(value)
  if kind ~= "string" and kind ~= "number" then
    bad_field(call, "string expected as value of '%s', got %s", name, kind)
  end
  value = tostring(value)
  if value:find("[%z\1-\8\10-\31\127]") then
    bad_field(call, "invalid value of '%s'", name)
  end
  return value
end

-- Adds a field to those known by their names in lower case: {name, values}, or
-- {name, false} for one that is not to be sent though it would be otherwise.
local function set_field(call, named, name, value)
  if type(name) ~= "string" then
    bad_field(call, 'a name expected, as in {["X-Name"] = "value"}, got [%s]',
      type(name) == "number" and name or type(name))
  elseif not name:find(TOKEN) then
    bad_field(call, "invalid name '%s'", name)
  end
  local lower = name:lower()
  if lower == "transfer-encoding" then
    bad_field(call, "the transfer coding is not to be chosen")
  end
  local values = false
  if type(value) == "table" then
    values = {}
    for i, each in ipairs(value) do
      values[i] = check_value(call, name, each)
    end
  elseif value ~= false then
    values = { check_value(call, name, value) }
  end
  named[lower] = { name, values }
end

-- The lines of the fields, sorted: no order of a table is seen outside.
local function to_lines(named)
  if next(named) == nil then return NOTHING end
  local names, lines = {}, {}
  for lower in pairs(named) do names[#names + 1] = lower end
  table.sort(names)
  for _, lower in ipairs(names) do
    local name, values = named[lower][1], named[lower][2]
    if not values then lines[#lines + 1] = name .. ":" end
    for _, value in ipairs(values or {}) do
      -- Behind a colon, an empty value would keep the field from being sent.
      lines[#lines + 1] = value == "" and name .. ";" or name .. ": " .. value
    end
  end
  return lines
end

-- --- Bodies ---

-- Writes all that the source gives to the transfer; message and code of the
-- source, where that fails.
local function feed(transfer, source)
  local is_function = type(source) == "function"
  while true do
    local bytes, message, code
    if is_function then
      bytes, message, code = source()
    else
      bytes, message, code = source:read(READ_SIZE)
    end
    if bytes then
      if not transfer:write(bytes) then return end
    elseif message then
      transfer:reset()
      return message, code
    else
      transfer:shutdown()
      return
    end
  end
end

-- Waits for the head while a task of its own sends the body, and then until
-- the body has been sent, or is not wanted.
local function exchange_with_body(transfer, source)
  local failure, failure_code
  local head
  rt.group(function(group)
    local feeder = group:spawn(function()
      failure, failure_code = feed(transfer, source)
    end)
    head = table.pack(core.head(transfer))
    if head[1] and head[1] < 300 then core.sent(transfer) end
    feeder:cancel()
  end)
  if failure then return nil, failure, failure_code end
  return table.unpack(head, 1, head.n)
end

-- --- Redirects ---

local redirects = { [301] = true, [302] = true, [303] = true, [307] = true,
  [308] = true }

local function without_credentials(url)
  return (url:gsub("^(%a[%w+.-]*://)[^/?#]*@", "%1"))
end

local function refuse(request, code, format, ...)
  return nil, ("%s %s: %s"):format(request.method:lower(),
    without_credentials(request.url), format:format(...)), code
end

local function is_same_origin(a, b)
  local scheme, host, port = core.origin(a)
  local other_scheme, other_host, other_port = core.origin(b)
  return scheme == other_scheme and port == other_port and
    host:lower() == other_host:lower()
end

-- What is told to one server is not told to another.
local function drop_credentials(request)
  request.user, request.password = nil, nil
  request.named.authorization = nil
  request.named.cookie = nil
end

-- Makes it a request without a body.
local function drop_body(request)
  request.method = "GET"
  request.source, request.body, request.length = nil, nil, nil
  request.streams = false
  request.named["content-type"] = nil
end

-- Makes the request the one that the redirect asks for.
local function redirect(request, status, location)
  local url = core.resolve(request.url, location)
  local scheme, _, _, user, password = core.origin(url or "")
  if not scheme then
    return refuse(request, "EREDIRECT", "redirected to what is not a URL")
  elseif scheme ~= "http" and scheme ~= "https" then
    return refuse(request, "EREDIRECT", "redirected to a URL of %s", scheme)
  end
  if status == 303 and request.method ~= "HEAD" or
    (status == 301 or status == 302) and request.method == "POST" then
    drop_body(request)
  elseif request.source then
    return refuse(request, "EREDIRECT",
      "redirected, and the body cannot be sent again")
  end
  if not is_same_origin(request.url, url) then drop_credentials(request) end
  if user ~= "" then request.user, request.password = user, password end
  request.url = url
  request.fields = to_lines(request.named)
  return true
end

-- --- Requests ---

-- Closes a transfer that nobody has got.
local Guard = {}

function Guard:__close()
  if self.transfer then self.transfer:reset() end
end

local function exchange(client, request, guard)
  local transfer = client.core:start(request)
  guard.transfer = transfer
  if request.source then return exchange_with_body(transfer, request.source) end
  return core.head(transfer)
end

local function perform(client, request)
  local guard <close> = setmetatable({ transfer = false }, Guard)
  local hops = 0
  while true do
    local status, reason, version, headers = exchange(client, request, guard)
    if not status then return nil, reason, version end
    local location = redirects[status] and request.follow and headers.location
    if not location then
      local body = guard.transfer
      guard.transfer = false
      return setmetatable({
        all = { max = request.max_body },
        body = body,
        headers = headers,
        reason = reason,
        status = status,
        url = without_credentials(request.url),
        version = version,
      }, Response)
    end
    guard.transfer:reset()
    hops = hops + 1
    if hops > request.max_redirects then
      return refuse(request, "ELOOP", "more than %d redirects",
        request.max_redirects)
    end
    local ok, message, code = redirect(request, status, location)
    if not ok then return nil, message, code end
  end
end

-- The request as asyncrt.core.curl wants it.
---@param call asyncrt.http.Call
local function prepare(call, client, method, url, body, given)
  if client.closed then error("the client is closed", 3) end
  local request, named = core.copy(client.defaults), {}
  for name, value in pairs(given or NOTHING) do request[name] = value end
  for name, value in pairs(client.defaults.headers or NOTHING) do
    set_field(call, named, name, value)
  end
  for name, value in pairs(given and given.headers or NOTHING) do
    set_field(call, named, name, value)
  end
  if request.public_only and request.proxy then
    error("public_only cannot be checked behind a proxy", 3)
  end
  request.url, request.method, request.body = url, method, body
  request.max_fields = MOST_FIELDS
  if request.auth then
    request.user, request.password = request.auth[1], request.auth[2]
  end
  local length = named["content-length"]
  named["content-length"] = nil -- libcurl counts itself
  if body and type(body) ~= "string" then
    request.source, request.streams, request.body = body, true, nil
    request.length = length and math.tointeger(tonumber(length[2][1]))
  end
  request.expects = named.expect ~= nil
  if body then
    -- libcurl would call any body a form, and wait before it sends a long one.
    named["content-type"] = named["content-type"] or { "Content-Type", false }
    named.expect = named.expect or { "Expect", false }
  end
  request.named, request.fields = named, to_lines(named)
  return request
end

local function check_body(name, arg, value)
  if is_body(value) then return end
  error(("bad argument #%d to '%s' (string, function or stream expected, "
    .. "got %s)"):format(arg, name, type(value)), 3)
end

local function check_request(given)
  if type(given) ~= "table" then
    error(("bad argument #1 to 'request' (table expected, got %s)")
      :format(type(given)), 3)
  elseif given.url == nil then
    error("bad argument #1 to 'request' (option 'url' is missing)", 3)
  end
end

local function method_of(given)
  return given.method or given.body and "POST" or "GET"
end

--- [wait] Fetches a URL; returns once the head of the response is there.
---@param url string
---@param given asyncrt.http.RequestOptions?
---@return asyncrt.http.ClientResponse?
---@return string? message
---@return string? code
function Client:get(url, given)
  options.check_string("get", 1, url)
  options.check("get", 2, given, known)
  local request = prepare(GET, self, "GET", url, nil, given)
  return perform(self, request)
end

--- [wait] Sends a body to a URL; returns once the head of the response is
--- there.
---@param url string
---@param body string|asyncrt.http.Body
---@param given asyncrt.http.RequestOptions?
---@return asyncrt.http.ClientResponse?
---@return string? message
---@return string? code
function Client:post(url, body, given)
  options.check_string("post", 1, url)
  check_body("post", 2, body)
  options.check("post", 3, given, known)
  local request = prepare(POST, self, "POST", url, body, given)
  return perform(self, request)
end

--- [wait] Performs any request; returns once the head of the response is there.
---@param given asyncrt.http.RequestTable
---@return asyncrt.http.ClientResponse?
---@return string? message
---@return string? code
function Client:request(given)
  check_request(given)
  options.check("request", 1, given, known_of_request)
  local request = prepare(REQUEST, self, method_of(given), given.url,
    given.body, given)
  return perform(self, request)
end

--- How many requests are under way, and how many connections are open.
---@return {requests: integer, connections: integer}
function Client:stats()
  local requests, connections = self.core:stats()
  return { requests = requests, connections = connections }
end

--- Ends the requests that are under way, with "ECLOSED", and closes the
--- connections.
---@return true
function Client:close()
  self.closed = true
  return self.core:close()
end

Client.__close = Client.close

-- --- The module ---

local client = {}

local function new(given, is_shared)
  local settings = {}
  for name, value in pairs(defaults) do settings[name] = value end
  for name, value in pairs(given) do settings[name] = value end
  local connections = given.max_connections or MOST_CONNECTIONS
  local per_host = given.max_per_host or math.huge
  settings.max_connections, settings.max_per_host = nil, nil
  settings.cookies = nil
  return setmetatable({
    closed = false, -- there already: to close takes no memory
    core = core.client({
      cookies = given.cookies or nil,
      is_shared = is_shared,
      max_connections = connections ~= math.huge and connections or 0,
      max_per_host = per_host ~= math.huge and per_host or 0,
    }),
    defaults = settings,
  }, Client)
end

--- A client of its own: connections, cookies, and what its requests have unless
--- they say otherwise.
---@param given asyncrt.http.ClientOptions?
---@return asyncrt.http.Client
function client.client(given)
  options.check("client", 1, given, known_of_client)
  for name, value in pairs(given and given.headers or NOTHING) do
    set_field(CLIENT, {}, name, value)
  end
  return new(given or {})
end

local shared

local function the_shared()
  shared = shared or new({}, true)
  return shared
end

-- Tail calls: a mistake is one of whoever called these.

function client.get(url, given)
  return the_shared():get(url, given)
end

function client.post(url, body, given)
  return the_shared():post(url, body, given)
end

function client.request(given)
  return the_shared():request(given)
end

return client
