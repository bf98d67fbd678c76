---@meta asyncrt.http.parser
-- luacheck: ignore 212 241

--- Bytes; what is not given has its default.
---@class asyncrt.http.Limits
---@field start_line integer? 8192
---@field head integer? of all header fields; 32768
---@field fields integer? number of header fields; 100
---@field trailers integer? of all trailer fields; 8192
---@field extensions integer? of all chunk extensions of a message; 4096
---@field body number? math.huge

---@class asyncrt.http.Head
---@field version string "1.1"
---@field headers table<string, string|string[]> names in lower case; repeated
---  fields are joined by ", ", only set-cookie is a list
---@field framing ("length"|"chunked"|"eof")? nil without a body
---@field length integer? of a body whose framing is "length"
---@field keep_alive true? another message may follow
---@field upgrade true? Connection names Upgrade
---@field expects_continue true? the body waits for 100 Continue

---@class asyncrt.http.RequestHead: asyncrt.http.Head
---@field method string
---@field target string
---@field form "origin"|"absolute"|"authority"|"asterisk" of the target
---@field host string? of the target, or the Host field

---@class asyncrt.http.ResponseHead: asyncrt.http.Head
---@field status integer
---@field reason string

--- Turns bytes into events. Never waits.
---@class asyncrt.http.Parser
local Parser = {}

--- Gives it bytes. Raises while it has some left.
---@param bytes string
function Parser:feed(bytes) end

--- Tells that no byte follows.
function Parser:finish() end

--- The next event; nil alone: feed more. A message that is not allowed is nil,
--- a message, the error's name and the status to answer with.
---@return ("head"|"body"|"trailers"|"end")? event
---@return any value the head, a string, the trailer fields, or the message
---@return string? code
---@return integer? status
function Parser:next() end

--- After "end": goes on with the next message.
function Parser:restart() end

--- Takes the bytes that were not used.
---@return string
function Parser:rest() end

--- Says to which method the coming response is the answer.
---@param method string
function Parser:answers(method) end

--- Whether no byte of the next message has been fed.
---@return boolean
function Parser:is_idle() end

local parser = {}

--- A parser of requests.
---@param limits asyncrt.http.Limits?
---@return asyncrt.http.Parser
function parser.request(limits) end

--- A parser of responses.
---@param limits asyncrt.http.Limits?
---@return asyncrt.http.Parser
function parser.response(limits) end

return parser
