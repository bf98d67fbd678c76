--- What tests need in place of the world: streams and a listener in memory.
---
--- With `asyncrt --virtual-time --seed=N` a run that uses nothing else is
--- deterministic: time jumps to the next deadline, and every fault below is
--- drawn from the seed.
local memory = require("asyncrt.core.memory_stream")

---@class asyncrt.testing.Options
---@field high_water integer? bytes unread by the other end at which a write
---  waits; 65536 by default
---@field split boolean? a read gets a random part of what there is
---@field delay number? seconds until bytes arrive
---@field jitter number? at most so many seconds more; the order stays
---@field reset number? probability that a write resets the connection
---@field half_close number? probability that a write is the last of its end

local testing = {}

--- Two ends of a stream: what is written to one is read from the other.
---@param options (integer|asyncrt.testing.Options)? an integer is `high_water`
---@return asyncrt.Stream, asyncrt.Stream
testing.stream_pair = memory.stream_pair

--- A listener whose `dial` connects to it: its `accept` gives the other end.
---@param options (integer|asyncrt.testing.Options)? of its connections
---@return asyncrt.Listener
testing.listener = memory.listener

return testing
