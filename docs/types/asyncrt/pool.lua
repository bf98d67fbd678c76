---@meta asyncrt.pool
-- luacheck: ignore 212 241

---@class asyncrt.pool.Options
---@field queue number? how many jobs may wait; as many as workers by default
---@field results ("completed"|"submitted")? keeps results, in this order
---@field on_error asyncrt.OnError? what a failed job does, "log" by default;
---  not where results are kept
---@field timeout number? seconds, for each attempt of a job
---@field retries number? how often a job that fails is tried again; 0, or with
---  `retry` math.huge
---@field retry (fun(err: any, attempt: integer, code: "timeout"?): boolean)?
---  whether to try again after that attempt
---@field backoff number? seconds, at most, before the first retry; 1
---@field max_backoff number? seconds, at most, before any retry; 60
---@field per_key number? jobs of one key at once; math.huge by default
---@field key_delay number? seconds between the starts of two jobs of a key; 0

---@class asyncrt.pool.SubmitOptions
---@field key any? what limits and turns go by
---@field priority number? the highest goes first; 0 by default

---@class asyncrt.pool.Stats
---@field workers integer
---@field active integer jobs that run
---@field waiting integer for a worker, for their key, or to be tried again
---@field done integer
---@field failed integer for good
---@field cancelled integer while they ran, or before
---@field retried integer how often a job was tried again
---@field unread integer results that nobody has taken

--- Jobs that are done by so many tasks at once: `local p <close> = pool.new()`.
---@class asyncrt.Pool
local Pool = {}

--- [wait] Adds a job, once there is room. Called by a job of the pool it never
--- waits.
---@param job any not nil
---@param options asyncrt.pool.SubmitOptions?
---@return true? submitted
---@return "closed"? reason
function Pool:submit(job, options) end

--- No more jobs, but for what those submit that are not done. Never waits.
---@return boolean first false if it was closed already
function Pool:close() end

--- No more jobs at all: drops those that wait, lets end those that run. Never
--- waits.
function Pool:stop() end

--- As stop, and cancels the jobs that run. Never waits.
function Pool:cancel() end

--- [wait] Waits until no job is left; the pool stays open.
function Pool:wait() end

--- For each job: the job, true and the results of the handler; or false, its
--- error, a code ("timeout", "cancelled" or nil) and the error's traceback.
--- Each step is a [wait].
---@return fun(): any, boolean, ...
function Pool:results() end

---@return asyncrt.pool.Stats
function Pool:stats() end

---@class asyncrt.pool
local pool = {}

--- Calls `handler(job)` for each job, at most `workers` at once.
---@param workers integer 1 or more
---@param handler fun(job: any): ...
---@param options asyncrt.pool.Options?
---@return asyncrt.Pool
function pool.new(workers, handler, options) end

return pool
