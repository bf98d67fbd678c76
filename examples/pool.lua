-- Fetches pages by 128 workers: `asyncrt examples/pool.lua [--jobs 128] URL
-- [LIST [FOLDER]]`. LIST, or stdin, has a path a line; FOLDER gets the pages.
local net = require("asyncrt.net")
local rt = require("asyncrt")

local size, url, list, folder = 128, ...
if url == "--jobs" then size, url, list, folder = select(2, ...) end
local host, base = assert(url, "no URL"):match("^http://([^/]+)(.-)/*$")
local paths, terminal = io.lines(list), os.execute("test -t 1")
local active, pages, bytes, failures, start = 0, 0, 0, 0, rt.now()

-- Speaks as much HTTP/1.1 as it takes, for at most 30 seconds.
local function fetch(path)
  local _ <close> = rt.deadline(30)
  local port = host:find(":%d+$") and "" or ":80"
  local conn <close> = assert(net.connect(host .. port))
  local get = "GET %s/%s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n"
  assert(conn:write(get:format(base, path, host)))
  local head = assert(conn:read_until("\r\n\r\n"))
  assert(head:find("^HTTP/1.1 200 "), head:match("^[^\r]*"))
  local length = head:match("\r\n[Cc]ontent%-[Ll]ength: *(%d+)")
  local page = assert(conn:read_all())
  assert(#page == tonumber(length or #page), "the page is cut short")
  local file = folder and folder .. "/" .. path:gsub("/", "_")
  if file then assert(io.open(file, "wb")):write(page):close() end
  return #page
end

local function show(ending)
  io.write(("%d pages, %d bytes, %d failures, %.2f seconds, %3d active%s")
    :format(pages, bytes, failures, rt.now() - start, active, ending)):flush()
end

rt.group(function(workers)
  local jobs, results = rt.channel(), rt.channel()
  for _ = 1, size do
    workers:spawn(function()
      for path in jobs:iter() do results:send({ path, pcall(fetch, path) }) end
    end)
  end
  local path, due = paths(), start
  while path or active > 0 do
    local job = path and jobs:send_evt(path) -- false: no job is left
    local key, result = rt.select({ job = job, r = results, tick = rt.at(due) })
    if key == "job" then
      active, path = active + 1, paths()
    elseif key == "tick" then
      show(terminal and "\r" or "\n")
      due = due + (terminal and 0.1 or 1)
    elseif result[2] then
      active, pages, bytes = active - 1, pages + 1, bytes + result[3]
    else
      active, failures = active - 1, failures + 1
      io.stderr:write(result[1], ": ", tostring(result[3]), "\n")
    end
  end
  jobs:close()
end)
show("\n")
