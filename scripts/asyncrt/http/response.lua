--- The answer to a request: with a length where it is sent at once, in chunks
--- where it is written piece by piece. Its methods are in C but for these.
local core = require("asyncrt.core.http_connection")

---@class asyncrt.http.Response
---@field status integer 200 until it is set
---@field headers table<string, string|number|(string|number)[]> a list is sent
---  as several fields
---@field trailers table<string, string|number|(string|number)[]>? sent behind a
---  body in chunks
---@field private connection userdata
local Response = core.response

Response.status = 200

return Response
