-- asyncrt: --virtual-time
-- At the end of a run, closing a listener closed the stream that stood next in
-- the list of handles; the rest of the list was lost and the run never ended.
local testing = require("asyncrt.testing")

local listener = testing.listener()
listener:dial():close()
local a, b = testing.stream_pair()
assert(a and b)
