---@meta asyncrt.url
-- luacheck: ignore 212 241

---@class asyncrt.url.Parts
---@field scheme string?
---@field user string?
---@field password string?
---@field host string? without brackets, where it is an IPv6 address
---@field port integer?
---@field path string
---@field query string?
---@field fragment string?

---@class asyncrt.url.NormaliseOptions
---@field fragment boolean? false drops it; default true

---@class asyncrt.url
local url = {}

--- The parts of a URL or relative reference, as they are written.
---@param text string
---@return asyncrt.url.Parts?
---@return string? message
---@return "ESYNTAX"|"ELIMIT"|nil code
function url.parse(text) end

--- Where a reference leads from a page.
---@param base string with a scheme
---@param reference string
---@return string?
---@return string? message
---@return "ESYNTAX"|"ELIMIT"|nil code
function url.resolve(base, reference) end

--- The form that all spellings of one URL share.
---@param text string
---@param options asyncrt.url.NormaliseOptions?
---@return string?
---@return string? message
---@return "ESYNTAX"|"ELIMIT"|nil code
function url.normalise(text, options) end

--- Encodes what has a meaning in a URL.
---@param text string
---@return string
function url.encode(text) end

--- Decodes percent signs; one that begins no code stays.
---@param text string
---@return string
function url.decode(text) end

--- Takes a query as forms make them apart.
---@param query string
---@return table<string, string> first the first value of each name
---@return string[][] list a pair of name and value for each, in order
function url.parse_query(query) end

--- The query of values by name, or of a list of pairs.
---@param values table
---@return string
function url.build_query(values) end

return url
