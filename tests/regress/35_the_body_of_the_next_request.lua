-- asyncrt: --virtual-time
-- A task that a handler had spawned, and that gave its turn to others where it
-- read the body, got that of the next request, when the handler had returned.
local rt = require("asyncrt")
local testing = require("asyncrt.testing")
local has_http, http = pcall(require, "asyncrt.http")
if not has_http then return end

local STEP_OPS = 128 -- after so many ops a task gives its turn to others

local function post(body)
  return ("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%s")
    :format(#body, body)
end

local channel = rt.channel(STEP_OPS)
local requests, late, body = 0, nil, nil

local function read_later(request)
  for i = 1, STEP_OPS do channel:send(i) end
  late = table.pack(pcall(request.read, request))
end

local listener <close> = testing.listener()
local server = rt.spawn(http.serve, listener, function(request)
  requests = requests + 1
  if requests == 1 then
    rt.spawn(read_later, request)
    rt.yield()
  else
    rt.sleep(1)
    body = request:read_all()
  end
end)
local conn <close> = assert(listener:dial())
conn:write(post("first") .. post("second"))
rt.sleep(2)
server:cancel()
server:join()

assert(body == "second", body)
assert(not late[1] and late[2]:find("the request has been answered", 1, true))
