---@meta asyncrt.testing
-- luacheck: ignore 212 241

---@class asyncrt.testing.Options
---@field high_water integer? unread bytes from which on a write waits
---@field split boolean? a read gets a random part of what there is
---@field delay number? seconds until bytes arrive
---@field jitter number? at most so many seconds more
---@field reset number? probability that a write resets the connection
---@field half_close number? probability that a write is the last
---@field address string? what a listener calls itself

---@class asyncrt.testing.Listener: asyncrt.Listener
local Listener = {}

--- Connects at once; the next accept gets the other end. Never waits.
---@return asyncrt.Stream? conn
---@return string? message
---@return string? code
function Listener:dial() end

--- What asyncrt.net has, in memory.
---@class asyncrt.testing.Network
local Network = {}

---@param address string
---@return asyncrt.testing.Listener? listener
---@return string? message
---@return string? code
function Network.listen(address) end

---@param address string
---@return asyncrt.Stream? conn
---@return string? message
---@return string? code
function Network.connect(address) end

---@param address string
---@return asyncrt.Event
function Network.connect_evt(address) end

---@param address string|asyncrt.Listener
---@param handler fun(conn: asyncrt.Stream)
---@param options asyncrt.net.ServeOptions?
function Network.serve(address, handler, options) end

---@class asyncrt.testing
local testing = {}

--- A listener that its own dial connects to.
---@param options (integer|asyncrt.testing.Options)? of its connections
---@return asyncrt.testing.Listener
function testing.listener(options) end

--- A network in the process, to take the place of asyncrt.net.
---@param options (integer|asyncrt.testing.Options)? of its connections
---@return asyncrt.testing.Network
function testing.network(options) end

--- Two ends of a stream.
---@param options (integer|asyncrt.testing.Options)?
---@return asyncrt.Stream, asyncrt.Stream
function testing.stream_pair(options) end

return testing
