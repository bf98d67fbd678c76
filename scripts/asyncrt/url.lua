--- URLs: their parts, what references lead to, and queries.
local core = require("asyncrt.core.url")
local options = require("asyncrt.options")

local url = {
  normalise = core.normalise,
  parse = core.parse,
  resolve = core.resolve,
}

local function percent(c)
  return ("%%%02X"):format(c:byte())
end

local function encode(text)
  return (text:gsub("[^A-Za-z0-9%-._~]", percent))
end

local function decode(text)
  return (text:gsub("%%(%x%x)", function(hex)
    return string.char(tonumber(hex, 16))
  end))
end

--- Encodes what has a meaning in a URL, for use within one of its parts.
---@param text string
---@return string
function url.encode(text)
  options.check_string("encode", 1, text)
  return encode(text)
end

--- Decodes percent signs; one that begins no code stays.
---@param text string
---@return string
function url.decode(text)
  options.check_string("decode", 1, text)
  return decode(text)
end

--- Decodes a query: its first values by name, and all pairs in order.
---@param query string
---@return table<string, string> first
---@return string[][] pairs each a name and a value
function url.parse_query(query)
  options.check_string("parse_query", 1, query)
  local first, list = {}, {}
  for item in query:gsub("%+", " "):gmatch("[^&]+") do
    local name, value = item:match("^([^=]*)=(.*)$")
    name, value = decode(name or item), decode(value or "")
    list[#list + 1] = { name, value }
    first[name] = first[name] or value
  end
  return first, list
end

local function query_text(value, what)
  local kind = type(value)
  if kind == "string" then return encode(value) end
  if kind == "number" or kind == "boolean" then
    return encode(tostring(value))
  end
  error(("bad argument #1 to 'build_query' (%s: string, number or boolean "
    .. "expected, got %s)"):format(what, kind), 3)
end

--- The text of a query, from a list of pairs or, in the order of their names,
--- from the fields of a table.
---@param values table
---@return string
function url.build_query(values)
  if type(values) ~= "table" then
    error(("bad argument #1 to 'build_query' (table expected, got %s)")
      :format(type(values)), 2)
  end
  local parts = {}
  if values[1] ~= nil then
    for i, pair in ipairs(values) do
      if type(pair) ~= "table" then
        error(("bad argument #1 to 'build_query' (item %d: pair expected, "
          .. "got %s)"):format(i, type(pair)), 2)
      end
      parts[i] = query_text(pair[1], ("name %d"):format(i)) .. "="
        .. query_text(pair[2], ("value %d"):format(i))
    end
  else
    for name, value in pairs(values) do
      parts[#parts + 1] = query_text(name, "name") .. "="
        .. query_text(value, ("value of '%s'"):format(name))
    end
    table.sort(parts)
  end
  return table.concat(parts, "&")
end

return url
