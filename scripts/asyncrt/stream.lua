--- The methods of streams that are written in Lua.
local bytes = require("asyncrt.core.bytes")

local Stream = {}

local STARTTLS = { name = "starttls", arg = 1 }

--- [wait] Goes on with TLS, as the client.
---@param options true|asyncrt.tls.Context|asyncrt.tls.ClientOptions
---@return asyncrt.Stream? conn the same
---@return string? message
---@return string? code
function Stream:starttls(options)
  return require("asyncrt.secure").client(self, options, STARTTLS)
end

bytes.set_stream_methods(Stream)
