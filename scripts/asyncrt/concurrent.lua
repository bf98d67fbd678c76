--- Calling several functions at once.
local group = require("asyncrt.core.group")

local concurrent = {}

local function check_functions(name, ...)
  for i = 1, select("#", ...) do
    local f = select(i, ...)
    if type(f) ~= "function" and not (debug.getmetatable(f) or {}).__call then
      error(("bad argument #%d to '%s' (function expected, got %s)")
        :format(i, name, type(f)), 3)
    end
  end
end

--- Calls the functions at once, each in a task of its own, waits for all and
--- returns the first result of each, in their order. The first error cancels
--- the others and is raised. [wait]
---@param ... fun(): any
---@return any ...
function concurrent.all(...)
  check_functions("all", ...)
  local results, n = {}, select("#", ...)
  local function call(i, f) results[i] = (f()) end
  do
    local g <close> = group.group()
    for i = 1, n do g:spawn(call, i, (select(i, ...))) end
  end
  return table.unpack(results, 1, n)
end

--- Calls the functions at once, each in a task of its own. The first that
--- returns wins: the others are cancelled and awaited. Returns its number and
--- its results. An error before that cancels the others and is raised. [wait]
---@param ... fun(): ...
---@return integer number
---@return any ...
function concurrent.race(...)
  local n = select("#", ...)
  if n == 0 then
    error("bad argument #1 to 'race' (function expected, got no value)", 2)
  end
  check_functions("race", ...)
  local winner, results
  local function call(g, i, f)
    local values = table.pack(f())
    if winner then return end
    winner, results = i, values
    g:cancel()
  end
  local functions = { ... }
  group.group(function(g)
    for i = 1, n do g:spawn(call, g, i, functions[i]) end
  end)
  return winner, table.unpack(results, 1, results.n)
end

return concurrent
