-- asyncrt: --virtual-time
-- Two loops over completed() of one group: each task that ended woke both, one
-- took it, and the other one's loop ended although tasks were left. And a
-- daemon, which ends only once the body has ended, kept the loop waiting.
local rt = require("asyncrt")

local seen = {}
do
  local g <close> = rt.group()
  for i = 1, 6 do g:spawn(rt.sleep, i) end
  g:spawn_with({ daemon = true }, rt.sleep, 1000)
  local loops <close> = rt.group()
  for _ = 1, 2 do
    loops:spawn(function()
      for task in g:completed() do seen[#seen + 1] = task:name() end
      assert(rt.now() == 6)
    end)
  end
end
assert(table.concat(seen, " ") == "t1 t2 t3 t4 t5 t6", table.concat(seen, " "))
assert(rt.now() == 6)
