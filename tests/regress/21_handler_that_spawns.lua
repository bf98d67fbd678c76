-- asyncrt: --virtual-time
-- A task that the function of on_error spawned belonged to a task that had
-- already ended: nobody awaited it. The failed task awaits it now.
local rt = require("asyncrt")

local ended = false
rt.group({
  on_error = function()
    rt.spawn(function()
      rt.sleep(1)
      ended = true
    end)
  end,
}, function(g)
  g:spawn(error, "fails")
end)
assert(ended and rt.now() == 1.0)
