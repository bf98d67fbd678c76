-- The event that a program sets by hand: clients wait at the start, and the
-- first of them that sends a line lets all of them go. Runs until Ctrl-C:
--   asyncrt examples/event_manual.lua [address]
--   nc 127.0.0.1 7005
local net = require("asyncrt.net")
local rt = require("asyncrt")

local start = rt.event() -- of the next race

local function race(conn)
  local this = start
  conn:write("waiting: a line starts the race\n")
  local key, value = rt.select({
    start = this,
    line = conn:read_line_evt({ max = 80 }),
  })
  if key == "line" then
    if not value then return end -- it has gone
    this:set(value) -- wakes all who wait for it
    if this == start then start = rt.event() end
  end
  conn:write(("go: %s\n"):format(this:wait())) -- set: this does not wait
end

local listener = assert(net.listen(arg[1] or "127.0.0.1:7005"))
io.stdout:setvbuf("line")
print("listening on " .. listener:address())
net.serve(listener, race, { drain = 0 })
