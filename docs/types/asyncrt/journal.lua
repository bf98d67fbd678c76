---@meta asyncrt.journal
-- luacheck: ignore 212 241

---@class asyncrt.journal.Options
---@field sync number? seconds until a line is on the disk, at most; 1

--- A file of lines that a program can resume from.
---@class asyncrt.Journal
local Journal = {}

--- The lines that were there when it was opened.
---@return fun(): string?
function Journal:lines() end

--- Adds a line; never waits for another task.
---@param line string without newline and zero
---@return true? appended
---@return string? message
---@return string? code
function Journal:append(line) end

--- [wait] Waits until all that was appended is on the disk.
---@return true? synced
---@return string? message
---@return string? code
function Journal:sync() end

--- Never waits: brings the rest to the disk in the background.
---@return true
function Journal:close() end

---@class asyncrt.journal
local journal = {}

--- Opens a journal for this process alone, or makes a new one.
---@param path string
---@param options asyncrt.journal.Options?
---@return asyncrt.Journal? journal
---@return string? message
---@return string? code "EBUSY" where it is open elsewhere
function journal.open(path, options) end

return journal
