---@meta asyncrt.http
-- luacheck: ignore 212 241

--- A request: its head, and its body as it arrives.
---@class asyncrt.http.Request: asyncrt.http.RequestHead
---@field path string of the target, not decoded
---@field query string? what follows the "?"
---@field trailers table<string, string|string[]>? once the body has ended
---@field params table<string, string> what a router's pattern has matched
---@field base string? what mounts have taken off the path
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

--- What was agreed on with the client of an HTTPS request; nil without TLS.
---@return asyncrt.tls.Info?
function Request:tls_info() end

--- The body piece by piece; a failure raises. Each step is a [wait].
---@return fun(): string?
function Request:chunks() end

--- The address of the client, or of the last proxy.
---@return string? address
---@return string? message
---@return string? code
function Request:peer() end

---@class asyncrt.http.Response
---@field status integer 200 until it is set
---@field headers table<string, string|number|(string|number)[]> a list is sent
---  as several fields
---@field trailers table<string, string|number|(string|number)[]>? sent behind a
---  body in chunks
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

--- [wait] Answers 101, or 200 to CONNECT, and hands the connection over.
---@param protocol string? not for CONNECT
---@return asyncrt.Stream? stream
---@return string? message
---@return string? code
function Response:upgrade(protocol) end

---@alias asyncrt.http.Handler fun(request: asyncrt.http.Request,
---  response: asyncrt.http.Response)

--- Itself a handler: calls the one whose pattern matches.
---@class asyncrt.http.Router
---@operator call: fun(request: asyncrt.http.Request,
---  response: asyncrt.http.Response)
local Router = {}

--- Raises for a malformed pattern, and for one that overlaps another where
--- neither is more specific.
---@param pattern string "/path" or "METHOD /path"; a segment may be {name}, the
---  last {name...} or {$}
---@param handler asyncrt.http.Handler
function Router:handle(pattern, handler) end

---@param path string
---@param handler asyncrt.http.Handler
function Router:get(path, handler) end

---@param path string
---@param handler asyncrt.http.Handler
function Router:post(path, handler) end

---@param path string
---@param handler asyncrt.http.Handler
function Router:put(path, handler) end

---@param path string
---@param handler asyncrt.http.Handler
function Router:patch(path, handler) end

---@param path string
---@param handler asyncrt.http.Handler
function Router:delete(path, handler) end

--- Hands what is below a path to another handler, with a path that lacks the
--- prefix.
---@param prefix string may have parameters
---@param handler asyncrt.http.Handler
function Router:mount(prefix, handler) end

---@class asyncrt.http.RouterOptions
---@field refuse asyncrt.http.Handler? answers 404, 405 and the like

---@class asyncrt.http.LogEntry
---@field peer string address of the client
---@field host string the same without its port
---@field request asyncrt.http.Request? nil where it was not understood
---@field status integer 499 where the client was gone before
---@field bytes integer of the body that were sent
---@field seconds number
---@field complete boolean

---@class asyncrt.http.ServeOptions: asyncrt.net.ServeOptions
---@field body_timeout number? seconds of waiting for a body; 60 by default
---@field header_timeout number? seconds for a whole head; 10 by default
---@field max_body number? bytes; 1 MiB by default
---@field access_log (asyncrt.Stream|file*|fun(line: string))? a line for each
---  response
---@field log_format ("common"|"combined"|fun(entry: asyncrt.http.LogEntry):
---  string)? "common" by default
---@field idle_timeout number? seconds between two requests; 60 by default
---@field read_timeout number? seconds for each read of a body; 30 by default
---@field write_timeout number? seconds for each write; 30 by default
---@field max_requests number? on one connection; 1000 by default
---@field limits asyncrt.http.Limits?
---@field refuse (fun(req: asyncrt.http.Request?, res: asyncrt.http.Response,
---  problem: any))? answers what the server refuses

local http = {}

---@class asyncrt.http.GzipOptions
---@field level integer? 1 to 9; 5 by default
---@field min_size integer? bytes from which on a body is compressed; 1024 by
---  default

--- A handler that calls another one and compresses what that sends, where the
--- client takes it and it is worth it.
---@param handler asyncrt.http.Handler
---@param options asyncrt.http.GzipOptions?
---@return asyncrt.http.Handler
function http.gzip(handler, options) end

--- A router without routes.
---@param options asyncrt.http.RouterOptions?
---@return asyncrt.http.Router
function http.router(options) end

--- [wait] Serves until it is cancelled or the listener is closed.
---@param address string|asyncrt.Listener
---@param handler asyncrt.http.Handler
---@param options asyncrt.http.ServeOptions?
function http.serve(address, handler, options) end

--- A response of the client: its head, and its body as it arrives.
---@class asyncrt.http.ClientResponse
---@field status integer
---@field reason string
---@field version string "1.0", "1.1" or "2"
---@field headers table<string, string|string[]> by names in any case
---@field trailers table<string, string|string[]>? once the body has ended
---@field url string that answered, without credentials
---@field body asyncrt.Stream
local ClientResponse = {}

--- [wait] Some of the body; nil at its end.
---@param n integer? bytes, at most; 65536 by default
---@return string? bytes
---@return string? message
---@return string? code
function ClientResponse:read(n) end

--- [wait] All of the body that is left.
---@param limit {max: integer}? `max_body` of the request by default
---@return string? body
---@return string? message
---@return string? code
function ClientResponse:read_all(limit) end

--- The body piece by piece; a failure raises. Each step is a [wait].
---@param n integer? bytes, at most; 65536 by default
---@return fun(): string?
function ClientResponse:chunks(n) end

--- The lines of the body; a failure raises. Each step is a [wait].
---@param limit {max: integer}? bytes of a line; 65536 by default
---@return fun(): string?
function ClientResponse:lines(limit) end

--- Gives up what is left of the body.
---@return true
function ClientResponse:close() end

---@alias asyncrt.http.Body
---| fun(): string?, string?, string? the next bytes; nil at the end
---| asyncrt.Stream
---| asyncrt.http.ClientResponse
---| asyncrt.http.Request

---@class asyncrt.http.ClientTls
---@field ca string? PEM, or the path of a file, as all of these
---@field cert string?
---@field key string?
---@field password string? of the key
---@field verify boolean? true by default

---@class asyncrt.http.RequestOptions
---@field headers table<string, string|number|(string|number)[]|false>?
---@field timeout number? seconds for all of it; 60 by default
---@field connect_timeout number? seconds; 10 by default
---@field idle_timeout number? seconds without a byte; 60 by default
---@field max_body number? bytes; 16 MiB by default
---@field max_ratio number? times its compressed size; 100 by default
---@field max_header number? bytes; 32 KiB by default
---@field follow boolean? true by default
---@field max_redirects number? 10 by default
---@field public_only boolean? false by default
---@field auth {[1]: string, [2]: string}? a user and a password
---@field decompress boolean? true by default
---@field http2 (boolean|"prior")? true by default
---@field proxy string? a URL with a port
---@field tls asyncrt.http.ClientTls?

---@class asyncrt.http.RequestTable: asyncrt.http.RequestOptions
---@field url string
---@field method string?
---@field body (string|asyncrt.http.Body)?

---@class asyncrt.http.ClientOptions: asyncrt.http.RequestOptions
---@field max_connections number? 256 by default
---@field max_per_host number? no limit by default
---@field cookies (boolean|string)? or the path of a file; false by default

--- [wait] Fetches a URL; returns once the head of the response is there.
---@param url string
---@param options asyncrt.http.RequestOptions?
---@return asyncrt.http.ClientResponse?
---@return string? message
---@return string? code
function http.get(url, options) end

--- [wait] Sends a body to a URL with POST.
---@param url string
---@param body string|asyncrt.http.Body
---@param options asyncrt.http.RequestOptions?
---@return asyncrt.http.ClientResponse?
---@return string? message
---@return string? code
function http.post(url, body, options) end

--- [wait] Performs any request.
---@param options asyncrt.http.RequestTable
---@return asyncrt.http.ClientResponse?
---@return string? message
---@return string? code
function http.request(options) end

---@class asyncrt.http.Client
local Client = {}

--- [wait] As http.get.
---@param url string
---@param options asyncrt.http.RequestOptions?
---@return asyncrt.http.ClientResponse?
---@return string? message
---@return string? code
function Client:get(url, options) end

--- [wait] As http.post.
---@param url string
---@param body string|asyncrt.http.Body
---@param options asyncrt.http.RequestOptions?
---@return asyncrt.http.ClientResponse?
---@return string? message
---@return string? code
function Client:post(url, body, options) end

--- [wait] As http.request.
---@param options asyncrt.http.RequestTable
---@return asyncrt.http.ClientResponse?
---@return string? message
---@return string? code
function Client:request(options) end

--- How many requests are under way, and how many connections are open.
---@return {requests: integer, connections: integer}
function Client:stats() end

--- Gives up its requests and closes its connections.
---@return true
function Client:close() end

--- A client with connections, cookies and options of its own.
---@param options asyncrt.http.ClientOptions?
---@return asyncrt.http.Client
function http.client(options) end

return http
