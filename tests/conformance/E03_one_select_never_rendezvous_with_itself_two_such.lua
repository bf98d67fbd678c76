-- One select never meets itself; two such selects meet.
local rt = require("asyncrt")

local c = rt.channel()
print(rt.select({ p = c:send_evt(1), g = c:recv_evt(), to = 1 }))
local r = {}
for i = 1, 2 do
  rt.spawn(function()
    local own = "from" .. i
    local k, v = rt.select({ p = c:send_evt(own), g = c:recv_evt() })
    if k == "g" then
      k = v ~= own and "g:other" or "g:SELF"
    end
    table.insert(r, k)
  end)
end
rt.sleep(1)
table.sort(r)
print(table.concat(r, " "))

--[[ stdout
to
g:other p
]]
