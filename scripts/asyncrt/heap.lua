--- A binary heap whose items know where they are, so that any can leave it.
---
--- An item is a table, in one heap at a time: its field `heap` says in which,
--- `slot` at which place.
---@class asyncrt.Heap
---@field package before fun(a: table, b: table): boolean
local Heap = {}
Heap.__index = Heap

local heap = {}

---@param before fun(a: table, b: table): boolean whether `a` is to leave first
---@return asyncrt.Heap
function heap.new(before)
  return setmetatable({ before = before }, Heap)
end

local function put(self, item, slot)
  self[slot], item.slot = item, slot
end

local function rise(self, item, slot)
  while slot > 1 do
    local parent = self[slot // 2]
    if not self.before(item, parent) then break end
    put(self, parent, slot)
    slot = slot // 2
  end
  put(self, item, slot)
end

local function sink(self, item, slot)
  local size = #self
  while 2 * slot <= size do
    local child = 2 * slot
    if child < size and self.before(self[child + 1], self[child]) then
      child = child + 1
    end
    if not self.before(self[child], item) then break end
    put(self, self[child], slot)
    slot = child
  end
  put(self, item, slot)
end

function Heap:push(item)
  item.heap = self
  rise(self, item, #self + 1)
end

--- The item that is to leave first, or nil.
function Heap:top()
  return self[1]
end

function Heap:remove(item)
  local slot, last = item.slot, table.remove(self)
  item.heap, item.slot = nil, nil
  if last == item then return end
  sink(self, last, slot)
  rise(self, last, last.slot)
end

--- Takes the item that is to leave first; there must be one.
function Heap:pop()
  local item = self[1]
  self:remove(item)
  return item
end

return heap
