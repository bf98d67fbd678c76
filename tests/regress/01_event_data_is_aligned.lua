-- The data of an event object was declared with the alignment of max_align_t,
-- 16 bytes, while Lua aligns a userdata for 8. With an odd number of user
-- values the accesses were undefined behaviour, which the sanitizer reports.
local rt = require("asyncrt")

for count = 0, 5 do
  local values = table.pack(rt.sync(rt.always(table.unpack({ 1, 2, 3, 4, 5 }, 1, count))))
  assert(values.n == count)
end
assert(rt.poll({ rt.after(9) }) == nil)
