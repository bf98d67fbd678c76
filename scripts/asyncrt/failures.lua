--- What the handlers of servers have failed at, for the report of it.
local core = require("asyncrt.core.net")
local rt = require("asyncrt")

local failures = {}

-- By task, until it is told of: the client, and what for.
local about = setmetatable({}, { __mode = "k" })

--- Says what the running task, a handler that fails, was about.
---@param conn asyncrt.Stream of the client; not closed, so that it has a name
---@param request string? what it was asked for
function failures.keep(conn, request)
  local task = rt.current()
  if about[task] then return end
  local peer = conn:peer()
  local subject = (request or "a connection") .. " of "
    .. (peer or "a client that is gone")
  about[task] = { peer = peer, subject = subject }
end

--- What on_error = "log" does with the error of a handler.
function failures.tell(err, task)
  local known = about[task] or {}
  about[task] = nil
  core.report(err, task, known.subject, known.peer)
end

return failures
