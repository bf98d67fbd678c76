--- asyncrt: tasks, events, channels and time.
---
--- Everything that is not a capability of its own (sockets, files, HTTP …) is
--- in this one table.
local arms = require("asyncrt.core.arms")
local broadcast = require("asyncrt.core.broadcast")
local bytes = require("asyncrt.core.bytes")
local channel = require("asyncrt.core.channel")
local concurrent = require("asyncrt.concurrent")
local cond = require("asyncrt.core.cond")
local event = require("asyncrt.event")
local group = require("asyncrt.core.group")
local inspect = require("asyncrt.core.inspect")
local local_ = require("asyncrt.core.local")
local scope = require("asyncrt.core.scope")
local select_ = require("asyncrt.core.select")
local semaphore = require("asyncrt.core.semaphore")
local signal = require("asyncrt.core.signal")
local stdio = require("asyncrt.core.stdio")
local sync = require("asyncrt.core.sync")
local task = require("asyncrt.core.task")
local ticker = require("asyncrt.core.ticker")
local time = require("asyncrt.core.time")
local watch = require("asyncrt.core.watch")
require("asyncrt.stream")

local rt = {
  after = time.after,
  all = concurrent.all,
  always = select_.always,
  arms = arms.arms,
  at = time.at,
  broadcast = broadcast.broadcast,
  buffer = bytes.buffer,
  can_block = task.can_block,
  cancelled = scope.cancelled,
  channel = channel.channel,
  choose = event.choose,
  cond = cond.cond,
  copy = bytes.copy,
  current = task.current,
  deadline = scope.deadline,
  dump = inspect.dump,
  event = sync.event,
  exit = task.exit,
  get = local_.get,
  group = group.group,
  guard = event.guard,
  instrument = inspect.instrument,
  limit = semaphore.limit,
  mutex = semaphore.mutex,
  never = select_.never,
  now = time.now,
  pcall_all = task.pcall_all,
  poll = select_.poll,
  race = concurrent.race,
  select = select_.select,
  semaphore = semaphore.semaphore,
  shield = scope.shield,
  signal = signal.signal,
  sleep = time.sleep,
  spawn = task.spawn,
  spawn_with = group.spawn_with,
  stats = inspect.stats,
  suppressed = group.suppressed,
  sync = select_.sync,
  sync_timeout = select_.sync_timeout,
  tasks = task.tasks,
  ticker = ticker.ticker,
  timeout = scope.timeout,
  watch = watch.watch,
  with = local_.with,
  with_nack = event.with_nack,
  yield = time.yield,
}

-- The standard streams are opened when they are first used: one that is open is
-- watched, and its descriptor is no longer io's alone.
return setmetatable(rt, {
  __index = function(self, name)
    local open = stdio[name]
    if not open then return nil end
    self[name] = open()
    return self[name]
  end,
})
