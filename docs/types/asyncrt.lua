---@meta asyncrt
-- luacheck: ignore 212 241

--- Types of `require("asyncrt")`, for editors. The reference is in
--- docs/reference. [wait] marks what is a cancellation point.

--- A number is a time limit in seconds.
---@alias asyncrt.Waitable asyncrt.Event|number

---@alias asyncrt.OnError
---| '"fail"' # cancels the group, which raises the error; the default
---| '"log"' # prints it with its traceback; the others go on
---| '"collect"' # does nothing: join returns the error
---| fun(err: any, task: asyncrt.Task) # is called in the failed task

--- Arms that stay where they wait from one select to the next. Reads and is
--- changed like a table; #arms is their number.
---@class asyncrt.Arms: { [any]: asyncrt.Waitable|false|nil }

--- Something that one can wait for.
---@class asyncrt.Event
local Event = {}

--- An event that yields what `f` returns for the values of this one. `f` runs
--- after the commit, and may wait.
---@param f fun(...): ...
---@return asyncrt.Event
function Event:wrap(f) end

--- A fact that becomes true once; itself an event.
---@class asyncrt.Latch: asyncrt.Event
local Latch = {}

--- Sets it, with values, and wakes all who wait. Never waits.
---@param ... any
---@return boolean first false if it was set already: the first values stay
function Latch:set(...) end

--- [wait] Waits until it is set; returns its values.
---@return any ...
function Latch:wait() end

---@return boolean
function Latch:is_set() end

--- Carries values between tasks, first in, first out; itself an event: recv.
---@class asyncrt.Channel: asyncrt.Event
---@operator len: integer
local Channel = {}

--- [wait] Waits until a receiver or the buffer takes `value`.
---@param value any not nil
---@return true? sent
---@return "closed"? reason where it is closed: the value was not delivered
function Channel:send(value) end

--- [wait] Waits for the next value.
---@return any value nil once the channel is closed and empty
---@return any reason what was given to close
function Channel:recv() end

--- Receives until the channel is closed and empty. Each step is a [wait].
---@return fun(): any
function Channel:iter() end

--- No more values; buffered ones can still be received. Never waits.
---@param reason any? "closed" by default
---@return boolean first false if it was closed already
function Channel:close(reason) end

---@return boolean
function Channel:is_closed() end

--- What send does, as an event.
---@param value any not nil
---@return asyncrt.Event
function Channel:send_evt(value) end

--- What recv does, as an event.
---@return asyncrt.Event
function Channel:recv_evt() end

--- A function that runs beside the others; itself an event: join.
---@class asyncrt.Task: asyncrt.Event
local Task = {}

--- [wait] Waits for the end of the task.
---@return boolean ok
---@return any ... the results; or the error, "cancelled" for a cancelled task
function Task:join() end

--- [wait] Waits for the end of the task; raises its error.
---@return any ... the results
function Task:await() end

--- Every cancellation point in it raises from now on. Never waits.
function Task:cancel() end

---@return string
function Task:name() end

---@return "ready"|"running"|"waiting"|"done"|"failed"|"cancelled"
function Task:status() end

--- The traceback of the task, or of its error.
---@return string
function Task:where() end

---@class asyncrt.GroupOptions
---@field limit integer? how many tasks run at once
---@field on_error asyncrt.OnError? what the failure of a task does

---@alias asyncrt.GroupBody fun(group: asyncrt.Group): ...

---@class asyncrt.SpawnOptions
---@field name string? for reports
---@field daemon boolean? does not keep the group open

--- Owns tasks, and does not end before them: `local g <close> = rt.group()`.
---@class asyncrt.Group
local Group = {}

--- Starts f(...) as a task of the group. Never waits.
---@param f fun(...): ...
---@param ... any
---@return asyncrt.Task
function Group:spawn(f, ...) end

---@param options asyncrt.SpawnOptions
---@param f fun(...): ...
---@param ... any
---@return asyncrt.Task
function Group:spawn_with(options, f, ...) end

--- Cancels its tasks; in the function form the body too. Never waits.
---@param reason string?
function Group:cancel(reason) end

--- [wait] Waits until no task but daemons is left; the group stays open.
function Group:wait() end

--- The tasks that have not ended.
---@return integer
function Group:count() end

--- The tasks in the order in which they end. Each step is a [wait].
---@return fun(): asyncrt.Task?
function Group:completed() end

--- Given back by `<close>`, or by a call; a second time does nothing.
---@class asyncrt.Permit
local Permit = {}

--- Never waits.
function Permit:release() end

--- The same.
function Permit:close() end

--- Permits; itself an event: acquire.
---@class asyncrt.Semaphore: asyncrt.Event
local Semaphore = {}

--- [wait] Waits for a permit: `local p <close> = semaphore:acquire()`.
---@return asyncrt.Permit
function Semaphore:acquire() end

---@return asyncrt.Event
function Semaphore:acquire_evt() end

--- Gives a permit to the task that has waited longest, or back. Never waits.
function Semaphore:release() end

--- [wait] Acquires, calls f(...), gives back however f ends.
---@param f fun(...): ...
---@param ... any
---@return any ...
function Semaphore:with(f, ...) end

--- The permits that nobody holds.
---@return integer
function Semaphore:available() end

--- A semaphore with as many permits as it began with, never more.
---@class asyncrt.Limit: asyncrt.Semaphore

--- One permit, released by the task that acquired it; itself an event: acquire.
---@class asyncrt.Mutex: asyncrt.Event
local Mutex = {}

--- [wait] Raises where the calling task holds it.
---@return asyncrt.Permit
function Mutex:acquire() end

---@return asyncrt.Event
function Mutex:acquire_evt() end

--- Raises where another task holds it. Never waits.
function Mutex:release() end

--- [wait] Acquires, calls f(...), gives back however f ends.
---@param f fun(...): ...
---@param ... any
---@return any ...
function Mutex:with(f, ...) end

---@return boolean
function Mutex:is_locked() end

--- Lets tasks wait until another one says that something has changed.
---@class asyncrt.Cond
local Cond = {}

--- [wait] Waits for a notification; look again afterwards.
function Cond:wait() end

---@return asyncrt.Event
function Cond:wait_evt() end

--- Wakes the tasks that have waited longest. Never waits.
---@param n integer? 1 by default
---@return integer woken
function Cond:notify(n) end

--- Wakes all who wait. Never waits.
---@return integer woken
function Cond:notify_all() end

--- A value and its changes.
---@class asyncrt.Watch
local Watch = {}

---@return any value
---@return integer version
function Watch:get() end

--- Sets the value and wakes all who wait for a change. Never waits.
---@param value any
function Watch:set(value) end

--- [wait] Waits until the version is another than `seen`, or than now.
---@param seen integer?
---@return any value the latest
---@return integer version
function Watch:changed(seen) end

---@param seen integer?
---@return asyncrt.Event
function Watch:changed_evt(seen) end

--- How often it was set.
---@return integer
function Watch:version() end

--- Every subscriber gets every value.
---@class asyncrt.Broadcast
local Broadcast = {}

--- [wait] Gives `value` to every subscriber.
---@param value any not nil
---@return true? sent
---@return "closed"? reason
function Broadcast:send(value) end

---@param value any not nil
---@return asyncrt.Event
function Broadcast:send_evt(value) end

--- Gets every value sent from now on.
---@return asyncrt.Subscription
function Broadcast:subscribe() end

--- Closes every subscription. Never waits.
---@param reason any? "closed" by default
---@return boolean first false if it was closed already
function Broadcast:close(reason) end

---@return boolean
function Broadcast:is_closed() end

--- The open subscriptions.
---@return integer
function Broadcast:count() end

--- What a subscriber receives from; itself an event: recv.
---@class asyncrt.Subscription: asyncrt.Event
---@operator len: integer
local Subscription = {}

--- [wait] Waits for the next value.
---@return any value nil once it is closed and empty
---@return any reason
function Subscription:recv() end

---@return asyncrt.Event
function Subscription:recv_evt() end

--- Receives until it is closed and empty. Each step is a [wait].
---@return fun(): any
function Subscription:iter() end

--- Nothing more is sent to it. Never waits.
---@param reason any? "closed" by default
---@return boolean first false if it was closed already
function Subscription:close(reason) end

---@return boolean
function Subscription:is_closed() end

--- How many values it missed under "drop".
---@return integer
function Subscription:dropped() end

--- Bytes that are read and written without making strings.
---@class asyncrt.Buffer
---@operator len: integer
local Buffer = {}

---@return string
function Buffer:tostring() end

--- How many bytes it has room for.
---@return integer
function Buffer:capacity() end

--- Functions that are called in the scheduler; they cannot wait.
---@class asyncrt.Instruments
---@field task_spawned fun(task: asyncrt.Task)?
---@field before_step fun(task: asyncrt.Task)?
---@field after_step fun(task: asyncrt.Task)?
---@field blocked fun(task: asyncrt.Task, what: string)?
---@field woken fun(task: asyncrt.Task)?
---@field cancelled fun(task: asyncrt.Task, reason: string)?
---@field exited fun(task: asyncrt.Task)?
---@field before_poll fun()?
---@field after_poll fun()?

---@class asyncrt.Stats
---@field tasks integer that have not ended
---@field ready integer
---@field timers integer
---@field handles integer
---@field ticks integer of the loop, since the start
---@field steps integer of tasks, since the start
---@field longest_step number seconds, from the first call on
---@field bytes integer of Lua memory

--- A subscription to a signal; itself an event: wait.
---@class asyncrt.Signal: asyncrt.Event
local Signal = {}

--- [wait] Waits for the signal.
---@return string? name
---@return string? message
---@return string? code
function Signal:wait() end

---@return asyncrt.Event
function Signal:wait_evt() end

--- Until it is closed. Each step is a [wait].
---@return fun(): string?
function Signal:iter() end

--- Ends the subscription. Never waits.
function Signal:close() end

--- Ticks at a fixed pace; itself an event: wait.
---@class asyncrt.Ticker: asyncrt.Event
local Ticker = {}

--- [wait] Waits for a tick.
---@return integer count more than 1 where the caller was late
function Ticker:wait() end

---@return asyncrt.Event
function Ticker:wait_evt() end

--- For ever. Each step is a [wait].
---@return fun(): integer
function Ticker:iter() end

---@class asyncrt
local rt = {}

--- Commits `seconds` after each sync begins.
---@param seconds number not negative
---@return asyncrt.Event
function rt.after(seconds) end

--- [wait] Calls the functions at once; the first result of each. The first
--- error cancels the others and is raised.
---@param ... fun(): any
---@return any ...
function rt.all(...) end

--- An event that is ready, and yields its arguments.
---@param ... any
---@return asyncrt.Event
function rt.always(...) end

--- Arms for a loop of selects, which takes no longer among many than among few.
---@param arms table<any, asyncrt.Waitable|false>?
---@return asyncrt.Arms
function rt.arms(arms) end

--- Commits once rt.now() >= `time`.
---@param time number
---@return asyncrt.Event
function rt.at(time) end

---@param capacity integer 1 or more, for each subscriber
---@param policy ("block"|"drop"|"close")? where one is full
---@return asyncrt.Broadcast
function rt.broadcast(capacity, policy) end

---@param capacity integer? 65536 by default
---@return asyncrt.Buffer
function rt.buffer(capacity) end

--- Whether a call that waits is possible here.
---@return boolean
function rt.can_block() end

--- Whether the next cancellation point raises, and why.
---@return boolean cancelled
---@return string? reason
function rt.cancelled() end

---@overload fun(name: string): asyncrt.Channel
---@param capacity number? an integer, or math.huge; 0 by default: a rendezvous
---@param name string? for reports
---@return asyncrt.Channel
function rt.channel(capacity, name) end

--- An event that is ready when one of the events is.
---@param ... asyncrt.Waitable?
---@return asyncrt.Event
function rt.choose(...) end

---@param name string? for reports
---@return asyncrt.Cond
function rt.cond(name) end

--- [wait] Copies until the end of `from`, or `max` bytes.
---@param from asyncrt.Stream
---@param to asyncrt.Stream
---@param options asyncrt.LimitOptions?
---@return integer? bytes
---@return string? message
---@return string? code
---@return integer? copied where it failed
function rt.copy(from, to, options) end

---@return asyncrt.Task
function rt.current() end

--- `local d <close> = rt.deadline(s)`: a longer block raises "timeout".
---@param seconds number
---@return table
function rt.deadline(seconds) end

--- One line a task, each below its owner.
---@return string
function rt.dump() end

---@param name string? for reports
---@return asyncrt.Latch
function rt.event(name) end

--- Cancels every task; closers run; the run ends with status `code`. Returns.
---@param code integer? from 0 to 255
function rt.exit(code) end

--- What the innermost rt.with bound to `key`.
---@param key any not nil
---@return any value
function rt.get(key) end

--- Opens a group; or calls f(group) and returns its results, nil, "cancelled"
--- where the group was cancelled.
---@overload fun(f: asyncrt.GroupBody): ...
---@overload fun(options: asyncrt.GroupOptions, f: asyncrt.GroupBody): ...
---@param options asyncrt.GroupOptions?
---@return asyncrt.Group
function rt.group(options) end

--- An event made anew by `f` at each sync.
---@param f fun(): asyncrt.Event
---@return asyncrt.Event
function rt.guard(f) end

--- Calls these functions as things happen; nil removes them.
---@param functions asyncrt.Instruments?
function rt.instrument(functions) end

--- How many tasks may do something at once.
---@param n integer 1 or more
---@param name string? for reports
---@return asyncrt.Limit
function rt.limit(n, name) end

---@param name string? for reports
---@return asyncrt.Mutex
function rt.mutex(name) end

--- An event that is never ready.
---@type asyncrt.Event
rt.never = nil

--- Seconds on a monotonic clock, or on the virtual one.
---@return number
function rt.now() end

--- As Lua's pcall: catches cancellations too.
---@param f fun(...): ...
---@param ... any
---@return boolean ok
---@return any ...
function rt.pcall_all(f, ...) end

--- As select, but returns nil where nothing is ready. Never waits.
---@param arms table<any, asyncrt.Waitable|false>|asyncrt.Arms
---@return any key
---@return any ... what the event yields
function rt.poll(arms) end

--- [wait] Calls the functions at once; the first that returns wins, the others
--- are cancelled and awaited.
---@param ... fun(): ...
---@return integer number
---@return any ... the results
function rt.race(...) end

--- [wait] Waits for the first event of `arms`; the others have no effect.
---@param arms table<any, asyncrt.Waitable|false>|asyncrt.Arms
---@return any key
---@return any ... what the event yields
function rt.select(arms) end

---@param n integer 0 or more
---@param name string? for reports
---@return asyncrt.Semaphore
function rt.semaphore(n, name) end

--- Calls f(...), into which no cancellation from outside enters.
---@param seconds number math.huge is no limit
---@param f fun(...): ...
---@param ... any
---@return any ... the results, or nil, "timeout"
function rt.shield(seconds, f, ...) end

--- Subscribes to a signal.
---@param name string|integer "TERM", "SIGTERM" or its number
---@return asyncrt.Signal? signal
---@return string? message
---@return string? code
function rt.signal(name) end

--- [wait] Zero or less: yield().
---@param seconds number
function rt.sleep(seconds) end

--- Starts f(...) as a task of the innermost open group, or of the calling task.
--- Never waits.
---@param f fun(...): ...
---@param ... any
---@return asyncrt.Task
function rt.spawn(f, ...) end

---@return asyncrt.Stats
function rt.stats() end

--- As spawn, with a name, or as a daemon, which keeps nothing from ending.
--- Never waits.
---@param options asyncrt.SpawnOptions
---@param f fun(...): ...
---@param ... any
---@return asyncrt.Task
function rt.spawn_with(options, f, ...) end

--- The standard streams. They are opened when they are first used.
---@type asyncrt.Stream
rt.stdin = nil
---@type asyncrt.Stream
rt.stdout = nil
---@type asyncrt.Stream
rt.stderr = nil

--- The errors that came after `err` in its group.
---@param err any
---@param group asyncrt.Group? needed for an error that is a string
---@return any[]
function rt.suppressed(err, group) end

--- [wait] Waits for an event.
---@param event asyncrt.Waitable
---@return any ... what it yields
function rt.sync(event) end

--- [wait] As sync, for at most `seconds`; zero or less: one attempt.
---@param seconds number
---@param event asyncrt.Waitable
---@return any ... what it yields, or nil, "timeout"
function rt.sync_timeout(seconds, event) end

--- Every task that has not ended.
---@return asyncrt.Task[]
function rt.tasks() end

--- Ticks every `seconds` from now on.
---@param seconds number
---@return asyncrt.Ticker
function rt.ticker(seconds) end

--- Calls f(...), which is cancelled after `seconds`.
---@param seconds number
---@param f fun(...): ...
---@param ... any
---@return any ... the results, or nil, "timeout"
function rt.timeout(seconds, f, ...) end

---@param value any
---@return asyncrt.Watch
function rt.watch(value) end

--- Calls f(...), in which get(key), also in the tasks it spawns, is `value`.
---@param key any not nil
---@param value any
---@param f fun(...): ...
---@param ... any
---@return any ... the results
function rt.with(key, value, f, ...) end

--- As guard; `nack` becomes set if the event that `f` returns is not chosen.
---@param f fun(nack: asyncrt.Latch): asyncrt.Event
---@return asyncrt.Event
function rt.with_nack(f) end

--- [wait] Lets the other tasks run.
function rt.yield() end

return rt
