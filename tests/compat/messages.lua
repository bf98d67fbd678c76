-- The messages of Lua's own functions, of the replaced ones above all.
-- lua: -W
local function tell(f, ...)
  local results = table.pack(pcall(f, ...))
  for i = 1, results.n do results[i] = tostring(results[i]) end
  print(table.unpack(results, 1, results.n))
end

local function chunk(text) return assert(load(text, "=chunk")) end

local values = { "", "nil", "1", "'x'", "{}", "print", "coroutine.create(print)", "io.stdout" }
for _, name in ipairs {
  "assert", "collectgarbage", "dofile", "error", "getmetatable", "ipairs", "load", "loadfile", "next",
  "pairs", "pcall", "rawequal", "rawget", "rawlen", "rawset", "require", "select", "setmetatable",
  "tonumber", "tostring", "type", "warn", "xpcall", "coroutine.close", "coroutine.create",
  "coroutine.isyieldable", "coroutine.resume", "coroutine.running", "coroutine.status", "coroutine.wrap",
  "string.dump", "os.exit", "os.time", "os.date", "os.clock", "os.difftime", "debug.traceback",
  "debug.sethook", "debug.getinfo", "io.write", "io.lines", "table.sort",
} do
  for _, value in ipairs(values) do
    -- Not what reads stdin or ends, prints an address or what differs by design.
    local called = name .. "(" .. value .. ")"
    local skipped = called == "dofile()" or called == "dofile(nil)" or called == "loadfile()" or
      called == "loadfile(nil)" or name == "os.exit" and #value < 4 or name == "os.clock" or
      called:find("^os%.%a+%([n]?[i]?[l]?%)$") or name == "coroutine.running" or
      name == "require" and #value == 3 or called == "require(1)"
    if not skipped then
      local ok, err = pcall(chunk(called))
      print(called, ok, not ok and err or "")
    end
  end
end

tell(chunk "local x = nil; x.y = 1")
tell(chunk "return #5")
tell(chunk "return {} < {}")
tell(chunk "undefined()")
tell(chunk "string.undefined()")
tell(chunk "('x'):undefined()")
tell(chunk "return 1 & 1.5")
tell(chunk "return 1 // 0")
tell(chunk "for i = 1, 10, 0 do end")
tell(chunk "error('here')")
tell(chunk "error('level 2', 2)")
tell(chunk "error()")
tell(chunk "assert(nil, { 'object' })")
tell(chunk "local x <close> = {}")
tell(chunk "coroutine.wrap(function() local x = nil + 1 end)()")
tell(chunk "coroutine.wrap(coroutine.wrap(function() error('in two') end))()")
tell(chunk "string.dump(print)")
tell(chunk "table.concat({ {} })")
tell(chunk "string.rep('x', 1 << 40)")
tell(chunk "setmetatable({}, { __index = function() error('in __index') end }).x()")
tell(chunk "tostring(setmetatable({}, { __tostring = function() return 1 end }))")
tell(chunk "print(setmetatable({}, { __tostring = function() return {} end }))")
tell(chunk "for _ in pairs(setmetatable({}, { __pairs = 1 })) do end")
tell(chunk "dofile('none such')")
tell(loadfile, "none such")
tell(dofile, "none such")
