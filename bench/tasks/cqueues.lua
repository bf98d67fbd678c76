-- cqueues' vocabulary for the workloads: `lua5.4 cqueues.lua WORKLOAD N [K]`.
--
-- It has no channels and no groups; these are the usual ones out of a table and
-- condition variables.
local condition = require("cqueues.condition")
local cqueues = require("cqueues")

local loop = cqueues.new()

local Channel = {}
Channel.__index = Channel

local function channel(capacity)
  return setmetatable({
    capacity = math.max(capacity, 1),
    first = 1,
    count = 0,
    has_value = condition.new(),
    has_room = condition.new(),
  }, Channel)
end

function Channel:send(value)
  while self.count == self.capacity do self.has_room:wait() end
  self[self.first + self.count] = value
  self.count = self.count + 1
  self.has_value:signal(1)
end

function Channel:recv()
  while self.count == 0 do self.has_value:wait() end
  local value = self[self.first]
  self[self.first] = nil
  self.first, self.count = self.first + 1, self.count - 1
  self.has_room:signal(1)
  return value
end

local function first(channels)
  while true do
    local arms = {}
    for i, ch in ipairs(channels) do
      if ch.count > 0 then return i, ch:recv() end
      arms[i] = ch.has_value
    end
    cqueues.poll(table.unpack(arms))
  end
end

local Group = {}
Group.__index = Group

local function in_group(group, f, ...)
  f(...)
  group.count = group.count - 1
  if group.count == 0 then group.ended:signal() end
end

function Group:spawn(f, ...)
  self.count = self.count + 1
  loop:wrap(in_group, self, f, ...)
end

local function group(body)
  local self = setmetatable({ count = 0, ended = condition.new() }, Group)
  body(self)
  while self.count > 0 do self.ended:wait() end
end

local folder = arg[0]:match("^.*/") or ""
loop:wrap(assert(loadfile(folder .. "workloads.lua")), {
  channel = channel,
  first = first,
  group = group,
  now = cqueues.monotime,
  sleep = cqueues.sleep,
  yield = function() cqueues.sleep(0) end,
})
assert(loop:loop())
