-- A finalizer that ran while the Lua state was closed could open a listener, a
-- signal or a client that nobody closed: the loop was over.
local net = require("asyncrt.net")
local rt = require("asyncrt")
local journal = require("asyncrt.journal")
local testing = require("asyncrt.testing")
local has_http, http = pcall(require, "asyncrt.http")

local path = os.tmpname()
local openers = {
  listen = function() return net.listen("127.0.0.1:0") end,
  signal = function() return rt.signal("USR1") end,
  pair = function() return testing.stream_pair() end,
  memory = function() return testing.listener() end,
  stdin = function() return rt.stdin end,
}
if has_http then openers.client = http.client end

local function open_all()
  for name, open in pairs(openers) do
    local done, message = pcall(open)
    if done or not message:find("the runtime is closed", 1, true) then
      io.stderr:write(name, ": ", tostring(message), "\n")
      os.exit(1)
    end
  end
  -- It begins with the file, and has a task.
  if pcall(journal.open, path) then os.exit(1) end
end

package.loaded.last = setmetatable({}, { __gc = open_all })
local kept = journal.open(path) -- before the end it may
assert(kept)
kept:close()
os.remove(path)
