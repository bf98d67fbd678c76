-- A pcall in a retry loop cannot swallow a cancel.
local rt = require("asyncrt")

local n = 0
print(rt.timeout(3, function()
  while true do
    n = n + 1
    local ok = pcall(rt.sleep, 2)
    if not ok then print("swallowed") end
  end
end))
print(n, pcall(error, "still works", 0))

--[[ stdout
nil timeout
2 false still works
]]
