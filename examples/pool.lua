-- 128 workers fetch the pages whose paths are the lines of standard input:
--   asyncrt examples/pool.lua [--jobs 128] URL [FOLDER to save them in] <LIST
local net = require("asyncrt.net")
local progress = require("asyncrt.progress")
local rt = require("asyncrt")

local size, url, folder = 128, ...
if url == "--jobs" then size, url, folder = select(2, ...) end
local host, base = (url or ""):match("^http://([^/]+)(.-)/*$")
if not (host and tonumber(size)) then
  io.stderr:write("usage: asyncrt examples/pool.lua [--jobs N] URL [FOLDER]\n")
  os.exit(2)
end
local active, pages, bytes, failures = 0, 0, 0, 0

-- Speaks as much HTTP as it takes, for at most 30 seconds: 1.0 has no chunks.
local function fetch(path)
  local _ <close> = rt.deadline(30)
  local port = host:find(":%d+$") and "" or ":80"
  local conn <close> = assert(net.connect(host .. port))
  local get = "GET %s/%s HTTP/1.0\r\nHost: %s\r\n\r\n"
  assert(conn:write(get:format(base, path, host)))
  local head = assert(conn:read_until("\r\n\r\n"))
  assert(head:find("^HTTP/1%.[01] 200 "), "answered " .. head:match("^[^\r]*"))
  local length = head:match("\r\n[Cc]ontent%-[Ll]ength: *(%d+)")
  local page = assert(conn:read_all())
  assert(#page == tonumber(length or #page), "the page is cut short")
  local file = folder and folder .. "/" .. path:gsub("/", "_")
  if file then assert(io.open(file, "wb")):write(page):close() end
  return #page
end

rt.group(function(workers)
  local jobs, results = rt.channel(), rt.channel()
  for _ = 1, tonumber(size) do
    workers:spawn(function()
      for path in jobs:iter() do results:send({ path, pcall(fetch, path) }) end
    end)
  end
  local bar <close> = progress.bar({ label = "pages", every = 1 })
  local arms, path = { result = results }, nil -- nil: to be read; false: end
  while path ~= false or active > 0 do
    arms.line = path == nil and rt.stdin:read_line_evt()
    arms.job = path and jobs:send_evt(path)
    local key, value = rt.select(arms)
    if key == "line" then path = value or false
    elseif key == "job" then active, path = active + 1, nil
    elseif value[2] then
      active, pages, bytes = active - 1, pages + 1, bytes + value[3]
    else
      active, failures = active - 1, failures + 1
      bar:log(value[1] .. ": " .. tostring(value[3]))
    end
    bar:update({ done = pages, active = active, failed = failures })
  end
  jobs:close()
end)
print(("%d pages, %d bytes, %d failures"):format(pages, bytes, failures))
if pages == 0 and failures > 0 then os.exit(1) end
