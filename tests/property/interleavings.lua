-- Every interleaving, up to a depth, of one wait with what can happen to it: its
-- item comes, its time limit passes, it is cancelled, what it waits for is
-- closed; each at once or after the waiter has run. And of two selects on two
-- channels with what a third task can do. The outcome must be the one that the
-- rules give, and no value may be lost or doubled.
--
--   asyncrt --virtual-time tests/property/interleavings.lua [DEPTH]
local rt = require("asyncrt")
local testing = require("asyncrt.testing")

local depth = math.tointeger(arg[1] or 5)

-- Lets every other task run until it waits.
local function pause()
  for _ = 1, 8 do rt.yield() end
end

--- # One wait
---
--- A kind of wait is a table of functions of a `self`, which `setup` fills:
---   wait    does it, and returns something true, or nil and why not
---   item    brings one item; false where nobody takes it and it does not stay
---   close   closes what is waited for; absent where that is not possible
---   left    how many items nobody has taken
--- `once`: at most one item; `drops`: a close takes the items that nobody has
--- taken; `hopes`: also one that has woken a waiter who had no turn since.

local kinds = {}

kinds["recv"] = {
  setup = function(self) self.ch = rt.channel() end,
  wait = function(self) return self.ch:recv() end,
  item = function(self) return select(2, rt.poll({ self.ch:send_evt("x") })) end,
  close = function(self) self.ch:close() end,
  left = function() return 0 end,
}

kinds["recv from a buffer"] = {
  setup = function(self) self.ch = rt.channel(math.huge) end,
  wait = kinds["recv"].wait,
  item = kinds["recv"].item,
  close = kinds["recv"].close,
  left = function(self) return #self.ch end,
}

kinds["send"] = {
  setup = kinds["recv"].setup,
  wait = function(self) return self.ch:send("x") end,
  item = function(self) return select(2, rt.poll({ self.ch })) end,
  close = kinds["recv"].close,
  left = kinds["recv"].left,
}

kinds["send to a full buffer"] = {
  setup = function(self)
    self.ch = rt.channel(1)
    self.ch:send("full")
  end,
  wait = kinds["send"].wait,
  item = kinds["send"].item,
  close = kinds["send"].close,
  left = function() return nil end,
  once = true,
  drops = true,
}

kinds["select"] = {
  setup = kinds["recv"].setup,
  wait = function(self)
    local never = rt.channel()
    local _, value, reason = rt.select({ never, self.ch:recv_evt(),
      never:send_evt(1), rt.after(1e6) })
    return value, reason
  end,
  item = kinds["recv"].item,
  close = kinds["recv"].close,
  left = kinds["recv"].left,
}

kinds["composite"] = {
  setup = kinds["recv"].setup,
  wait = function(self)
    local value, reason = rt.sync(rt.choose(rt.never, rt.guard(function()
      return self.ch:recv_evt():wrap(function(...) return ... end)
    end)))
    return value, reason
  end,
  item = kinds["recv"].item,
  close = kinds["recv"].close,
  left = kinds["recv"].left,
}

kinds["read"] = {
  setup = function(self) self.a, self.b = testing.stream_pair() end,
  wait = function(self) return self.a:read(1) end,
  item = function(self)
    if self.a:is_closed() then return false end
    return (assert(self.b:write("x")))
  end,
  close = function(self) self.a:close() end,
  left = function(self)
    self.b:close()
    return self.a:is_closed() and 0 or #self.a:read_all()
  end,
  hopes = true,
}

kinds["read_exact"] = {
  setup = kinds["read"].setup,
  wait = function(self) return self.a:read_exact(2) end,
  item = function(self)
    if self.a:is_closed() then return false end
    self.b:write("x")
    return (assert(self.b:write("x")))
  end,
  close = kinds["read"].close,
  left = function(self) return kinds["read"].left(self) // 2 end,
  hopes = true,
}

kinds["read in a select"] = {
  setup = kinds["read"].setup,
  wait = function(self)
    local _, value, reason = rt.select({ self.a:read_evt(1), rt.never })
    return value, reason
  end,
  item = kinds["read"].item,
  close = kinds["read"].close,
  left = kinds["read"].left,
  hopes = true,
}

kinds["write"] = {
  setup = function(self)
    self.a, self.b = testing.stream_pair(1)
    self.a:write("full")
    self.written, self.read = "full", ""
  end,
  wait = function(self)
    local ok, reason = self.a:write("x")
    if ok then self.written = self.written .. "x" end
    return ok, reason
  end,
  -- One read makes room for one write; what was written before is "full".
  item = function(self)
    if self.a:is_closed() then return false end
    local key, data = rt.poll({ self.b:read_evt() })
    self.read = self.read .. (data or "")
    return key and true
  end,
  close = function(self) self.a:close() end,
  left = function(self)
    self.a:close()
    self.read = self.read .. self.b:read_all()
    assert(self.read == self.written, self.read)
    return nil
  end,
  once = true,
  hopes = true,
}

kinds["accept"] = {
  setup = function(self) self.listener = testing.listener() end,
  wait = function(self)
    local conn, reason = self.listener:accept()
    if conn then conn:close() end
    return conn, reason
  end,
  item = function(self)
    local conn = self.listener:dial()
    if not conn then return false end
    conn:close()
    return true
  end,
  close = function(self) self.listener:close() end,
  left = function(self)
    local count = 0
    while not self.listener:is_closed() do
      local key, conn = rt.poll({ self.listener })
      if not key then break end
      conn:close()
      count = count + 1
    end
    return count
  end,
  hopes = true,
}

kinds["acquire"] = {
  setup = function(self) self.semaphore = rt.semaphore(0) end,
  wait = function(self) return self.semaphore:acquire() end,
  item = function(self) self.semaphore:release() return true end,
  left = function(self) return self.semaphore:available() end,
}

--- What must come out, by the rules: the model of one wait.
---
--- `waits` and `ready` are what the waiter does: neither before its first turn.
local Model = {}
Model.__index = Model

local function new_model(kind)
  return setmetatable({ kind = kind, stock = 0, closed = false }, Model)
end

function Model:decide(outcome)
  self.waits = false
  self.ready = true
  self.outcome = outcome
end

--- The waiter runs until it waits or ends.
function Model:pause()
  if not self.outcome then
    if self.cancelled then
      self:decide("cancelled")
    elseif self.stock > 0 then
      self.stock = self.stock - 1
      self:decide("item")
    elseif self.closed then
      self:decide("closed")
    else
      self.waits = true
      return
    end
  end
  self.ready = false
  self.ended = true
end

function Model:item(taken)
  if self.waits and taken then
    self:decide("item")
  elseif taken and not (self.closed and self.kind.drops) then
    self.stock = self.stock + 1
  end
end

function Model:close()
  self.closed = true
  if self.kind.hopes or self.kind.drops then self.stock = 0 end
  if self.waits then
    self:decide("closed")
  elseif self.ready and self.outcome == "item" and self.kind.hopes then
    self.outcome = "closed" -- the item was in what is closed
  end
end

function Model:cancel()
  if self.ended then return end
  self.cancelled = true
  if self.waits or self.outcome == "timeout" then self:decide("cancelled") end
end

--- The time limit passes. One that began before the controller's own sleep ends
--- before it, and so is told before anything else happens.
function Model:timeout()
  local began = self.waits
  self:pause()
  if self.waits then
    self:decide("timeout")
    if began then self:pause() end
  end
end

local function classify(joined, value, reason)
  if not joined then
    assert(value == "cancelled", value)
    return "cancelled"
  elseif value then
    return "item"
  end
  assert(reason == "timeout" or reason == "closed", reason)
  return reason
end

local steps = { "pause", "item", "timeout", "cancel", "close" }

--- Runs one interleaving; returns nil, or what is wrong.
local function run_wait(kind, sequence, count)
  local self, model = {}, new_model(kind)
  kind.setup(self)
  local waiter = rt.spawn(rt.timeout, 1, kind.wait, self)
  local items = 0
  for i = 1, count do
    local step = sequence[i]
    if step == "pause" then
      pause()
      model:pause()
    elseif step == "item" then
      local taken = kind.item(self)
      if taken then items = items + 1 end
      model:item(taken)
    elseif step == "timeout" then
      rt.sleep(1)
      model:timeout()
    elseif step == "cancel" then
      waiter:cancel()
      model:cancel()
    else
      kind.close(self)
      model:close()
    end
  end
  rt.sleep(1)
  model:timeout()
  local outcome = classify(waiter:join())
  if outcome ~= model.outcome then
    return ("%s instead of %s"):format(outcome, model.outcome)
  end
  local left = kind.left(self)
  if left and not (kind.hopes and model.closed) then
    local taken = outcome == "item" and 1 or 0
    if items ~= taken + left then
      return ("%d items, %d taken, %d left"):format(items, taken, left)
    end
  end
  for _, name in ipairs({ "a", "b", "listener" }) do
    if self[name] then self[name]:close() end
  end
end

--- Calls `f(sequence, length)` for every sequence of the steps up to `limit`.
local function for_every_sequence(alphabet, limit, f)
  local sequence = {}
  local function extend(length)
    f(sequence, length)
    if length == limit then return end
    for _, step in ipairs(alphabet) do
      sequence[length + 1] = step
      extend(length + 1)
    end
  end
  extend(0)
end

local runs = 0

local function sequence_text(sequence, length)
  return table.concat(sequence, ", ", 1, length)
end

local function check_waits(name, kind)
  local alphabet = {}
  for _, step in ipairs(steps) do
    if step ~= "close" or kind.close then alphabet[#alphabet + 1] = step end
  end
  for_every_sequence(alphabet, depth, function(sequence, length)
    if kind.once then
      local items = 0
      for i = 1, length do
        if sequence[i] == "item" then items = items + 1 end
      end
      if items > 1 then return end
    end
    runs = runs + 1
    local problem = run_wait(kind, sequence, length)
    if problem then
      error(("%s: %s: %s"):format(name, sequence_text(sequence, length),
        problem), 0)
    end
  end)
end

local names = {}
for name in pairs(kinds) do names[#names + 1] = name end
table.sort(names)
for _, name in ipairs(names) do check_waits(name, kinds[name]) end
assert(rt.stats().timers == 0 and rt.stats().handles == 0, "something is left")
print(("%d interleavings of %d waits"):format(runs, #names))

--- # Two selects

-- An arm is a channel and whether it sends.
local arms = { { 1, true }, { 1, false }, { 2, true }, { 2, false } }

--- A task that selects among the arms whose bits are set in `subset`.
local function selector(log, channels, subset, me)
  return rt.spawn(function()
    local selection = {}
    for i, arm in ipairs(arms) do
      local channel = channels[arm[1]]
      local value = me .. i
      if subset & 1 << i - 1 ~= 0 then
        selection[i] = arm[2]
          and channel:send_evt(value):wrap(function(ok)
            if ok then log.sent[#log.sent + 1] = value end
          end)
          or channel:recv_evt():wrap(function(got)
            if not got then return end
            log.received[#log.received + 1] = got
            if got:sub(1, 1) == me then log.problem = "a select met itself" end
          end)
      end
    end
    rt.select(selection)
  end)
end

local actions = {
  pause = pause,
  ["send 1"] = function(world) world.send(1) end,
  ["recv 1"] = function(world) world.recv(1) end,
  ["send 2"] = function(world) world.send(2) end,
  ["recv 2"] = function(world) world.recv(2) end,
  ["cancel A"] = function(world) world.tasks[1]:cancel() end,
  ["cancel B"] = function(world) world.tasks[2]:cancel() end,
  ["close 1"] = function(world) world.channels[1]:close() end,
}

local action_names = { "pause", "send 1", "recv 1", "send 2", "recv 2",
  "cancel A", "cancel B", "close 1" }

local function new_world(a, b)
  local log = { sent = {}, received = {} }
  local channels = { rt.channel(), rt.channel() }
  local world = { log = log, channels = channels }
  world.tasks = {
    selector(log, channels, a, "A"),
    selector(log, channels, b, "B"),
  }
  local count = 0
  function world.send(i)
    count = count + 1
    local value = "C" .. count
    local _, ok = rt.poll({ channels[i]:send_evt(value) })
    if ok then log.sent[#log.sent + 1] = value end
  end
  function world.recv(i)
    local _, value = rt.poll({ channels[i] })
    log.received[#log.received + 1] = value
  end
  return world
end

--- True where both selects wait although one has what the other wants.
local function could_have_met(world, a, b)
  for i, arm in ipairs(arms) do
    local closed = arm[1] == 1 and world.channels[1]:is_closed()
    local other = arm[2] and i + 1 or i - 1
    if a & 1 << i - 1 ~= 0 and (closed or b & 1 << other - 1 ~= 0) then
      return true
    end
  end
  return false
end

local function run_selects(a, b, sequence, length)
  local world = new_world(a, b)
  local log, tasks = world.log, world.tasks
  for i = 1, length do actions[sequence[i]](world) end
  pause()
  if tasks[1]:status() == "waiting" and tasks[2]:status() == "waiting"
    and could_have_met(world, a, b) then
    return "two selects that wait could have met"
  end
  for _, task in ipairs(tasks) do
    task:cancel()
    task:join()
  end
  for i = 1, 2 do
    if not world.channels[i]:is_closed()
      and (rt.poll({ world.channels[i]:send_evt("late") })
        or rt.poll({ world.channels[i] })) then
      return "a waiter is left in a queue"
    end
  end
  table.sort(log.sent)
  table.sort(log.received)
  if table.concat(log.sent, " ") ~= table.concat(log.received, " ") then
    return ("sent {%s}, received {%s}"):format(
      table.concat(log.sent, " "), table.concat(log.received, " "))
  end
  return log.problem
end

runs = 0
for a = 1, 15 do
  for b = 1, 15 do
    for_every_sequence(action_names, depth // 2, function(sequence, length)
      runs = runs + 1
      local problem = run_selects(a, b, sequence, length)
      if problem then
        error(("selects %d and %d: %s: %s"):format(a, b,
          sequence_text(sequence, length), problem), 0)
      end
    end)
  end
end
print(("%d interleavings of two selects"):format(runs))
