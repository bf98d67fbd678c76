-- One wait for several things: a channel, a socket and two timers. Whoever
-- connects is asked sums for so many seconds. Runs until Ctrl-C:
--   asyncrt examples/select.lua [address [seconds]]
--   nc 127.0.0.1 7002
local net = require("asyncrt.net")
local rt = require("asyncrt")

local seconds = tonumber(arg[2] or 30)

-- Every player takes its sums from here, one at a time.
local sums = rt.channel()
rt.spawn(function()
  while true do
    local a, b = math.random(9), math.random(9)
    sums:send({ text = ("%d + %d = ?\n"):format(a, b), answer = a + b })
  end
end)

local function play(conn)
  local score, sum = 0, nil
  local over = rt.at(rt.now() + seconds)
  while true do
    local key, value = rt.select({
      sum = not sum and sums, -- false: the last one is not solved yet
      line = conn:read_line_evt({ max = 80 }),
      silence = seconds / 4,
      over = over,
    })
    if key == "sum" then
      sum = value
      conn:write(sum.text)
    elseif key == "silence" then
      conn:write("still there?\n")
    elseif key == "over" then
      conn:write(("time is up: %d solved\n"):format(score))
      return
    elseif not value then -- the client has gone
      return
    elseif sum and tonumber(value) == sum.answer then
      score, sum = score + 1, nil
    else
      conn:write("no, try again\n")
    end
  end
end

local listener = assert(net.listen(arg[1] or "127.0.0.1:7002"))
io.stdout:setvbuf("line")
print("listening on " .. listener:address())
net.serve(listener, play, { drain = 0 })
