-- The function form absorbs its own cancel, not its caller's.
local rt = require("asyncrt")

print(rt.group(function(g)
  g:spawn(function()
    rt.sleep(1)
    g:cancel()
  end)
  rt.sleep(9)
  return "NEVER"
end))
print(rt.timeout(1, function()
  rt.group(function() rt.sleep(9) end)
  print("NEVER")
end))
print(rt.now())

--[[ stdout
nil cancelled
nil timeout
2.0
]]
