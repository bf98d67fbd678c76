--- asyncrt: tasks, events, channels and time.
---
--- Everything that is not a capability of its own (sockets, files, HTTP …) is
--- in this one table.
local channel = require("asyncrt.core.channel")
local cond = require("asyncrt.core.cond")
local event = require("asyncrt.event")
local group = require("asyncrt.core.group")
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

local rt = {
  after = time.after,
  always = select_.always,
  at = time.at,
  can_block = task.can_block,
  cancelled = scope.cancelled,
  channel = channel.channel,
  choose = event.choose,
  cond = cond.cond,
  current = task.current,
  deadline = scope.deadline,
  event = sync.event,
  exit = task.exit,
  group = group.group,
  guard = event.guard,
  limit = semaphore.limit,
  mutex = semaphore.mutex,
  never = select_.never,
  now = time.now,
  pcall_all = task.pcall_all,
  poll = select_.poll,
  select = select_.select,
  semaphore = semaphore.semaphore,
  shield = scope.shield,
  signal = signal.signal,
  sleep = time.sleep,
  spawn = task.spawn,
  suppressed = group.suppressed,
  sync = select_.sync,
  sync_timeout = select_.sync_timeout,
  tasks = task.tasks,
  ticker = ticker.ticker,
  timeout = scope.timeout,
  watch = watch.watch,
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
