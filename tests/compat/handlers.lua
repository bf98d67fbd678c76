-- Message handlers: their levels, their errors, what they return.
local function fails()
  local kept = "a local"
  error("failed")
  return kept
end

-- The part that does not depend on who has called the program.
local function upper(traceback)
  return (traceback:gsub("%[C%]: in function 'xpcall'.*", "…"))
end

local function try(f, handler, ...)
  local results = table.pack(xpcall(f, handler, ...))
  for i = 1, results.n do results[i] = upper(tostring(results[i])) end
  print(table.unpack(results, 1, results.n))
end

try(fails, function(m) return debug.traceback(m, 2) end)
try(fails, function(m) return debug.traceback(m, 3) end)
try(fails, debug.traceback)
try(fails, function() return debug.getinfo(2, "n").name end)
try(fails, function() return select(2, debug.getlocal(3, 1)) end)
try(function() local x = 4; return nil + x end, function() return select(2, debug.getlocal(2, 1)) end)
try(fails, function(m) error(m .. " again") end)
try(fails, function(m) error({ m }) end)
try(fails, function() end)
try(fails, function() return 1, 2, 3 end)
try(fails, function() return {} == nil end)
try(fails, string.upper)
try(fails, error)
try(error, error)
try(error, print, "given", 0)
try(error, function(...) return select("#", ...) end)
try(nil, function(m) return m end)
try({}, debug.traceback)
try(print, fails, "no error", nil, nil)
try(xpcall, function(m) return "outer " .. m end, fails, function(m) return "inner " .. m end)
try(pcall, function(m) return "never called " .. m end, fails)
try(load, function(m) return "of a reader: " .. m end, fails)
try(string.gsub, function(m) return "below gsub: " .. m end, "a", ".", fails)
try(coroutine.wrap(fails), function(m) return "of a coroutine: " .. m end)
try(function()
  local _ <close> = setmetatable({}, { __close = function(_, err) error("closing after " .. err, 0) end })
  error("failed", 0)
end, function(m) return "<" .. m .. ">" end)
try(function() for _ in fails do end end, function(m) return "of an iterator: " .. m end)
try(setmetatable({}, { __call = fails }), function(m) return "of __call: " .. m end)
try(function() return #setmetatable({}, { __len = fails }) end, function(m) return "of __len: " .. m end)
try(coroutine.wrap(function() return xpcall(coroutine.yield, print) end), print)
print(pcall(xpcall))
print(pcall(xpcall, fails))
print(pcall(xpcall, fails, setmetatable({}, { __call = print })))
print(pcall(pcall))
print(select("#", pcall(error)), pcall(error, nil))

local calls = 0
local co = coroutine.wrap(function()
  return xpcall(function()
    coroutine.yield("suspended below xpcall")
    error("resumed", 0)
  end, function(m)
    calls = calls + 1
    return m .. " and handled"
  end)
end)
print(co())
print(co())
print(calls)
