--- Composite events: choose, wrap, guard and with_nack over base events.
---
--- A sync first expands its events, depth first: guards run, choices are
--- flattened, and what remains is a sequence of base events for the C core.
--- Source: Reppy's Concurrent ML.
local core = require("asyncrt.core.select")
local sync = require("asyncrt.core.sync")
local time = require("asyncrt.core.time")

local event = {}

local function check_event(e, what)
  if not core.node(e) then
    local got = e ~= e and "NaN" or "a " .. type(e) .. " value"
    error(what .. " must return an event, got " .. got, 0)
  end
end

--- The state of one expansion. If it ends by an error, a cancellation included,
--- before it is known which event was chosen, its nacks fire.
local Expansion = {}
Expansion.__index = Expansion
Expansion.__close = function(self)
  if #self.nacks > 0 then core.fire(self.nacks, self.armed) end
end

local function new_expansion(call)
  return setmetatable({
    bases = {}, -- base events
    wraps = {}, -- for each: { function, next } innermost first, or false
    keys = {}, -- for each: its key in a select
    nacks = {}, -- { latch, first, last, … }
    call = call, -- how guards are called
    armed = nil, -- the nacks, once the core has them
  }, Expansion)
end

local function expand(self, e, wraps, key)
  local node = core.node(e)
  if node == true then
    local n = #self.bases + 1
    self.bases[n], self.wraps[n], self.keys[n] = e, wraps, key
  elseif node.kind == "wrap" then
    expand(self, node.event, { node.f, wraps }, key)
  elseif node.kind == "choose" then
    for i = 1, #node do expand(self, node[i], wraps, key) end
  elseif node.kind == "guard" then
    local inner = self.call(node.f)
    check_event(inner, "a guard")
    expand(self, inner, wraps, key)
  else
    local nacks, n, latch = self.nacks, #self.nacks, sync.nack()
    -- Until it is known which arms are inside, every outcome fires it.
    nacks[n + 1], nacks[n + 2], nacks[n + 3] = latch, 0, 0
    local first = #self.bases + 1
    local inner = self.call(node.f, latch)
    check_event(inner, "the function of with_nack")
    expand(self, inner, wraps, key)
    nacks[n + 2], nacks[n + 3] = first, #self.bases
  end
end

local function run_wraps(wraps, ...)
  if not wraps then return ... end
  return run_wraps(wraps[2], wraps[1](...))
end

local function finish(self, number, ...)
  if number == nil then return nil end
  return run_wraps(self.wraps[number], ...)
end

local function finish_keyed(self, number, ...)
  if number == nil then return nil end
  return self.keys[number], run_wraps(self.wraps[number], ...)
end

local function perform(self)
  return core.perform(self.bases, self.nacks, self)
end

local function attempt(self)
  return core.attempt(self.bases, self.nacks, self)
end

local function call(f, ...) return f(...) end

local function expand_arms(self, arms)
  local pairs_ = core.arms(arms)
  for i = 1, #pairs_, 2 do expand(self, pairs_[i + 1], false, pairs_[i]) end
end

-- The expansion of one sync, then its number and values. The expansion is
-- closed, firing its nacks if it failed, before wraps run.

local function select_expanded(arms)
  core.checkpoint()
  local self <close> = new_expansion(call)
  expand_arms(self, arms)
  return self, perform(self)
end

local function poll_expanded(arms)
  local self <close> = new_expansion(core.call)
  expand_arms(self, arms)
  return self, attempt(self)
end

local function sync_expanded(e)
  core.checkpoint()
  local self <close> = new_expansion(call)
  expand(self, e, false)
  return self, perform(self)
end

local function attempt_expanded(e)
  local self <close> = new_expansion(core.call)
  expand(self, e, false)
  return self, attempt(self)
end

local function limited_expanded(deadline, e)
  core.checkpoint()
  local self <close> = new_expansion(call)
  expand(self, e, false)
  self.limit = #self.bases + 1
  self.bases[self.limit] = deadline
  return self, core.perform(self.bases, self.nacks, self, true)
end

local function finish_limited(self, number, ...)
  if number == nil or number == self.limit then return nil, "timeout" end
  return run_wraps(self.wraps[number], ...)
end

-- What the C core calls where an arm is a composite.
local composites = core.composites

function composites.select(arms) return finish_keyed(select_expanded(arms)) end

function composites.poll(arms)
  return finish_keyed(poll_expanded(arms))
end

function composites.sync(e) return finish(sync_expanded(e)) end

function composites.sync_timeout(seconds, e)
  if seconds <= 0 then return finish_limited(attempt_expanded(e)) end
  -- The limit counts from the call, whatever the guards take.
  return finish_limited(limited_expanded(time.at(time.now() + seconds), e))
end

local function check_function(f, name)
  if type(f) ~= "function" and not (debug.getmetatable(f) or {}).__call then
    error(("bad argument #1 to '%s' (function expected, got %s)")
      :format(name, type(f)), 3)
  end
end

local methods = {}

--- An event that yields what `f` returns for the values of this one. `f` runs
--- in the syncing task after the commit; it may wait; an error in it
--- propagates, the commit stands.
---@param f fun(...): ...
---@return asyncrt.Event
function methods:wrap(f)
  if not core.node(self) then
    error("calling 'wrap' on bad self (event expected, got " .. type(self) ..
      ")", 2)
  end
  check_function(f, "wrap")
  return core.composite({ kind = "wrap", event = self, f = f })
end

core.set_methods(methods)

--- An event that is ready when one of the events is; nil arguments vanish.
--- choose() equals never.
---@param ... asyncrt.Waitable?
---@return asyncrt.Event
function event.choose(...)
  local node = { kind = "choose" }
  for i = 1, select("#", ...) do
    local e = select(i, ...)
    if e ~= nil then
      if not core.node(e) then
        error(("bad argument #%d to 'choose' (event expected, got %s)")
          :format(i, e ~= e and "NaN" or type(e)), 2)
      end
      node[#node + 1] = e
    end
  end
  return core.composite(node)
end

--- An event made by `f` anew at each sync, before anything is attempted. `f`
--- must return an event; it may wait, but not under poll.
---@param f fun(): asyncrt.Waitable
---@return asyncrt.Event
function event.guard(f)
  check_function(f, "guard")
  return core.composite({ kind = "guard", f = f })
end

--- As guard, but `f` gets an event that becomes set if and only if the event
--- that it returned is not the one chosen: when another arm wins, when the sync
--- times out, is cancelled or fails.
---@param f fun(nack: asyncrt.Latch): asyncrt.Waitable
---@return asyncrt.Event
function event.with_nack(f)
  check_function(f, "with_nack")
  return core.composite({ kind = "nack", f = f })
end

return event
