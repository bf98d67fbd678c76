---@meta asyncrt.dns
-- luacheck: ignore 212 241

---@class asyncrt.dns.Options
---@field family (4|6)?

---@class asyncrt.dns
local dns = {}

--- [wait] The addresses of a host, the preferred one first.
---@param host string
---@param options asyncrt.dns.Options?
---@return string[]? addresses
---@return string? message
---@return string? code
function dns.resolve(host, options) end

--- [wait] The name of the host with this address.
---@param address string an IP address without a port
---@return string? name
---@return string? message
---@return string? code
function dns.reverse(address) end

return dns
