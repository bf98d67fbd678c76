-- asyncrt: --virtual-time
-- A deadline was added to the clock without looking at the sum. Virtual time
-- that had passed 2^63 ns made that of a long sleep wrap around: it ended at
-- once.
local rt = require("asyncrt")

rt.sleep(9e9)
rt.sleep(5e9)
local start = rt.now()
local result, err = rt.timeout(10, rt.sleep, 9e9)
assert(result == nil and err == "timeout")
assert(rt.now() - start > 9 and rt.now() - start < 11)
