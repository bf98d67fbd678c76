-- asyncrt: --virtual-time
-- A group or a deadline that was closed by a coroutine or a scope function
-- inside the block that opened it took scopes away under enclosing C frames,
-- which then unwound the task's own scope: a crash. It raises now.
local rt = require("asyncrt")

local function close(x) getmetatable(x).__close(x) end

local function refused(ok, message)
  assert(not ok and tostring(message):find("closed in the function"), message)
end

local group = rt.group()
refused(pcall(coroutine.wrap(function() close(group) end)))
rt.timeout(1, function() refused(pcall(close, group)) end)
close(group)
rt.group(function(g) refused(pcall(close, g)) end)
local deadline = rt.deadline(5)
rt.shield(5, function() refused(pcall(close, deadline)) end)
close(deadline)
