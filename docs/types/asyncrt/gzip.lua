---@meta asyncrt.gzip
-- luacheck: ignore 212 241

---@class asyncrt.gzip.CompressOptions
---@field level integer? 0 to 9; 6 by default

---@class asyncrt.gzip.DecompressOptions
---@field max number? bytes that may come out; 16 MiB by default
---@field ratio number? how many times as long that may be, beyond 1 MiB; 100 by
---  default

local gzip = {}

--- [wait] Lets other tasks run after each 64 KiB.
---@param data string
---@param options asyncrt.gzip.CompressOptions?
---@return string
function gzip.compress(data, options) end

--- [wait] What gzip has made; never holds more than `max`.
---@param data string
---@param options asyncrt.gzip.DecompressOptions?
---@return string? data
---@return string? message
---@return string? code "ELIMIT", "EBOMB", "EENCODING" or "ETRUNCATED"
function gzip.decompress(data, options) end

return gzip
