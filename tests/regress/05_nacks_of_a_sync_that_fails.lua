-- asyncrt: --virtual-time
-- Where an event could not be prepared (a task that joins itself, a time that
-- is no number), the sync raised after its guards had run, but the nacks that
-- they had been given never fired. A time that is no number now raises before
-- any guard runs.
local rt = require("asyncrt")

local runs, fired = 0, 0
local function nacked()
  return rt.with_nack(function(nack)
    runs = runs + 1
    rt.spawn(function()
      nack:wait()
      fired = fired + 1
    end)
    return rt.never
  end)
end
local function check(name, expected_runs, sync, ...)
  runs, fired = 0, 0
  local ok, err = pcall(sync, ...)
  rt.yield()
  rt.yield()
  assert(not ok, name)
  assert(runs == expected_runs and fired == runs,
    ("%s: %d runs, %d fired"):format(name, runs, fired))
  return err
end

for _, sync in ipairs({ rt.select, rt.poll }) do
  check("self", 1, sync, { nacked(), rt.current() })
  local err = check("NaN", 0, sync, { nacked(), 0 / 0 })
  assert(err:find("NaN"), err)
end
local both = rt.choose(nacked(), rt.guard(rt.current))
check("sync", 1, rt.sync, both)
check("sync_timeout", 1, rt.sync_timeout, 1, both)
check("one attempt", 1, rt.sync_timeout, 0, both)
check("a later guard", 1, rt.sync, rt.choose(nacked(), rt.guard(function()
  error("expected")
end)))
check("error(nil)", 1, rt.sync, rt.choose(nacked(), rt.guard(function()
  error(nil)
end)))
check("no event", 1, rt.sync, rt.choose(nacked(), rt.guard(function() end)))
