--- Finalizers that run at allocations: a collector that never rests calls a
--- function in each of its cycles, wherever what is tested makes an object.
local finalizers = {}

local Running = {}
Running.__index = Running

function Running:stop()
  self.act = nil
  collectgarbage(self.mode)
  collectgarbage("setpause", self.pause)
end

Running.__close = Running.stop

--- Calls `act` by a finalizer again and again, until what is returned is
--- stopped, or closed.
---@param act fun()
function finalizers.run(act)
  local self = setmetatable({
    act = act,
    pause = collectgarbage("setpause", 0),
    mode = collectgarbage("incremental", 0, 400, 40),
  }, Running)
  local mark = {}
  function mark.__gc()
    if not self.act then return end
    self.act()
    setmetatable({}, mark)
  end
  collectgarbage() -- or the first of these cycles waits for the heap to double
  setmetatable({}, mark)
  return self
end

return finalizers
