-- An HTTP server. Runs until Ctrl-C:
--   asyncrt examples/http_hello.lua [address]
--   curl http://127.0.0.1:8080/hello/world
--   curl --data-binary @FILE http://127.0.0.1:8080/echo
local http = require("asyncrt.http")
local net = require("asyncrt.net")
local rt = require("asyncrt")

local routes = {}

function routes.hello(_, res, name)
  res.headers["Content-Type"] = "text/plain; charset=utf-8"
  res:send(("Hello, %s!\n"):format(name ~= "" and name or "world"))
end

-- A body of any size goes back as it comes.
function routes.echo(req, res)
  for bytes in req:chunks() do
    assert(res:write(bytes))
  end
end

-- Chunks, one every tenth of a second.
function routes.count(_, res, last)
  for i = 1, math.min(tonumber(last) or 3, 100) do
    assert(res:write(i .. "\n"))
    rt.sleep(0.1)
  end
end

local function handle(req, res)
  local name, rest = req.path:match("^/(%w*)/?(.*)$")
  local route = routes[name]
  if route then return route(req, res, rest) end
  res.status = 404
  res:send("Not found\n")
end

local listener = assert(net.listen(arg[1] or "127.0.0.1:8080"))
io.stdout:setvbuf("line")
print("listening on " .. listener:address())

http.serve(listener, handle, { drain = 1, max_body = math.huge })
