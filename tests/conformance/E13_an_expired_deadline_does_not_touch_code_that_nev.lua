-- An expired deadline does not touch code that never blocks.
local rt = require("asyncrt")

print(rt.timeout(0, function() return "done" end))
print(rt.timeout(0, function()
  rt.sleep(0)
  return "NEVER"
end))
print(pcall(function()
  local _ <close> = rt.deadline(1)
  rt.sleep(9)
end))
print(rt.now())

--[[ stdout
done
nil timeout
false timeout
1.0
]]
