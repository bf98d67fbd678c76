---@meta asyncrt.http
-- luacheck: ignore 212 241

--- A request: its head, and its body as it arrives.
---@class asyncrt.http.Request: asyncrt.http.RequestHead
---@field path string of the target, not decoded
---@field query string? what follows the "?"
---@field trailers table<string, string|string[]>? once the body has ended
local Request = {}

--- [wait] Some of the body; nil at its end.
---@return string? bytes
---@return string? message
---@return string? code
function Request:read() end

--- [wait] All of the body that is left.
---@return string? body
---@return string? message
---@return string? code
function Request:read_all() end

--- The body piece by piece; a failure raises. Each step is a [wait].
---@return fun(): string?
function Request:chunks() end

---@class asyncrt.http.Response
---@field status integer 200 until it is set
---@field headers table<string, string|number|(string|number)[]> a list is sent
---  as several fields
local Response = {}

--- [wait] Sends the whole response, with this body.
---@param body string? "" by default
---@return true?
---@return string? message
---@return string? code
function Response:send(body) end

--- [wait] Sends some of the body, after the head.
---@param bytes string
---@return true?
---@return string? message
---@return string? code
function Response:write(bytes) end

--- [wait] Ends a response that was written piece by piece; the server does it
--- after the handler.
---@return true?
---@return string? message
---@return string? code
function Response:finish() end

--- Whether the head has been sent.
---@return boolean
function Response:has_begun() end

---@class asyncrt.http.ServeOptions: asyncrt.net.ServeOptions
---@field max_body number? bytes; 1 MiB by default
---@field header_timeout number? seconds for a whole head; 10 by default
---@field idle_timeout number? seconds between two requests; 60 by default
---@field read_timeout number? seconds for each read of a body; 30 by default
---@field write_timeout number? seconds for each write; 30 by default
---@field max_requests integer? on one connection; 1000 by default
---@field limits asyncrt.http.Limits?

local http = {}

--- [wait] Serves until it is cancelled or the listener is closed.
---@param address string|asyncrt.Listener
---@param handler fun(request: asyncrt.http.Request,
---  response: asyncrt.http.Response)
---@param options asyncrt.http.ServeOptions?
function http.serve(address, handler, options) end

return http
