-- g:cancel() on the block form stops the children only.
local rt = require("asyncrt")

do
  local g <close> = rt.group()
  for i = 1, 3 do
    g:spawn(function()
      rt.sleep(i)
      print("winner", i)
      g:cancel()
    end)
  end
  rt.sleep(1.5)
  print("body goes on", rt.now())
end
print(rt.now())

--[[ stdout
winner 1
body goes on 1.5
1.5
]]
