---@meta asyncrt.json
-- luacheck: ignore 212 241

---@class asyncrt.json.EncodeOptions
---@field indent integer? spaces for each level, 0 to 16; default 0: one line
---@field sort boolean? objects in the order of their keys; default true
---@field depth integer? how deep tables may nest, 1 to 2000; default 128

---@class asyncrt.json.DecodeOptions
---@field depth integer? how deep the text may nest, 1 to 2000; default 128
---@field size number? bytes that the text may have; default math.huge
---@field unique boolean? a key twice in an object is an error

---@class asyncrt.json
local json = {}

--- The value that stands for `null`.
---@type userdata
json.null = nil

--- Marks a table, or a new one, as an array: an empty one is written as `[]`.
---@param table table?
---@return table
function json.array(table) end

--- The text of a value; raises for what has no form in JSON, naming where it
--- is.
---@param value any
---@param options asyncrt.json.EncodeOptions?
---@return string
function json.encode(value, options) end

--- The value of a text.
---@param text string
---@param options asyncrt.json.DecodeOptions?
---@return any value json.null for `null`
---@return string? message with line and column
---@return "ESYNTAX"|"EOF"|"EENCODING"|"ERANGE"|"EDUPLICATE"|"ELIMIT"|nil code
function json.decode(text, options) end

return json
