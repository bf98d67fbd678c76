--- A pool: jobs that are done by so many tasks at once.
---
--- One task, the dispatcher, starts each job in a task of its own as soon as a
--- worker is free, the job's key allows it, and no better one may start.
local heap = require("asyncrt.heap")
local options = require("asyncrt.options")
local rt = require("asyncrt")
local task = require("asyncrt.core.task")

local ANY = {} -- stands for the key of the jobs that have none
local SUCCEEDED = { true }
local CANCELLED = { false, "cancelled", "cancelled", n = 3 }

---@class asyncrt.pool.Options
---@field queue number? how many jobs may wait; as many as workers by default
---@field results ("completed"|"submitted")? the order in which results are kept
---@field on_error asyncrt.OnError? what a failed job does; "log" by default;
---  where results are kept, errors are among them
---@field timeout number? seconds that each attempt of a job may take
---@field retries number? how often a job that fails is tried again; 0, or as
---  often as `retry` says
---@field retry (fun(err: any, attempt: integer, code: string?): boolean)? asked
---  after each attempt that failed whether there is to be another
---@field backoff number? seconds, at most, before the first retry; 1
---@field max_backoff number? seconds, at most, before any retry; 60
---@field per_key number? jobs of one key at once; math.huge by default
---@field key_delay number? seconds between the starts of two jobs of one key; 0

---@class asyncrt.pool.SubmitOptions
---@field key any? what limits and turns go by
---@field priority number? the highest goes first; 0 by default

--- Jobs of one key that wait, and when the next may start.
---@class asyncrt.pool.Key
---@field name any
---@field jobs asyncrt.Heap those that may start as far as time goes
---@field active integer
---@field limit number of active ones
---@field at number when the next may start
---@field turn integer the lowest of several keys goes first

--- A job, as a closing variable of the task that does it.
---@class asyncrt.pool.Job
---@field pool asyncrt.Pool
---@field value any
---@field key any
---@field priority number
---@field number integer
---@field attempts integer
---@field permit asyncrt.Permit? where there is a limit to what waits
---@field outcome table? of the last attempt, once it is over: true and what
---  the handler returned, or false, the error, its code, its traceback
---@field again boolean? the last attempt failed, and there is to be another
---@field at number? when it is tried again
local Job = {}

---@class asyncrt.Pool
---@field private task asyncrt.Task the dispatcher
---@field private handler fun(job: any): ...
---@field private options asyncrt.pool.Options
---@field private keys table<any, asyncrt.pool.Key> that have jobs or a delay
---@field private ready asyncrt.Heap keys of which a job may start
---@field private later asyncrt.Heap what has to wait: keys, and jobs to retry
---@field private changed asyncrt.Cond the dispatcher has something to do
---@field private idle asyncrt.Cond no job is left
---@field private closed asyncrt.Latch
---@field private stopped boolean what waits was dropped
---@field private outbox asyncrt.Channel? of jobs that are done
---@field private counts table<string, integer>
local Pool = {}
Pool.__index = Pool

local function job_before(a, b)
  if a.priority ~= b.priority then return a.priority > b.priority end
  return a.number < b.number
end

local function key_before(a, b)
  local p, q = a.jobs:top().priority, b.jobs:top().priority
  if p ~= q then return p > q end
  return a.turn < b.turn
end

local function due_before(a, b)
  return a.at < b.at
end

--- # Keys

local function next_turn(self)
  self.turn = self.turn + 1
  return self.turn
end

local function key_of(self, name)
  local key = self.keys[name]
  if not key then
    key = {
      name = name,
      jobs = heap.new(job_before),
      active = 0,
      limit = name == ANY and math.huge or self.options.per_key,
      at = -math.huge,
      turn = next_turn(self),
    }
    self.keys[name] = key
  end
  return key
end

-- Puts a key where it belongs after a change to it. A key that has reached its
-- limit is nowhere: the end of one of its jobs is the next change.
local function place(self, key)
  if key.heap then key.heap:remove(key) end
  if key.active >= key.limit then return end
  if key.at > rt.now() then
    self.later:push(key)
  elseif #key.jobs > 0 then
    self.ready:push(key)
  elseif key.active == 0 then
    self.keys[key.name] = nil
  end
end

local function enqueue(self, job)
  local key = key_of(self, job.key)
  key.jobs:push(job)
  place(self, key)
  self.changed:notify()
end

-- Takes the best job that may start now, or nil.
local function take(self)
  local key = self.ready:top()
  if not key then return nil end
  local job = key.jobs:pop()
  key.active = key.active + 1
  key.turn = next_turn(self)
  if key.name ~= ANY and self.options.key_delay > 0 then
    key.at = rt.now() + self.options.key_delay
  end
  place(self, key)
  return job
end

local function wake_due(self)
  local now = rt.now()
  while true do
    local due = self.later:top()
    if not due or due.at > now then return end
    self.later:pop()
    if due.jobs then place(self, due) else enqueue(self, due) end
  end
end

--- # Jobs

-- The handler's own tasks belong to the job: it ends after them.
local function call_handler(job)
  return rt.group(function()
    return true, job.pool.handler(job.value)
  end)
end

-- True and what the handler returns, or nil where its time was up.
local function attempt(job)
  local limit = job.pool.options.timeout
  if limit == math.huge then return call_handler(job) end
  return rt.timeout(limit, call_handler, job)
end

local function may_retry(job, err, code)
  local limits = job.pool.options
  return job.attempts <= limits.retries and
    (not limits.retry or limits.retry(err, job.attempts, code))
end

local function fail(job, err, code)
  local self, trace = job.pool, nil
  if not code and (self.outbox or self.options.retry) then
    trace = task.caught()
  end
  local asked, again = pcall(may_retry, job, err, code)
  if not asked then err, code, trace = again, nil, nil end
  job.again = asked and again and not self.stopped
  if job.again then return end
  job.outcome = { false, err, code, trace, n = 4 }
  if self.outbox then return end
  -- It is the group's, with the traceback it has.
  if asked and not code then task.raise_again(err, trace) end
  error(err, 0)
end

local function conclude(job, ok, completed, ...)
  if ok and completed then
    job.outcome = job.pool.outbox and table.pack(true, ...) or SUCCEEDED
  elseif ok then
    fail(job, ("timeout: the job took longer than %g s")
      :format(job.pool.options.timeout), "timeout")
  else
    fail(job, completed)
  end
end

local function run(job)
  local _ <close> = job
  job.attempts = job.attempts + 1
  job.again = nil
  conclude(job, pcall(attempt, job))
end

-- Full jitter: clients that failed together do not come back together.
local function backoff(job)
  local limits = job.pool.options
  local doublings = math.min(job.attempts - 1, 1000) -- or 0 * inf is none
  return math.random() *
    math.min(limits.max_backoff, limits.backoff * 2.0 ^ doublings)
end

-- Never waits, and is no cancellation point.
local function send(self, job)
  rt.poll({ self.outbox:send_evt(job) })
end

-- Hands over the result of a job; in order, also of those that waited for it.
local function deliver(self, job)
  local held = self.held
  if not held then return send(self, job) end
  held[job.number] = job
  while held[self.next_result] do
    send(self, held[self.next_result])
    held[self.next_result] = nil
    self.next_result = self.next_result + 1
  end
end

-- A job without an outcome was cancelled.
local function settle(self, job, outcome)
  local counts = self.counts
  local count = outcome and (outcome[1] and "done" or "failed") or "cancelled"
  counts[count] = counts[count] + 1
  counts.unfinished = counts.unfinished - 1
  if self.outbox then
    job.outcome = outcome or CANCELLED
    counts.unread = counts.unread + 1
    deliver(self, job)
  elseif job.permit then
    job.permit:release()
  end
  if counts.unfinished == 0 then self.idle:notify_all() end
end

local function leave(self, job)
  local key = self.keys[job.key]
  self.counts.active = self.counts.active - 1
  key.active = key.active - 1
  place(self, key)
  if job.again then
    self.counts.retried = self.counts.retried + 1
    job.at = rt.now() + backoff(job)
    self.later:push(job)
  else
    settle(self, job, job.outcome)
  end
  self.changed:notify()
end

function Job:__close()
  leave(self.pool, self)
end

--- # Dropping

-- Takes away all jobs that wait, in the order of their submission: those of
-- the keys, and those that are to be tried again.
local function take_all(self)
  local jobs = {}
  for _, key in pairs(self.keys) do
    if key.heap then key.heap:remove(key) end
    while key.jobs:top() do jobs[#jobs + 1] = key.jobs:pop() end
  end
  while self.later:top() do jobs[#jobs + 1] = self.later:pop() end
  table.sort(jobs, function(a, b) return a.number < b.number end)
  return jobs
end

-- No more jobs, whoever submits them, and none of those that wait.
local function drop(self)
  self.stopped = true
  self.closed:set()
  for _, job in ipairs(take_all(self)) do settle(self, job, nil) end
  self.changed:notify()
end

--- # The dispatcher

local function dispatch(self, tasks)
  local counts = self.counts
  local arms = { changed = self.changed:wait_evt() }
  while not self.closed:is_set() or counts.unfinished > 0 do
    wake_due(self)
    -- A notification may have come just before a cancel.
    while counts.active < self.workers and not rt.cancelled() do
      local job = take(self)
      if not job then break end
      counts.active = counts.active + 1
      tasks:spawn(run, job)
    end
    local next = self.later:top()
    arms.due = next and rt.at(next.at)
    rt.select(arms)
  end
end

local End = {}

-- An end that nobody asked for is an error to who takes the results.
function End:__close(err)
  local pool = self.pool
  local reason = err ~= nil and not pool.stopped and "cancelled" or nil
  drop(pool)
  if pool.outbox then pool.outbox:close(reason) end
end

local function supervise(self)
  local _ <close> = setmetatable({ pool = self }, End)
  local tasks <close> = rt.group({ on_error = self.options.on_error })
  dispatch(self, tasks)
end

--- # The pool

local function check_order(value)
  return value == "completed" or value == "submitted",
    '"completed" or "submitted"'
end

local function check_on_error(value)
  return value == "log" or value == "collect" or value == "fail" or
    type(value) == "function", '"log", "collect", "fail" or function'
end

local new_options = {
  backoff = "seconds",
  key_delay = "seconds",
  max_backoff = "seconds",
  on_error = check_on_error,
  per_key = "positive",
  queue = "count",
  results = check_order,
  retries = "count",
  retry = "callable",
  timeout = "seconds",
}

local defaults = {
  backoff = 1,
  key_delay = 0,
  max_backoff = 60,
  on_error = "log",
  per_key = math.huge,
  timeout = math.huge,
}

local pool = {}

--- Starts a pool that calls `handler(job)` for each job, at most
--- `workers` of them at once, each in a task of its own.
--- `local p <close> = pool.new(…)` waits for every job at the end of the block,
--- as a group does.
---@param workers integer at least 1
---@param handler fun(job: any): ...
---@param given asyncrt.pool.Options?
---@return asyncrt.Pool
function pool.new(workers, handler, given)
  if math.type(workers) ~= "integer" or workers < 1 then
    error("bad argument #1 to 'new' (positive integer expected)", 2)
  end
  if not options.is_callable(handler) then
    error("bad argument #2 to 'new' (function expected, got " ..
      type(handler) .. ")", 2)
  end
  options.check("new", 3, given, new_options)
  if given and given.results and given.on_error then
    error("bad argument #3 to 'new' (option 'on_error': errors are results)", 2)
  end
  local limits = { queue = workers,
    retries = given and given.retry and math.huge or 0 }
  for name, value in pairs(defaults) do limits[name] = value end
  for name, value in pairs(given or {}) do limits[name] = value end
  local name = " of the pool made at " .. options.site()
  local self = setmetatable({
    workers = workers,
    handler = handler,
    options = limits,
    keys = {},
    ready = heap.new(key_before),
    later = heap.new(due_before),
    changed = rt.cond("jobs, or the close," .. name),
    idle = rt.cond("the end of the jobs" .. name),
    closed = rt.event("the close" .. name),
    stopped = false,
    outbox = limits.results and rt.channel(math.huge, "results" .. name),
    held = limits.results == "submitted" and {} or nil,
    next_result = 1,
    turn = 0,
    counts = {
      active = 0,
      cancelled = 0,
      done = 0,
      failed = 0,
      retried = 0,
      submitted = 0,
      unfinished = 0,
      unread = 0,
    },
  }, Pool)
  if limits.queue < math.huge then
    self.room = { rt.semaphore(workers + limits.queue, "room" .. name),
      self.closed }
  end
  -- What a handler calls is known by this binding.
  self.task = rt.with(self, true, rt.spawn_with, { name = "pool" }, supervise,
    self)
  return self
end

local submit_options = { key = "any", priority = "number" }

-- A closed pool still takes what its own jobs submit.
local function accepts(self, inside)
  return not self.closed:is_set() or
    (inside and not self.stopped and self.counts.unfinished > 0)
end

--- Adds a job, once there is room. Called by a job of this pool it never waits:
--- that would be for itself. [wait]
---@param job any not nil
---@param given asyncrt.pool.SubmitOptions?
---@return true? submitted
---@return "closed"? reason
function Pool:submit(job, given)
  if job == nil then
    error("bad argument #1 to 'submit' (value expected)", 2)
  end
  options.check("submit", 2, given, submit_options)
  local inside, permit = rt.get(self)
  if not accepts(self, inside) then return nil, "closed" end
  if self.room and not inside then
    permit = select(2, rt.select(self.room))
    if not accepts(self) then
      if permit then permit:release() end
      return nil, "closed"
    end
  end
  local counts, key = self.counts, given and given.key
  counts.submitted = counts.submitted + 1
  counts.unfinished = counts.unfinished + 1
  enqueue(self, setmetatable({
    pool = self,
    value = job,
    key = key == nil and ANY or key,
    priority = given and given.priority or 0,
    number = counts.submitted,
    attempts = 0,
    permit = permit,
  }, Job))
  return true
end

--- No more jobs, but for what those submit that are not done yet. Never waits.
---@return boolean first false if it was closed already
function Pool:close()
  local first = self.closed:set()
  self.changed:notify()
  return first
end

--- No more jobs at all: drops those that wait and lets those that run end.
--- Never waits.
function Pool:stop()
  drop(self)
end

--- The same, and cancels those that run. Never waits.
function Pool:cancel()
  drop(self)
  self.task:cancel()
end

--- Waits until no job is left; the pool stays open if it is. [wait]
function Pool:wait()
  if rt.get(self) then error("a job cannot wait for its own pool", 2) end
  while self.counts.unfinished > 0 do self.idle:wait() end
end

local function next_result(self)
  local job, why = self.outbox:recv()
  if not job then
    if why == "cancelled" then error("the pool was cancelled", 2) end
    return nil
  end
  self.counts.unread = self.counts.unread - 1
  if job.permit then job.permit:release() end
  return job.value, table.unpack(job.outcome, 1, job.outcome.n)
end

--- For each job that is over: the job, true and what the handler returned, or
--- false, its error, a code ("timeout", "cancelled" or nil) and the traceback
--- of the error. The loop ends once the pool is closed, stopped or cancelled
--- and every result was taken; it raises where the pool was cancelled with the
--- task or group that it belongs to. [wait]
---@return fun(self: asyncrt.Pool): any, boolean, ...
---@return asyncrt.Pool
function Pool:results()
  if not self.outbox then
    error("this pool keeps no results: it has no option 'results'", 2)
  end
  return next_result, self
end

---@class asyncrt.pool.Stats
---@field workers integer
---@field active integer jobs that run
---@field waiting integer for a worker, for their key, or to be tried again
---@field done integer
---@field failed integer for good
---@field cancelled integer while they ran, or before
---@field retried integer how often a job was tried again
---@field unread integer results that nobody has taken

---@return asyncrt.pool.Stats
function Pool:stats()
  local counts = self.counts
  return {
    workers = self.workers,
    active = counts.active,
    waiting = counts.unfinished - counts.active,
    done = counts.done,
    failed = counts.failed,
    cancelled = counts.cancelled,
    retried = counts.retried,
    unread = counts.unread,
  }
end

local function reap(self)
  self:cancel()
  rt.shield(math.huge, self.task.join, self.task)
end

local Waiting = {}

function Waiting:__close(err)
  if err ~= nil then reap(self.pool) end
end

-- As the end of a group: waits in any case, and cancels the jobs where the
-- block is left by an error, or is cancelled while it waits.
function Pool:__close(err)
  self:close()
  if err ~= nil then return reap(self) end
  local _ <close> = setmetatable({ pool = self }, Waiting)
  self.task:join()
end

return pool
