--- The answer to a request: with a length where it is sent at once, in chunks
--- where it is written piece by piece.

---@class asyncrt.http.Response
---@field status integer 200 until it is set
---@field headers table<string, string|number|(string|number)[]> a list is sent
---  as several fields
---@field private conn asyncrt.Stream
---@field private request asyncrt.http.Request
---@field private close boolean the connection ends with this response
---@field private framing ("none"|"length"|"chunked"|"eof")? once begun
---@field private left integer? bytes that are missing, with "length"
---@field private ended boolean
---@field private failure table? {message, code} of a write
local Response = {}
Response.__index = Response

local reasons = {
  [100] = "Continue", [200] = "OK", [201] = "Created", [202] = "Accepted",
  [204] = "No Content", [206] = "Partial Content", [301] = "Moved Permanently",
  [302] = "Found", [303] = "See Other", [304] = "Not Modified",
  [307] = "Temporary Redirect", [308] = "Permanent Redirect",
  [400] = "Bad Request", [401] = "Unauthorized", [403] = "Forbidden",
  [404] = "Not Found", [405] = "Method Not Allowed", [408] = "Request Timeout",
  [409] = "Conflict", [410] = "Gone", [413] = "Content Too Large",
  [414] = "URI Too Long", [415] = "Unsupported Media Type",
  [417] = "Expectation Failed", [422] = "Unprocessable Content",
  [426] = "Upgrade Required", [429] = "Too Many Requests",
  [431] = "Request Header Fields Too Large", [500] = "Internal Server Error",
  [501] = "Not Implemented", [502] = "Bad Gateway",
  [503] = "Service Unavailable", [504] = "Gateway Timeout",
  [505] = "HTTP Version Not Supported",
}

local days = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" }
local months = { "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep",
  "Oct", "Nov", "Dec" }
local date_time, date_text

-- In no locale but this one; made once a second.
local function date()
  local now = os.time()
  if now ~= date_time then
    local t = os.date("!*t", now)
    date_time = now
    date_text = ("%s, %02d %s %d %02d:%02d:%02d GMT"):format(days[t.wday],
      t.day, months[t.month], t.year, t.hour, t.min, t.sec)
  end
  return date_text
end

-- Makes the response to a request; `close` where the connection ends with it.
function Response.new(request, conn, close)
  return setmetatable({
    status = 200,
    headers = {},
    request = request,
    conn = conn,
    close = close,
    ended = false,
  }, Response)
end

local function write(self, bytes)
  if self.failure then return nil, self.failure[1], self.failure[2] end
  local ok, message, code = self.conn:write(bytes)
  if not ok then self.failure = { message, code } end
  return ok, message, code
end

local function check_field(name, value)
  if type(name) ~= "string" or not name:find("^[%w!#$%%&'*+.^_`|~-]+$") then
    error(("invalid header name %q"):format(tostring(name)), 0)
  end
  value = tostring(value)
  if value:find("[%z\1-\8\10-\31\127]") then
    error(("invalid value of header '%s'"):format(name), 0)
  end
  return value
end

local function add_field(lines, name, value)
  lines[#lines + 1] = name .. ": " .. check_field(name, value) .. "\r\n"
end

-- The fields that a handler gave; says what it gave of those that frame.
local function add_fields(self, lines)
  local names, given = {}, {}
  for name in pairs(self.headers) do
    if type(name) ~= "string" then check_field(name, "") end
    names[#names + 1] = name
  end
  table.sort(names)
  for _, name in ipairs(names) do
    local value, lower = self.headers[name], name:lower()
    given[lower] = value
    if lower == "transfer-encoding" then
      error("the transfer coding of a response is not to be chosen", 0)
    elseif lower == "connection" then
      self.close = self.close or tostring(value):lower():find("close") ~= nil
    elseif lower == "content-length" then
      given[lower] = math.tointeger(tonumber(value))
      if not given[lower] or given[lower] < 0 then
        error("invalid value of header 'Content-Length'", 0)
      end
    elseif type(value) == "table" then
      for _, each in ipairs(value) do add_field(lines, name, each) end
    else
      add_field(lines, name, value)
    end
  end
  return given
end

local function choose_framing(self, length)
  local status = self.status
  if status == 204 or status == 304 then
    return "none"
  elseif length then
    return "length"
  elseif self.request.version == "1.0" then
    self.close = true
    return "eof"
  end
  return "chunked"
end

-- The head as a string; `length` of a body that is known.
local function begin(self, length)
  local status = self.status
  if math.type(status) ~= "integer" or status < 200 or status > 999 then
    error(("invalid status %s"):format(tostring(status)), 0)
  end
  local lines = { ("HTTP/1.1 %d %s\r\n"):format(status, reasons[status] or "") }
  local given = add_fields(self, lines)
  length = length or given["content-length"]
  local framing = choose_framing(self, length)
  if not given.date then add_field(lines, "Date", date()) end
  if framing == "length" then
    add_field(lines, "Content-Length", ("%d"):format(length))
  elseif framing == "chunked" then
    add_field(lines, "Transfer-Encoding", "chunked")
  end
  -- A client that still waits for 100 Continue may send the body, or may not.
  if self.request.continue then self.close = true end
  if self.close then
    add_field(lines, "Connection", "close")
  elseif self.request.version == "1.0" then
    add_field(lines, "Connection", "keep-alive")
  end
  lines[#lines + 1] = "\r\n"
  self.request.continue = nil
  self.framing = self.request.method == "HEAD" and "none" or framing
  self.left = length
  return table.concat(lines)
end

--- [wait] Sends the whole response, with this body.
---@param body string? "" by default
---@return true?
---@return string? message
---@return string? code
function Response:send(body)
  body = body or ""
  if type(body) ~= "string" then error("a string is expected", 2) end
  if self.framing then error("the response has begun", 2) end
  local head = begin(self, #body)
  self.ended = true
  if self.framing == "none" then body = "" end
  return write(self, body == "" and head or { head, body })
end

-- Adds the bytes, as the framing wants them, to what is written.
local function add_body(self, pieces, bytes)
  if self.framing == "none" or bytes == "" then return end
  if self.framing == "length" then
    if #bytes > self.left then
      error("more bytes than the Content-Length of the response", 3)
    end
    self.left = self.left - #bytes
  end
  local is_chunk = self.framing == "chunked"
  if is_chunk then pieces[#pieces + 1] = ("%x\r\n"):format(#bytes) end
  pieces[#pieces + 1] = bytes
  if is_chunk then pieces[#pieces + 1] = "\r\n" end
end

--- [wait] Sends some of the body; the head before the first. It returns once
--- the client is no longer behind.
---@param bytes string
---@return true?
---@return string? message
---@return string? code
function Response:write(bytes)
  if type(bytes) ~= "string" then error("a string is expected", 2) end
  if self.ended then error("the response has ended", 2) end
  local pieces = {}
  if not self.framing then pieces[1] = begin(self) end
  add_body(self, pieces, bytes)
  return write(self, pieces)
end

--- [wait] Ends a response that was written piece by piece. The server calls it
--- after the handler.
---@return true?
---@return string? message
---@return string? code
function Response:finish()
  if self.ended then return true end
  if not self.framing then return self:send("") end
  if self.framing == "length" and self.left > 0 then
    error("fewer bytes than the Content-Length of the response", 2)
  end
  self.ended = true
  return write(self, self.framing == "chunked" and "0\r\n\r\n" or "")
end

--- Whether its head has been sent.
---@return boolean
function Response:has_begun()
  return self.framing ~= nil
end

--- [wait] Answers with a status and its name, and ends the connection.
function Response:_refuse(status)
  self.status = status
  self.headers = { ["Content-Type"] = "text/plain" }
  self.close = true
  return self:send(("%d %s\n"):format(status, reasons[status] or ""))
end

return Response
