-- An error that nobody catches: traceback, exit status, what is still done.
-- each of: text text0 text2 deep number nil false table named function thread syntax lua_error assert closing yield control
-- script only: a task tells its name, and where it was awaited
local function raise(value, level) error(value, level) end

local cases = {
  text = function() raise("told") end,
  text0 = function() raise("told", 0) end,
  text2 = function() raise("told", 2) end,
  deep = function()
    local function descend(n)
      if n == 0 then raise("at the bottom") end
      return 1 + descend(n - 1)
    end
    descend(40)
  end,
  number = function() raise(42) end,
  ["nil"] = function() raise() end,
  ["false"] = function() raise(false) end,
  table = function() raise({ code = 1 }) end,
  named = function() raise(setmetatable({}, { __name = "Named" })) end,
  ["function"] = function() raise(print) end,
  thread = function() raise(coroutine.create(print)) end,
  syntax = function() assert(load("x = = 1")) end,
  lua_error = function() return #nil end,
  assert = function() assert(false) end,
  closing = function()
    local _ <close> = setmetatable({}, { __close = function() error("while closing", 0) end })
    raise("at first")
  end,
  yield = function() coroutine.yield() end,
  control = function() raise("two\nlines\tand a tab") end,
}

io.write("output before, ")
local _ <close> = setmetatable({}, { __close = function() print("closed") end })
cases[...]()
