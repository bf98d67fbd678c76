-- A pool. What it has lost for want of memory is waited for in vain, and that
-- is found out.
local pool = require("asyncrt.pool")
local rt = require("asyncrt")
if not ... then return end

local p = pool.new(2, function(job)
  if job % 3 == 0 then error({}) end
  rt.sleep(1)
  return job, 2
end, { results = "submitted", retries = 1, timeout = 3, per_key = 1 })
local reader = rt.spawn(function()
  for _ in p:results() do end
end)
for i = 1, 5 do p:submit(i, { key = i % 2 }) end
p:close()
p:wait()
reader:join()
