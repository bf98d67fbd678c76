--- A request as a handler sees it: its head, and its body as it arrives.
local core = require("asyncrt.core.http_connection")

---@class asyncrt.http.Request: asyncrt.http.RequestHead
---@field path string of the target, not decoded
---@field query string? what follows the "?"
---@field params table<string, string> what a router's pattern has matched
---@field base string? what mounts have taken off the path
---@field trailers table<string, string|string[]>? once the body has ended
---@field private connection userdata
---@field private failure table? {message, code, status} of the body
local Request = core.request

-- What is the same for most requests is not stored in each.
Request.form = "origin"
Request.params = setmetatable({}, { __newindex = function()
  error("the request has no parameters to add to", 2)
end })
Request.version = "1.1"

-- The headers are made when they are first read; until then a request that is
-- over keeps them under a key of its own.
function Request:__pairs()
  local fields = { headers = self.headers }
  for name, value in next, self do
    if type(name) ~= "userdata" then fields[name] = value end
  end
  return pairs(fields)
end

--- [wait] Some of the body; nil at its end.
---@return string? bytes
---@return string? message
---@return string? code "LONG_BODY" and others of the parser, or of the stream
function Request:read()
  local failure = self.failure
  if failure then return nil, failure[1], failure[2] end
  local bytes, message, code, status = self.connection:read(self)
  if message then self.failure = { message, code, status } end
  return bytes, message, code
end

--- [wait] All of the body that is left.
---@return string? body
---@return string? message
---@return string? code
function Request:read_all()
  local pieces = {}
  while true do
    local bytes, message, code = self:read()
    if bytes then
      pieces[#pieces + 1] = bytes
    elseif message then
      return nil, message, code
    else
      return table.concat(pieces)
    end
  end
end

--- What was agreed on with the client of an HTTPS request; nil without TLS.
---@return asyncrt.tls.Info?
function Request:tls_info()
  return self.connection:stream():tls_info()
end

--- The body piece by piece; a failure raises. Each step is a [wait].
---@return fun(): string?
function Request:chunks()
  return function()
    local bytes, message = self:read()
    if message then error(message, 2) end
    return bytes
  end
end

--- The address of the client: of the last proxy, where there are some.
---@return string? address
---@return string? message
---@return string? code
function Request:peer()
  return self.connection:stream():peer()
end

return Request
