--- A file of lines that a program can resume from, whatever ended it.
local core = require("asyncrt.core.journal")
local options = require("asyncrt.options")
local rt = require("asyncrt")

---@class asyncrt.journal.Options
---@field sync number? seconds until a line is on the disk, at most; 1

---@class asyncrt.Journal
---@field private path string
---@field private size integer bytes that it had when it was opened
---@field private file table of asyncrt.core.journal
---@field private appended asyncrt.Cond
local Journal = {}
Journal.__index = Journal

-- A failure is told by the next call.
local function sync_regularly(self, seconds)
  repeat
    self.appended:wait()
    rt.sleep(seconds)
  until not self.file:sync()
end

local journal = {}

--- Opens a journal for this process alone, or makes a new one. What is left of
--- a line that was being written when the process ended is cut off.
---@param path string
---@param given asyncrt.journal.Options?
---@return asyncrt.Journal?
---@return string? message
---@return string? code "EBUSY" where another process has it open
function journal.open(path, given)
  options.check("open", 2, given, { sync = "seconds" })
  local seconds = given and given.sync or 1
  local file, size, code = core.open(path, seconds < math.huge)
  if not file then return nil, size, code end
  local self = setmetatable({
    path = path,
    size = size,
    file = file,
    appended = rt.cond(),
  }, Journal)
  if seconds < math.huge then
    self.syncing = rt.spawn_with({ name = "journal", daemon = true },
      sync_regularly, self, seconds)
  end
  return self
end

--- The lines that were there when it was opened. Does not wait, but reads a
--- file.
---@return fun(): string?
function Journal:lines()
  local file, left = assert(io.open(self.path, "rb")), self.size
  return function()
    if left == 0 then
      file:close()
      return nil
    end
    local line = assert(file:read("l"))
    left = left - #line - 1
    return line
  end
end

--- Adds a line. Once it returns true, the end of the process does not lose the
--- line. Never waits for another task.
---@param line string without newline and zero
---@return true? appended
---@return string? message
---@return string? code
function Journal:append(line)
  local ok, message, code = self.file:append(line)
  if not ok then return nil, message, code end
  self.appended:notify()
  return true
end

--- Waits until all that was appended is on the disk. [wait]
---@return true? synced
---@return string? message
---@return string? code
function Journal:sync()
  return self.file:sync()
end

--- Brings the rest to the disk in the background. Never waits.
---@return true
function Journal:close()
  if self.syncing then self.syncing:cancel() end
  return self.file:close()
end

Journal.__close = Journal.close

return journal
