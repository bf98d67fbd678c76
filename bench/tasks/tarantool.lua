-- Tarantool's vocabulary for the workloads:
-- `tarantool tarantool.lua WORKLOAD N [K]`. It cannot select over channels.
local clock = require("clock")
local fiber = require("fiber")

local Channel = {}
Channel.__index = Channel

function Channel:send(value)
  return self.channel:put(value)
end

function Channel:recv()
  return self.channel:get()
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
  fiber.new(in_group, self, f, ...)
end

local function group(body)
  local self = setmetatable({ count = 0, ended = fiber.cond() }, Group)
  body(self)
  while self.count > 0 do self.ended:wait() end
end

local folder = arg[0]:match("^.*/") or ""
assert(loadfile(folder .. "workloads.lua"))({
  channel = function(capacity)
    return setmetatable({ channel = fiber.channel(capacity) }, Channel)
  end,
  group = group,
  now = clock.monotonic,
  sleep = fiber.sleep,
  yield = fiber.yield,
})
os.exit(0)
