-- The arguments of a new task and the values of always() are user values of a
-- userdata, whose number Lua keeps in 16 bits: of 70,000 arguments the task got
-- 4,464. Now what does not fit is refused.
local rt = require("asyncrt")

local many = {}
for i = 1, 70000 do many[i] = i end

local function count(...) return select("#", ...), (select(-1, ...)) end

local ok, err = pcall(rt.spawn, count, table.unpack(many))
assert(not ok and err:find("too many arguments"), err)
ok, err = pcall(rt.always, table.unpack(many))
assert(not ok and err:find("too many values"), err)

local n, last = rt.spawn(count, table.unpack(many, 1, 60000)):await()
assert(n == 60000 and last == 60000)
n, last = count(rt.sync(rt.always(table.unpack(many, 1, 60000))))
assert(n == 60000 and last == 60000)
