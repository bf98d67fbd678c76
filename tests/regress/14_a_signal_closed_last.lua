-- A run whose last act was to close a subscription to a signal never ended: its
-- handle was closed by the first callbacks of the poll, which then waited for
-- ever, since the time to wait had been known before them.
local rt = require("asyncrt")

rt.signal("USR1"):close()
