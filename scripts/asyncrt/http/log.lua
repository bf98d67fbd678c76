--- The access log of a server: a line for each response.
---
--- What a client has sent cannot begin a line, end a field or steer a terminal:
--- control characters, quotes and backslashes are escaped, as is what is not
--- ASCII.
local rt = require("asyncrt")

local MOST_LINES = 10000 -- that may wait for a stream that is slow
local FLUSH = 5          -- seconds for the last lines

---@class asyncrt.http.LogEntry
---@field peer string address of the client
---@field host string the same without its port
---@field request asyncrt.http.Request? nil where it was not understood
---@field status integer of the response; 499 where the client was gone before
---@field bytes integer of the body that were sent
---@field seconds number from the head of the request to the end of the response
---@field complete boolean the response was sent to its end

local formats = {}

local function hex(c)
  return ("\\x%02X"):format(c:byte())
end

local function escape(text)
  if not text:find('[^ !#-%[%]-~]') then return text end
  return (text:gsub('["\\]', "\\%0"):gsub("[^ -~]", hex))
end

local months = { "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep",
  "Oct", "Nov", "Dec" }
local date_time, date_text

-- In English whatever the locale; made once a second.
local function date()
  local now = os.time()
  if now ~= date_time then
    local t = os.date("!*t", now)
    date_time = now
    date_text = ("%02d/%s/%d:%02d:%02d:%02d +0000"):format(t.day,
      months[t.month], t.year, t.hour, t.min, t.sec)
  end
  return date_text
end

local function first_line(request)
  if not request then return "-" end
  return escape(request.method .. " " .. request.target .. " HTTP/"
    .. request.version)
end

local function user_of(request)
  local user = request and request.user
  if type(user) ~= "string" then return "-" end
  return (escape(user):gsub(" ", "\\x20"))
end

--- The Common Log Format.
function formats.common(entry)
  local request = entry.request
  return entry.host .. " - " .. user_of(request) .. " [" .. date()
    .. '] "' .. first_line(request) .. '" ' .. entry.status .. " "
    .. entry.bytes
end

--- The same, and what the client says of itself.
function formats.combined(entry)
  local headers = entry.request and entry.request.headers or {}
  return formats.common(entry) .. ' "' .. escape(headers.referer or "-")
    .. '" "' .. escape(headers["user-agent"] or "-") .. '"'
end

---@class asyncrt.http.Log
---@field private sink any with a method `write`, or a function
---@field private format fun(entry: asyncrt.http.LogEntry): string
---@field private lines string[] that are to be written
---@field private bell asyncrt.Latch set when there is one, and at the end
---@field private over asyncrt.Latch set at the end
---@field private writing integer lines that are being written
---@field private lost integer lines that there was no room for
local Log = {}
Log.__index = Log

local log = {}

log.first_line = first_line

--- An address without its port, fit for a line.
---@param peer string
---@return string
function log.host_of(peer)
  return peer:match("^%[(.*)%]:%d+$") or peer:match("^([%d.]+):%d+$")
    or escape(peer)
end

--- Whether a value can be what lines are written to.
function log.is_sink(value)
  local ok, write = pcall(function() return value.write end)
  return type(value) == "function" or (ok and write ~= nil),
    "stream or function"
end

--- Whether a value can be a format.
function log.is_format(value)
  return formats[value] ~= nil or type(value) == "function",
    "'common', 'combined' or function"
end

local function checked(format)
  return function(entry)
    local line = format(entry)
    if type(line) ~= "string" then
      error("log_format has returned a " .. type(line) .. " value", 0)
    end
    return (line:gsub("[%z\1-\8\10-\31\127]", hex))
  end
end

---@param sink any
---@param format ("common"|"combined"|fun(entry: asyncrt.http.LogEntry):
---  string)?
---@return asyncrt.http.Log
function log.new(sink, format)
  return setmetatable({
    sink = sink,
    format = formats[format or "common"] or checked(format),
    lines = {},
    bell = rt.event(),
    over = rt.event(),
    lost = 0,
    writing = 0,
  }, Log)
end

--- Adds the line of an entry; never waits for a stream.
---@param entry asyncrt.http.LogEntry
function Log:add(entry)
  local line = self.format(entry)
  if type(self.sink) == "function" then return self.sink(line) end
  local count = #self.lines
  if count == MOST_LINES then
    self.lost = self.lost + 1
    return
  end
  self.lines[count + 1] = line
  if count == 0 then self.bell:set() end
end

local function tell_lost(count, reason)
  io.stderr:write(("asyncrt: access log: %d lines are lost: %s\n")
    :format(count, reason))
end

local TOO_SLOW = "its stream is too slow"

local function write_all(self)
  local lines, lost = self.lines, self.lost
  self.writing = #lines + lost
  self.lines, self.lost = {}, 0
  lines[#lines + 1] = ""
  local ok, message = self.sink:write(table.concat(lines, "\n"))
  if not ok or lost > 0 then
    tell_lost(ok and lost or self.writing, message or TOO_SLOW)
  end
  self.writing = 0
end

local function write_until_end(self)
  while true do
    self.bell:wait()
    if #self.lines == 0 then return end
    self.bell = rt.event()
    if self.over:is_set() then self.bell:set() end
    write_all(self)
  end
end

--- [wait] Writes lines as they come, until `finish`, which a cancellation does
--- not hasten.
function Log:run()
  rt.shield(math.huge, function()
    local writer <close> = rt.group()
    writer:spawn(write_until_end, self)
    self.over:wait()
    rt.timeout(FLUSH, writer.wait, writer)
    writer:cancel()
    local left = self.writing + #self.lines + self.lost
    if left > 0 then tell_lost(left, TOO_SLOW) end
  end)
end

--- No line follows.
function Log:finish()
  self.over:set()
  self.bell:set()
end

return log
