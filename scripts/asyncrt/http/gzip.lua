--- Responses compressed by gzip, where the client takes it and it is worth it:
--- a handler around a handler.
local core = require("asyncrt.core.zlib")
local options_ = require("asyncrt.options")
local rt = require("asyncrt")
local Response = require("asyncrt.http.response")

local LEVEL = 5
local MIN_SIZE = 1024    -- bytes from which on a body is compressed
local SLICE = 64 * 1024  -- bytes between two turns of other tasks

-- Types that shrink, besides text and what ends with +json or +xml.
local shrinking = {
  ["application/javascript"] = true,
  ["application/json"] = true,
  ["application/wasm"] = true,
  ["application/xml"] = true,
  ["application/x-ndjson"] = true,
  ["image/bmp"] = true,
}

local function is_shrinking(content_type)
  local name = tostring(content_type):lower():match("^%s*([^%s;]+)") or ""
  return shrinking[name] or (name:find("^text/") or name:find("%+json$") or
    name:find("%+xml$")) ~= nil
end

--- Whether a field Accept-Encoding prefers gzip.
local function takes_gzip(field)
  local gzip, any, identity = nil, nil, 0
  for item in (field or ""):lower():gmatch("[^,]+") do
    local name, rest = item:match("^%s*([^%s;]+)%s*(.*)$")
    local quality = tonumber((rest or ""):match("^;%s*q=([%d.]+)")) or 1
    if name == "gzip" or name == "x-gzip" then
      gzip = quality
    elseif name == "*" then
      any = quality
    elseif name == "identity" then
      identity = quality
    end
  end
  gzip = gzip or any or 0
  return gzip > 0 and gzip >= identity
end

-- The fields of a response by their names in lower case: { name, value }.
local function fields_of(headers)
  local fields = {}
  for name, value in pairs(headers) do
    if type(name) == "string" then fields[name:lower()] = { name, value } end
  end
  return fields
end

local function value_of(fields, name)
  local field = fields[name]
  return field and field[2]
end

local no_body = { [204] = true, [206] = true, [304] = true }

-- Whether the response would be compressed for a client that takes it.
local function is_worth_it(res, fields, size)
  local length = size or tonumber(value_of(fields, "content-length"))
  return not (length and length < res.gzip.min_size) and
    not no_body[res.status] and not fields["content-encoding"] and
    not fields["content-range"] and
    is_shrinking(value_of(fields, "content-type") or "") and
    not tostring(value_of(fields, "cache-control") or ""):lower()
      :find("no-transform", 1, true)
end

local function set(res, fields, name, value)
  local field = fields[name:lower()]
  res.headers[field and field[1] or name] = value
end

local function add_vary(res, fields)
  local vary = value_of(fields, "vary")
  if type(vary) == "table" then vary = table.concat(vary, ", ") end
  vary = vary and tostring(vary)
  if not vary then
    set(res, fields, "Vary", "Accept-Encoding")
  elseif not vary:lower():find("accept-encoding", 1, true) and vary ~= "*" then
    set(res, fields, "Vary", vary .. ", Accept-Encoding")
  end
end

-- Before the head: decides, and sets the fields. `size` is that of the body,
-- where it is known.
local function decide(res, size)
  local fields = fields_of(res.headers)
  local state = res.gzip
  state.decided = true
  if not is_worth_it(res, fields, size) then return end
  add_vary(res, fields)
  if not state.wanted then return end
  local tag = value_of(fields, "etag")
  if tag and not tostring(tag):find("^W/") then
    set(res, fields, "ETag", "W/" .. tag)
  end
  set(res, fields, "Accept-Ranges", nil)
  set(res, fields, "Content-Length", nil)
  set(res, fields, "Content-Encoding", "gzip")
  state.deflater = core.deflater(state.level, true)
end

-- Compresses and sends in slices; `how` is for the last one.
local function write_slices(res, bytes, how)
  local deflater = res.gzip.deflater
  for first = 1, #bytes, SLICE do
    local last = first + SLICE > #bytes
    local out = deflater:add(bytes:sub(first, first + SLICE - 1),
      last and how or "more")
    if out ~= "" then
      local ok, message, code = Response.write(res, out)
      if not ok then return nil, message, code end
    end
    if not last then rt.yield() end
  end
  return true
end

local function write(res, bytes)
  if type(bytes) ~= "string" then return Response.write(res, bytes) end
  if not res.gzip.decided then decide(res) end
  if not res.gzip.deflater or bytes == "" then
    return Response.write(res, bytes)
  end
  return write_slices(res, bytes, "flush")
end

local function send(res, body)
  local state = res.gzip
  if state.decided or type(body) ~= "string" then
    return Response.send(res, body)
  end
  decide(res, #body)
  local deflater = state.deflater
  if not deflater then return Response.send(res, body) end
  if #body <= SLICE then
    state.deflater = nil
    return Response.send(res, deflater:add(body, "finish"))
  end
  local ok, message, code = write_slices(res, body, "finish")
  state.deflater = nil
  if not ok then return nil, message, code end
  return Response.finish(res)
end

local function finish(res)
  local deflater = res.gzip.deflater
  if not res:has_begun() then return send(res, "") end
  if deflater then
    res.gzip.deflater = nil
    local ok, message, code = Response.write(res, deflater:add("", "finish"))
    if not ok then return nil, message, code end
  end
  return Response.finish(res)
end

local gzip = {}

local function level(value)
  return math.type(value) == "integer" and value >= 1 and value <= 9,
    "integer from 1 to 9"
end

--- A handler that calls another one and compresses its responses: of types that
--- shrink, from `min_size` bytes on, for clients that take gzip.
---@param handler fun(req: asyncrt.http.Request, res: asyncrt.http.Response)
---@param options { level: integer?, min_size: integer? }? 1 to 9, default 5;
---  bytes, default 1024
---@return fun(req: asyncrt.http.Request, res: asyncrt.http.Response)
function gzip.gzip(handler, options)
  options_.check("gzip", 2, options, { level = level, min_size = "integer" })
  local used = {
    level = options and options.level or LEVEL,
    min_size = options and options.min_size or MIN_SIZE,
  }
  return function(req, res)
    res.gzip = {
      level = used.level,
      min_size = used.min_size,
      wanted = req.method ~= "HEAD" and
        takes_gzip(req.headers["accept-encoding"]),
    }
    res.send, res.write, res.finish = send, write, finish
    return handler(req, res)
  end
end

return gzip
