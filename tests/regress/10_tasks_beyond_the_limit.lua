-- asyncrt: --virtual-time
-- A task beyond the limit of its group had the state of an ended one until its
-- turn came: join returned at once, with the task's function as its result,
-- cancel did nothing, and status said "done".
local rt = require("asyncrt")

rt.group({ limit = 1 }, function(g)
  g:spawn(rt.sleep, 1)
  local second = g:spawn(function()
    rt.sleep(1)
    return "result"
  end)
  local third = g:spawn(rt.sleep, 99)
  assert(second:status() == "ready")
  third:cancel()
  local ok, result = second:join()
  assert(ok and result == "result" and rt.now() == 2)
  ok, result = third:join()
  assert(not ok and result == "cancelled" and rt.now() == 2)
end)
