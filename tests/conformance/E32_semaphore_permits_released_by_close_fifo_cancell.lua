-- Semaphore permits: released by <close>, first in, first out, and a cancelled
-- waiter takes none.
local rt = require("asyncrt")

local s = rt.semaphore(1)
local g <close> = rt.group()
for i = 1, 3 do
  local t = g:spawn(function()
    local _ <close> = s:acquire()
    print(i, rt.now())
    rt.sleep(1)
  end)
  if i == 2 then
    g:spawn(function()
      rt.sleep(0.5)
      t:cancel()
    end)
  end
end

--[[ stdout
1 0.0
3 1.0
]]
