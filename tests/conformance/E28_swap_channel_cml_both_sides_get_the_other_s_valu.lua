-- A swap channel: both sides get the other's value, exactly once.
local rt = require("asyncrt")

local function swap_channel()
  local ch = rt.channel()
  return function(mine)
    return rt.guard(function()
      local back = rt.channel()
      local receive = ch:recv_evt():wrap(function(m)
        m.back:send(mine)
        return m.v
      end)
      local send = ch:send_evt({ v = mine, back = back }):wrap(function()
        return back:recv()
      end)
      return rt.choose(receive, send)
    end)
  end
end

local swap, out = swap_channel(), {}
for _, v in ipairs({ "a", "b" }) do
  rt.spawn(function()
    table.insert(out, v .. "<-" .. rt.sync(swap(v)))
  end)
end
rt.sleep(1)
table.sort(out)
print(table.concat(out, " "))

--[[ stdout
a<-b b<-a
]]
