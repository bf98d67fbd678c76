-- asyncrt: --virtual-time
-- A task that waits for the nack of another one's losing arm and has a losing
-- arm with a nack itself: setting the first event of a chain of 50,000 of them
-- called C functions 50,000 deep and overflowed the stack. They are now set one
-- after the other.
local rt = require("asyncrt")

local first = rt.event()
local previous, woken = first, 0
for _ = 1, 50000 do
  local waits_for = previous
  rt.spawn(function()
    rt.select({
      waits_for,
      rt.with_nack(function(nack)
        previous = nack
        return rt.never
      end),
    })
    woken = woken + 1
  end)
  rt.yield()
end

first:set()
rt.yield()
assert(woken == 50000, woken)
assert(previous:is_set())
