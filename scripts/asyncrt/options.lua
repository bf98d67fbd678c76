--- The arguments of functions in Lua: strings, and tables of options.
local options = {}

local kinds = {}

local function is_integer(value, low)
  return type(value) == "number" and math.tointeger(value) ~= nil and
    value >= low
end

function kinds.boolean(value)
  return type(value) == "boolean", "boolean"
end

function kinds.integer(value)
  return is_integer(value, 0), "non-negative integer"
end

--- How many, or math.huge for no limit.
function kinds.count(value)
  return is_integer(value, 0) or value == math.huge,
    "non-negative integer or math.huge"
end

--- The same, but at least one.
function kinds.positive(value)
  return is_integer(value, 1) or value == math.huge,
    "positive integer or math.huge"
end

function kinds.number(value)
  return type(value) == "number" and value == value, "number"
end

function kinds.seconds(value)
  return type(value) == "number" and value >= 0,
    "non-negative number of seconds"
end

function kinds.string(value)
  return type(value) == "string", "string"
end

function kinds.table(value)
  return type(value) == "table", "table"
end

function kinds.any(value)
  return value == value, "value other than NaN"
end

function kinds.callable(value)
  return options.is_callable(value), "function"
end

--- Whether a value can be called.
function options.is_callable(value)
  return type(value) == "function" or
    (debug.getmetatable(value) or {}).__call ~= nil
end

local function shown(value)
  return type(value) == "number" and tostring(value) or type(value)
end

-- The level of the line that has called the library, in the calling function.
local function outside()
  local level = 3
  local info = debug.getinfo(level, "S")
  while info and (info.what == "C" or info.source:find("^@asyncrt[/.]")) do
    level = level + 1
    info = debug.getinfo(level, "S")
  end
  return level - 1
end

--- Raises at the line that has called the library.
function options.raise(message)
  error(message, outside())
end

--- "file.lua:3": the line that has called the library.
function options.site()
  local info = debug.getinfo(outside(), "Sl")
  return info and ("%s:%d"):format(info.short_src, info.currentline) or "?"
end

--- Raises where argument number `arg` of the function `name` is no string.
function options.check_string(name, arg, value)
  if type(value) == "string" then return end
  options.raise(("bad argument #%d to '%s' (string expected, got %s)")
    :format(arg, name, type(value)))
end

--- Raises where argument number `arg` of the function `name` cannot be called.
function options.check_callable(name, arg, value)
  if options.is_callable(value) then return end
  options.raise(("bad argument #%d to '%s' (function expected, got %s)")
    :format(arg, name, value == nil and "no value" or type(value)))
end

local function names_of(known)
  local names = {}
  for name in pairs(known) do names[#names + 1] = name end
  table.sort(names)
  return table.concat(names, ", ")
end

--- Raises where argument number `arg` of the function `name` is no table of
--- options that are `known`: each is the name of a kind above, or a function
--- that returns whether a value is one and what is expected.
---@param known table<string, string|fun(value: any): boolean, string>
function options.check(name, arg, given, known)
  local function bad(message, ...)
    options.raise(("bad argument #%d to '%s' (%s)")
      :format(arg, name, message:format(...)))
  end
  if given == nil then return end
  if type(given) ~= "table" then
    bad("table expected, got %s", type(given))
  end
  for key, value in pairs(given) do
    local kind = known[key]
    if type(key) ~= "string" then bad("unknown option [%s]", shown(key)) end
    if not kind then
      bad("unknown option '%s'; there are %s", key, names_of(known))
    end
    local ok, expected = (kinds[kind] or kind)(value)
    if not ok then
      bad("option '%s': %s expected, got %s", key, expected, shown(value))
    end
  end
end

return options
