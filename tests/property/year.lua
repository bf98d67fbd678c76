-- A year of a script that does something every minute: it takes seconds, every
-- tick comes at its time, and memory does not grow.
--
--   asyncrt --virtual-time tests/property/year.lua [DAYS]
local rt = require("asyncrt")
local testing = require("asyncrt.testing")

local MINUTE, DAY = 60, 24 * 60 * 60
local GROWTH = 1024 -- kB that memory may grow by after the first tenth

local days = math.tointeger(arg[1] or 365)

--- The memory of the process in kB; nil where a sanitizer keeps what is freed.
local function memory()
  local maps <close> = assert(io.open("/proc/self/maps"))
  if maps:read("a"):find("lib[at]san") then return nil end
  local status <close> = assert(io.open("/proc/self/status"))
  return math.tointeger(status:read("a"):match("VmRSS:%s*(%d+)"))
end

local requests = rt.channel()
local a <close>, b = testing.stream_pair({ delay = 0.5, split = true })
local served = 0

local function serve()
  for request in requests:iter() do
    a:write(request .. "\n")
    assert(b:read_line() == request)
    served = served + 1
  end
end

local function work(minute)
  assert(rt.now() == minute * MINUTE, "a tick came late")
  requests:send("minute " .. minute)
  rt.timeout(5, rt.sleep, 50)
  rt.spawn(rt.sleep, 10):cancel()
  rt.select({ rt.spawn(rt.sleep, 1), 20 })
end

rt.group(function(group)
  group:spawn(serve)
  local minute, before = 0, nil
  for count in rt.ticker(MINUTE):iter() do
    assert(count == 1, "a tick was missed")
    minute = minute + 1
    rt.group(function() work(minute) end)
    if minute == days * 144 then before = memory() end
    if minute == days * 1440 then break end
  end
  group:cancel()
  assert(served == days * 1440, served)
  local after = memory()
  assert(not after or after - before < GROWTH,
    ("memory grew from %s to %s kB"):format(before, after))
end)
b:close()
assert(rt.now() < days * DAY + MINUTE)
