--- A line that shows how far a program is: live on a terminal, a plain one now
--- and then elsewhere.
local options = require("asyncrt.options")
local rt = require("asyncrt")

local PERIOD = 0.1  -- seconds between two drawings of a live line, at least
local IDLE = 1      -- seconds after which it is drawn though nothing changed
local WINDOW = 10   -- seconds over which the rate is taken
local GRACE = 1     -- seconds for the last line, where it is cancelled
local WIDTH = 80    -- columns, where a terminal does not tell

---@class asyncrt.progress.Options
---@field total integer? how many there are to do
---@field label string? what the line begins with
---@field stream asyncrt.Stream? where it is written; rt.stderr by default
---@field every number? seconds between two lines where that is no terminal; 5

---@class asyncrt.progress.State
---@field done integer?
---@field failed integer?
---@field active integer?
---@field total integer?

---@class asyncrt.progress.Bar
---@field private state asyncrt.progress.State
---@field private samples table[] { time, count } of the last seconds
---@field private changed asyncrt.Cond
---@field private dirty boolean something has changed since the last drawing
---@field private shown integer columns that the live line takes
---@field private lock asyncrt.Mutex of the stream
---@field private task asyncrt.Task what draws
local Bar = {}
Bar.__index = Bar

--- # The text

-- What comes from elsewhere shall not drive the terminal.
local function escape(text)
  text = text:gsub("[\0-\8\11-\31\127]", function(c)
    return ("\\x%02X"):format(c:byte())
  end)
  return (text:gsub("\xC2[\x80-\x9F]", function(c)
    return ("\\x%02X"):format(c:byte(2))
  end))
end

local function columns_of(text)
  return utf8.len(text) or #text
end

local function cut(text, columns)
  if columns_of(text) <= columns then return text end
  if not utf8.len(text) then return text:sub(1, columns) end
  return text:sub(1, utf8.offset(text, columns + 1) - 1)
end

-- Of a whole number of seconds.
local function duration(seconds)
  local minutes = ("%d:%02d"):format(seconds // 60, seconds % 60)
  if seconds < 3600 then return minutes end
  return ("%d:%02d:%02d"):format(seconds // 3600, seconds // 60 % 60,
    seconds % 60)
end

local function count_of(self)
  return (self.state.done or 0) + (self.state.failed or 0)
end

-- How many a second over the last seconds.
local function current_rate(self)
  local samples, now = self.samples, rt.now()
  if now >= samples[#samples][1] + IDLE then
    samples[#samples + 1] = { now, count_of(self) }
  end
  while #samples > 1 and samples[2][1] <= now - WINDOW do
    table.remove(samples, 1)
  end
  local elapsed = now - samples[1][1]
  return elapsed > 0 and (count_of(self) - samples[1][2]) / elapsed or 0
end

local function describe(self, rate, ending)
  local state = self.state
  local parts = { ("%d done"):format(state.done or 0) }
  if state.total then
    parts[1] = ("%d/%d done"):format(state.done or 0, state.total)
  end
  for _, name in ipairs({ "active", "failed" }) do
    if state[name] then parts[#parts + 1] = state[name] .. " " .. name end
  end
  parts[#parts + 1] = ("%.1f/s"):format(rate)
  parts[#parts + 1] = ending
  return self.label .. table.concat(parts, ", ")
end

local function live_text(self)
  local rate, left = current_rate(self), nil
  if self.state.total and rate > 0 then
    local rest = math.max(0, self.state.total - count_of(self))
    left = duration(math.ceil(rest / rate)) .. " left"
  end
  return describe(self, rate, left)
end

local function last_text(self)
  local elapsed = rt.now() - self.start
  local rate = elapsed > 0 and count_of(self) / elapsed or 0
  local text = elapsed < 60 and ("%.1f s"):format(elapsed) or
    duration(math.ceil(elapsed))
  return describe(self, rate, "took " .. text)
end

--- # The line

-- Spaces that cover what is left of the live line.
local function padding(self, text)
  return (" "):rep(self.shown - columns_of(text))
end

-- Writes all of it at once, so that nothing comes in between.
local function write(self, ...)
  local _ <close> = self.lock:acquire()
  return self.stream:write({ ... })
end

local function fit(self, text)
  local columns = self.stream:window_size()
  if not columns or columns == 0 then columns = WIDTH end
  return cut(text, columns - 1) -- one in the last column might wrap
end

local function draw(self)
  local text = fit(self, live_text(self))
  local pad = padding(self, text)
  self.dirty, self.shown = false, columns_of(text)
  return write(self, "\r", text, pad)
end

local function draw_live(self)
  while draw(self) do
    rt.sleep(PERIOD)
    if not self.dirty then
      rt.sync_timeout(IDLE - PERIOD, self.changed:wait_evt())
    end
  end
end

local function draw_plain(self)
  repeat
    rt.sleep(self.every)
    if not self.dirty then self.changed:wait() end
    self.dirty = false
  until not write(self, live_text(self), "\n")
end

--- # The bar

local bar_options = {
  every = "seconds",
  label = "string",
  stream = "any",
  total = "integer",
}

local update_options = {
  active = "integer",
  done = "integer",
  failed = "integer",
  total = "integer",
}

local progress = {}

--- Starts to show a line: `local bar <close> = progress.bar({ total = 100 })`.
---@param given asyncrt.progress.Options?
---@return asyncrt.progress.Bar
function progress.bar(given)
  options.check("bar", 1, given, bar_options)
  given = given or {}
  local stream = given.stream or rt.stderr
  local self = setmetatable({
    label = given.label and escape(given.label) .. ": " or "",
    every = given.every or 5,
    stream = stream,
    live = stream:is_tty(),
    state = { total = given.total },
    start = rt.now(),
    samples = { { rt.now(), 0 } },
    changed = rt.cond(),
    dirty = true,
    shown = 0,
    lock = rt.mutex(),
  }, Bar)
  self.task = rt.spawn_with({ name = "progress", daemon = true },
    self.live and draw_live or draw_plain, self)
  return self
end

--- Says what is to be shown; what is not named stays. Never waits.
---@param state asyncrt.progress.State
function Bar:update(state)
  options.check("update", 1, state, update_options)
  for name, value in pairs(state) do self.state[name] = value end
  self.dirty = true
  self.changed:notify()
end

--- Writes lines above the live one. [wait]
---@param text string
---@return true? written
---@return string? message
---@return string? code
function Bar:log(text)
  options.check_string("log", 1, text)
  text = escape(text)
  if not self.live or self.finished then return write(self, text, "\n") end
  local line = fit(self, live_text(self))
  local first, rest = text:match("^([^\n]*)(.*)$")
  local pad = padding(self, first)
  self.shown = columns_of(line)
  return write(self, "\r", first, pad, rest, "\n", line)
end

--- Shows the last state, with the time that all has taken, and ends the line.
--- [wait]
---@return true? written
---@return string? message
---@return string? code
function Bar:finish()
  if self.finished then return true end
  self.finished = true
  self.task:cancel()
  local text = last_text(self)
  if not self.live then return write(self, text, "\n") end
  text = fit(self, text)
  return write(self, "\r", text, padding(self, text), "\n")
end

-- The end of a block that is cancelled has a last line too.
function Bar:__close()
  rt.shield(GRACE, self.finish, self)
end

return progress
