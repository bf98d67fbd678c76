---@meta asyncrt.progress
-- luacheck: ignore 212 241

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

--- A line that shows how far a program is.
---@class asyncrt.progress.Bar
local Bar = {}

--- Says what is to be shown; what is not named stays. Never waits.
---@param state asyncrt.progress.State
function Bar:update(state) end

--- [wait] Writes lines above the live one.
---@param text string
---@return true? written
---@return string? message
---@return string? code
function Bar:log(text) end

--- [wait] Shows the last state and ends the line.
---@return true? written
---@return string? message
---@return string? code
function Bar:finish() end

---@class asyncrt.progress
local progress = {}

--- `local bar <close> = progress.bar({ total = 100 })`
---@param options asyncrt.progress.Options?
---@return asyncrt.progress.Bar
function progress.bar(options) end

return progress
