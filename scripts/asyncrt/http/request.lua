--- A request as a handler sees it: its head, and its body as it arrives.
local rt = require("asyncrt")

---@class asyncrt.http.Request: asyncrt.http.RequestHead
---@field path string of the target, not decoded
---@field query string? what follows the "?"
---@field trailers table<string, string|string[]>? once the body has ended
---@field private conn asyncrt.Stream
---@field private parser asyncrt.http.Parser
---@field private read_timeout number seconds
---@field private continue (fun(): boolean?)? asks the client for the body
---@field private ended boolean the whole body has been read
---@field private failure table? {message, code, status} of the body
local Request = {}
Request.__index = Request

local function split_target(head)
  local target = head.target
  if head.form == "absolute" then
    target = target:match("^[^:]*://[^/?]*(.*)$")
    if target:sub(1, 1) ~= "/" then target = "/" .. target end
  end
  local mark = target:find("?", 1, true)
  if mark then
    return target:sub(1, mark - 1), target:sub(mark + 1)
  end
  return target
end

-- Makes the head of a request into the request.
function Request.new(head, conn, parser, read_timeout)
  head.conn = conn
  head.read_timeout = read_timeout
  head.parser = parser
  head.path, head.query = split_target(head)
  head.ended = false
  return setmetatable(head, Request)
end

local function fail(self, message, code, status)
  self.failure = { message, code, status }
  return nil, message, code
end

--- Gives the parser more bytes, or the end. Nothing where reading fails.
local function read_more(self)
  if self.continue then self.continue() end
  local conn = self.conn
  local bytes, message, code = rt.timeout(self.read_timeout, conn.read, conn)
  if bytes then
    self.parser:feed(bytes)
  elseif message == "timeout" and not code then
    return fail(self, "the body did not arrive in time", "ETIMEDOUT", 408)
  elseif message then
    return fail(self, message, code)
  else
    self.parser:finish()
  end
  return true
end

--- [wait] Some of the body; nil at its end.
---@return string? bytes
---@return string? message
---@return string? code "LONG_BODY" and others of the parser, or of the stream
function Request:read()
  while not self.ended and not self.failure do
    local event, value, code, status = self.parser:next()
    if event == "body" then
      return value
    elseif event == "end" then
      self.ended = true
    elseif event == "trailers" then
      self.trailers = value
    elseif value then
      fail(self, value, code, status)
    else
      read_more(self)
    end
  end
  if self.failure then
    return nil, self.failure[1], self.failure[2]
  end
  return nil
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

--- The body piece by piece; a failure raises. Each step is a [wait].
---@return fun(): string?
function Request:chunks()
  return function()
    local bytes, message = self:read()
    if message then error(message, 2) end
    return bytes
  end
end

return Request
