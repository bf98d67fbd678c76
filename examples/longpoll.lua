-- A chat by long polling: a client asks for the lines after the last one that
-- it has, and the answer comes when there is one. Runs until Ctrl-C:
--   asyncrt examples/longpoll.lua [address [seconds]]
--   curl -d 'hello' http://127.0.0.1:8080/lines
--   curl 'http://127.0.0.1:8080/lines?after=0'
local http = require("asyncrt.http")
local net = require("asyncrt.net")
local rt = require("asyncrt")

local KEPT = 100                            -- lines
local patience = tonumber(arg[2] or "25")   -- seconds that a client waits
local lines = {}                            -- by number
local latest = rt.watch(0)                  -- the number of the last one
local waiting = 0

local function wait_for_more(after)
  local number, version = latest:get()
  if number > after then return end
  waiting = waiting + 1
  local _ <close> = setmetatable({}, {
    __close = function() waiting = waiting - 1 end,
  })
  rt.timeout(patience, latest.changed, latest, version)
end

local router = http.router()

-- Nothing but a status where no line has come in time: the client asks again.
router:get("/lines", function(req, res)
  local after = tonumber((req.query or ""):match("^after=(%d+)$"))
    or latest:get()
  wait_for_more(after)
  local number, list = latest:get(), {}
  for i = math.max(after + 1, number - KEPT + 1), number do
    list[#list + 1] = ("%d %s\n"):format(i, lines[i])
  end
  res.status = #list > 0 and 200 or 204
  res.headers["Content-Type"] = "text/plain; charset=utf-8"
  res:send(table.concat(list))
end)

router:post("/lines", function(req, res)
  local line = req:read_all()
  if not line then return end -- too long or too slow: the server answers
  local number = latest:get() + 1
  lines[number] = line:gsub("%c", " ")
  lines[number - KEPT] = nil
  latest:set(number)
  res:send(number .. "\n")
end)

router:get("/waiting", function(_, res)
  res:send(waiting .. "\n")
end)

local listener = assert(net.listen(arg[1] or "127.0.0.1:8080"))
io.stdout:setvbuf("line")
print("listening on " .. listener:address())
http.serve(listener, router, { drain = 1, max_body = 1000 })
