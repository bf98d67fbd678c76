-- Server-sent events: whoever listens gets what is posted, and a comment now
-- and then, so that nobody in between takes the silence for the end. Runs until
-- Ctrl-C:
--   asyncrt examples/events.lua [address [seconds between comments]]
--   curl --no-buffer http://127.0.0.1:8080/events
--   curl -d 'hello' http://127.0.0.1:8080/events
local http = require("asyncrt.http")
local net = require("asyncrt.net")
local rt = require("asyncrt")

local BEHIND = 100 -- events that a client may be behind before it is let go
local heartbeat = tonumber(arg[2] or "15")
local news = rt.broadcast(BEHIND, "close")

local PAGE = [[
<!doctype html><title>Events</title><pre id="log"></pre><script>
  new EventSource("/events").onmessage = event => {
    document.getElementById("log").textContent += event.data + "\n"
  }
</script>
]]

local router = http.router()

router:get("/{$}", function(_, res)
  res.headers["Content-Type"] = "text/html; charset=utf-8"
  res:send(PAGE)
end)

-- The task is cancelled when the client goes away, and what it has is closed.
router:get("/events", function(_, res)
  local subscription <close> = news:subscribe()
  local _ <close> = setmetatable({}, {
    __close = function() print("a listener has left") end,
  })
  print("a listener has come")
  res.headers["Content-Type"] = "text/event-stream"
  res.headers["Cache-Control"] = "no-store"
  res:write(": welcome\n\n")
  while not subscription:is_closed() do
    local text = rt.sync_timeout(heartbeat, subscription:recv_evt())
    res:write(text and "data: " .. text .. "\n\n" or ": still here\n\n")
  end
end)

router:post("/events", function(req, res)
  local text = req:read_all()
  if not text then return end -- too long or too slow: the server answers
  news:send((text:gsub("\r\n?", "\n"):gsub("\n", "\ndata: ")))
  res.status = 204
  res:send()
end)

local listener = assert(net.listen(arg[1] or "127.0.0.1:8080"))
io.stdout:setvbuf("line")
print("listening on " .. listener:address())
http.serve(listener, router, { drain = 0, max_body = 10000 })
