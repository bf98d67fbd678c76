-- A pool of random kind does random jobs, which take time, fail and submit
-- further ones. Whatever the seed: each is done once, or failed as often as it
-- may be tried; no limit is passed; no worker is idle while a job could start;
-- each has one result, in order where that was asked for.
--
--   asyncrt --virtual-time --seed=N [--random-order] tests/property/pool.lua
local pool = require("asyncrt.pool")
local rt = require("asyncrt")

local random = math.random

local function pick(...)
  return (select(random(select("#", ...)), ...))
end

local function check(condition, format, ...)
  if not condition then error(format:format(...), 2) end
end

local workers = random(8)
local options = {
  queue = pick(0, random(30), math.huge),
  results = pick(false, "completed", "submitted") or nil,
  retries = random(0, 2),
  backoff = pick(0, 3),
  max_backoff = 5,
  per_key = pick(1, 2, math.huge),
  key_delay = pick(0, 0.5),
}
if not options.results then options.on_error = "collect" end
local total = random(200)
local cancel_at = random(10) == 1 and random() * 20

--- # The model: what is known from outside

local jobs = {}          -- by number
local active, most = 0, 0
local keys = {}          -- by name: { active, waiting, started }
local accepted = 0       -- how many were submitted

local function key_of(name)
  keys[name] = keys[name] or { active = 0, waiting = 0, started = -math.huge }
  return keys[name]
end

local function new_job()
  local job = {
    number = #jobs + 1,
    key = "key " .. math.min(random(20), random(20)),
    seconds = pick(0, random()),
    fails = pick(0, 0, 0, random(4)), -- so many times
    children = random(10) == 1 and random(3) or 0,
    attempts = 0,
    results = 0,
  }
  jobs[job.number] = job
  return job
end

local p

local function submit(job)
  local ok, why = p:submit(job, { key = job.key, priority = random(3) })
  if not ok then
    check(why == "closed" and cancel_at, "submit gave %s", why)
    job.refused = true
    return
  end
  key_of(job.key).waiting = key_of(job.key).waiting + 1
  accepted = accepted + 1
  job.place = accepted
end

local function start(job)
  local key = key_of(job.key)
  job.attempts = job.attempts + 1
  if job.attempts == 1 then key.waiting = key.waiting - 1 end
  check(not job.active, "job %d runs twice at once", job.number)
  check(not job.done, "job %d is done again", job.number)
  check(rt.now() >= key.started + options.key_delay,
    "%s: %g s after the one before", job.key, rt.now() - key.started)
  key.started, key.active, job.active = rt.now(), key.active + 1, true
  active = active + 1
  most = math.max(most, active)
  check(key.active <= options.per_key, "%d jobs of %s", key.active, job.key)
  check(active <= workers, "%d jobs for %d workers", active, workers)
end

local Active = {}

function Active:__close()
  local job = self.job
  job.active = false
  active = active - 1
  key_of(job.key).active = key_of(job.key).active - 1
end

local function handle(job)
  start(job)
  local _ <close> = setmetatable({ job = job }, Active)
  rt.sleep(job.seconds)
  if job.attempts == 1 then
    for _ = 1, job.children do submit(new_job()) end
  end
  if job.attempts <= job.fails then error({ failed = job }) end
  job.done = true
  return job.number, nil, "three"
end

-- Wakes when nothing else does: all that could start must have started.
local function watch_idleness()
  while true do
    rt.sleep(random())
    if active < workers then
      for name, key in pairs(keys) do
        local free = key.active < options.per_key and
          rt.now() >= key.started + options.key_delay
        check(not free or key.waiting == 0,
          "a worker is idle, and a job of %s could start", name)
      end
    end
  end
end

local function take_results()
  local last = 0
  for job, ok, value, second, third in p:results() do
    job.results = job.results + 1
    check(job.place == last + 1 or options.results == "completed",
      "the result of job %d after that of %d", job.place, last)
    last = job.place
    if ok then
      check(value == job.number and second == nil and third == "three",
        "other results than those of job %d", job.number)
    else
      check(value == "cancelled" or value.failed == job, "another error")
    end
    if random(5) == 1 then rt.sleep(random()) end
  end
end

local function verify()
  check(active == 0, "%d jobs are active after the end", active)
  check(most <= workers, "too many")
  if cancel_at then return end
  local done = 0
  for _, job in ipairs(jobs) do
    local tries = math.min(job.fails, options.retries) + 1
    check(job.attempts == tries, "job %d: %d attempts instead of %d",
      job.number, job.attempts, tries)
    check((job.done or false) == (job.fails <= options.retries),
      "job %d: wrongly done or not", job.number)
    if options.results then
      check(job.results == 1, "job %d: %d results", job.number, job.results)
    end
    if job.done then done = done + 1 end
  end
  local stats = p:stats()
  check(stats.done == done and stats.failed == #jobs - done and
    stats.active + stats.waiting + stats.unread == 0, "wrong statistics")
end

-- A submit that is refused leaves a job that never waits.
local function produce()
  for _ = 1, total do
    local job = new_job()
    submit(job)
    if job.refused then return end
    if random(4) == 1 then rt.sleep(random() / 4) end
  end
  p:close()
end

rt.group(function(group)
  group:spawn_with({ daemon = true }, function()
    if not cancel_at then watch_idleness() end
  end)
  if cancel_at then
    group:spawn_with({ daemon = true }, function()
      rt.sleep(cancel_at)
      p:cancel()
    end)
  end
  p = pool.new(workers, handle, options)
  local _ <close> = p
  local producer = group:spawn(produce)
  if options.results then
    local ok, err = pcall(take_results)
    check(ok or cancel_at, "%s", tostring(err))
  end
  producer:join()
end)
verify()
