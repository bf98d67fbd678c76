-- What is finalized at the end, in which order, and what is told of errors.
-- lua: -W
local kept = {} -- to the end
debug.getregistry().kept = kept

local function finalized(name, f)
  return setmetatable({}, { __gc = function(self)
    print("finalized", name)
    if f then f(self) end
  end })
end

kept[1] = finalized("first")
kept[2] = finalized("second", function() error("in the second", 0) end)
kept[3] = finalized("third", function() print("collects", collectgarbage()) end)
kept[4] = finalized("fourth", function() error({}) end)
kept[5] = finalized("fifth", function(self)
  kept[5] = self
  kept.new = finalized("made at the end")
end)
kept[6] = coroutine.create(function()
  local _ <close> = setmetatable({}, { __close = function() print("never closed") end })
  local _ = finalized("of a suspended coroutine")
  coroutine.yield()
end)
coroutine.resume(kept[6])
local _ <close> = setmetatable({}, { __close = function(_, err) print("main is closed", err) end })
warn("@on")
io.write("the end of the program, ")
