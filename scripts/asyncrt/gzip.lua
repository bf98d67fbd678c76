--- gzip: strings, compressed and back, by zlib.
local core = require("asyncrt.core.zlib")
local options_ = require("asyncrt.options")
local rt = require("asyncrt")

local SLICE = 64 * 1024             -- bytes between two turns of other tasks
local MOST = 16 * 1024 * 1024       -- bytes that come out, unless it is said
local RATIO = 100                   -- of what comes out to what went in
local RATIO_FREE = 1024 * 1024      -- bytes that may come out at any ratio
local LEVEL = 6

local gzip = {}

local function give_way()
  if rt.can_block() then rt.yield() end
end

local function level(value)
  return math.type(value) == "integer" and value >= 0 and value <= 9,
    "integer from 0 to 9"
end

--- [wait] Compresses; lets other tasks run after each 64 KiB.
---@param data string
---@param options { level: integer? }? 0 to 9, default 6
---@return string
function gzip.compress(data, options)
  options_.check_string("compress", 1, data)
  options_.check("compress", 2, options, { level = level })
  local deflater = core.deflater(options and options.level or LEVEL)
  local pieces = {}
  for first = 1, #data - SLICE, SLICE do
    pieces[#pieces + 1] = deflater:add(data:sub(first, first + SLICE - 1))
    give_way()
  end
  local rest = #data > 0 and (#data - 1) // SLICE * SLICE or 0
  pieces[#pieces + 1] = deflater:add(data:sub(rest + 1), "finish")
  return table.concat(pieces)
end

--- [wait] Decompresses what gzip has made; lets other tasks run after each
--- 64 KiB. Never holds more than the limit.
---@param data string
---@param options { max: number?, ratio: number? }? bytes, default 16 MiB; and
---  how many times as long as `data` what comes out may be beyond 1 MiB,
---  default 100
---@return string? data
---@return string? message
---@return string? code "ELIMIT", "EBOMB", "EENCODING" or "ETRUNCATED"
function gzip.decompress(data, options)
  options_.check_string("decompress", 1, data)
  options_.check("decompress", 2, options, { max = "count", ratio = "number" })
  local max = options and options.max or MOST
  local ratio = options and options.ratio or RATIO
  local inflater = core.inflater()
  local pieces, size, from, ended = {}, 0, 1, false
  while from <= #data or not ended do
    local piece, next_or_reason, is_end = inflater:add(data, from, SLICE)
    if not piece then
      return nil, "decompress: " .. next_or_reason, "EENCODING"
    end
    size = size + #piece
    if size > max then
      return nil, ("decompress: more than %.0f bytes"):format(max), "ELIMIT"
    elseif size > RATIO_FREE and size > ratio * (next_or_reason - 1) then
      return nil, ("decompress: more than %g times as long"):format(ratio),
        "EBOMB"
    elseif #piece == 0 and next_or_reason > #data and not is_end then
      return nil, "decompress: cut short", "ETRUNCATED"
    end
    pieces[#pieces + 1] = piece
    from, ended = next_or_reason, is_end
    give_way()
  end
  return table.concat(pieces)
end

return gzip
