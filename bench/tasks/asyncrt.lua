-- asyncrt's vocabulary for the workloads: `asyncrt asyncrt.lua WORKLOAD N [K]`.
local rt = require("asyncrt")

local folder = arg[0]:match("^.*/") or ""
assert(loadfile(folder .. "workloads.lua"))({
  channel = rt.channel,
  first = rt.select,
  group = rt.group,
  keep = rt.arms,
  now = rt.now,
  sleep = rt.sleep,
  sleep_until = function(instant) return rt.sync(rt.at(instant)) end,
  timeout = rt.timeout,
  yield = rt.yield,
})
