-- A reverse proxy. Bodies pass in both directions as they come, no faster than
-- the slower side takes them; a client that goes away ends its request. Runs
-- until Ctrl-C:
--   asyncrt examples/proxy.lua http://127.0.0.1:8000 [address]
local http = require("asyncrt.http")
local net = require("asyncrt.net")

if not arg[1] then
  io.stderr:write("usage: asyncrt examples/proxy.lua URL [address]\n")
  os.exit(2)
end
local upstream = arg[1]:gsub("/+$", "")

-- What belongs to a connection, or is made anew for it.
local hop_by_hop = {
  connection = true, expect = true, host = true, ["keep-alive"] = true,
  ["proxy-authenticate"] = true, ["proxy-authorization"] = true,
  ["proxy-connection"] = true, te = true, trailer = true,
  ["transfer-encoding"] = true, upgrade = true,
}

local function end_to_end(headers)
  local result, own = {}, {}
  for name in (headers.connection or ""):lower():gmatch("[^%s,]+") do
    own[name] = true
  end
  for name, value in pairs(headers) do
    if not hop_by_hop[name] and not own[name] then result[name] = value end
  end
  result.via = (headers.via and headers.via .. ", " or "") .. "1.1 asyncrt"
  return result
end

local client = http.client({
  connect_timeout = 5, timeout = math.huge, -- the body may be long
  max_body = math.huge, decompress = false, follow = false,
})

local function handle(req, res)
  local answer <close>, message, code = client:request({
    method = req.method, url = upstream .. req.target,
    headers = end_to_end(req.headers), body = req.framing and req,
  })
  if not answer then
    res.status = code:find("TIMEDOUT") and 504 or 502
    res:send(message .. "\n")
    return
  end
  res.status, res.headers = answer.status, end_to_end(answer.headers)
  res:write("") -- the head, before there is a body
  for bytes in answer:chunks() do
    if not res:write(bytes) then return end
  end
end

local listener = assert(net.listen(arg[2] or "127.0.0.1:8080"))
io.stdout:setvbuf("line")
print("listening on " .. listener:address())
http.serve(listener, handle, { drain = 5, max_body = math.huge })
