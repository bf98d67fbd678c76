-- Fetches the URLs that a file lists, so many at once: what curl.c does.
--
--   asyncrt asyncrt.lua FILE JOBS ROUNDS
local http = require("asyncrt.http")
local rt = require("asyncrt")

local urls = {}
for line in io.lines(arg[1]) do urls[#urls + 1] = line end
local total = #urls * tonumber(arg[3])
local next_url, bytes = 0, 0

local function work()
  while next_url < total do
    next_url = next_url + 1
    local res = assert(http.get(urls[(next_url - 1) % #urls + 1]))
    assert(res.status == 200, res.url)
    local body = assert(res:read_all())
    bytes = bytes + #body
  end
end

local _ = http.get -- loads libcurl
local before, cpu = rt.now(), os.clock()
rt.group(function(group)
  for _ = 1, tonumber(arg[2]) do group:spawn(work) end
end)
print(("%d %d %.4f %.4f"):format(total, bytes, rt.now() - before,
  os.clock() - cpu))
