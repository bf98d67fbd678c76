-- Crawls the pages of a site. What is done is written down, one line of JSON a
-- page: started again, even after a kill -9, it goes on where it was.
--   asyncrt examples/crawler.lua [--jobs 128] [--per_host 8] [--delay 0]
--     [--depth 100] [--retries 3] [--out crawl.jsonl] http://127.0.0.1/
local html, http = require("asyncrt.html"), require("asyncrt.http")
local journal, json = require("asyncrt.journal"), require("asyncrt.json")
local pool, progress = require("asyncrt.pool"), require("asyncrt.progress")
local robots, rt = require("asyncrt.robots"), require("asyncrt")
local url = require("asyncrt.url")
local options = { jobs = 128, per_host = 8, delay = 0, depth = 100, retries = 3,
  timeout = 30, out = "crawl.jsonl" }
for i = 1, #arg - 1, 2 do
  local name = arg[i]:match("^%-%-(.+)")
  assert(options[name], "unknown option: " .. arg[i])
  options[name] = name == "out" and arg[i + 1] or tonumber(arg[i + 1])
  assert(options[name], arg[i] .. " wants a number, not " .. arg[i + 1])
end
local start = url.normalise(arg[#arg], { fragment = false }) or ""
local origin = start:match("^https?://[^/]+")
if not origin then
  io.stderr:write("usage: asyncrt examples/crawler.lua [--OPTION N]... URL\n")
  os.exit(2)
end
local client = http.client({ timeout = options.timeout, follow = false,
  headers = { ["User-Agent"] = "asyncrt" } })
-- Without a robots.txt all is allowed; while it cannot be had, nothing is.
local answer = assert(client:get(origin .. "/robots.txt", { follow = true }))
assert(answer.status < 500, "robots.txt: " .. answer.reason)
local rules = robots.parse(answer.status < 300 and answer:read_all() or "")
local log, host = assert(journal.open(options.out)), { key = origin }
local delay = math.max(options.delay, rules:crawl_delay("asyncrt") or 0)
local known, waiting = { [start] = 0 }, {} -- depth, or false; pages by depth
local done, now = {}, { done = 0, failed = 0, active = 0, total = 0 }

local function add(to, depth)
  local page = { url = to, depth = depth, seconds = 0, found = json.array() }
  waiting[depth], now.total = waiting[depth] or {}, now.total + 1
  table.insert(waiting[depth], page)
end

local function fetch(page)
  local began, res = rt.now(), assert(client:get(page.url))
  local body, tag = assert(res:read_all()), res.headers["x-robots-tag"]
  page.status, page.bytes, page.seconds = res.status, #body, rt.now() - began
  assert(res.status < 500 and res.status ~= 429, res.reason)
  local is_html = (res.headers["content-type"] or ""):find("^text/html")
  local leads = is_html and not robots.parse_tag(tag, "asyncrt").nofollow
  local links, about = html.links(leads and body or "", { agent = "asyncrt" })
  table.insert(links, { url = res.headers.location or "" })
  local base, met = url.resolve(page.url, about.base or ""), {}
  -- Keeps of the links what is new, and may be crawled.
  for _, link in ipairs(page.depth < options.depth and links or {}) do
    local ref = link.nofollow and "" or link.url:match("^[^#]*")
    local to = met[ref] or url.normalise(url.resolve(base, ref) or "") or ""
    local path = to:find(origin .. "/", 1, true) == 1 and to:sub(#origin + 1)
    met[ref] = to
    if path and known[to] == nil and rules:allowed("asyncrt", path) then
      page.found[#page.found + 1], known[to] = to, page.depth + 1
    end
  end
end

for line in log:lines() do
  local page = assert(json.decode(line))
  done[#done + 1], known[page.url] = page, false
  for _, to in ipairs(page.found) do known[to] = page.depth + 1 end
end
for to, depth in pairs(known) do if depth then add(to, depth) end end
local bar <close>, depth, counts = progress.bar({ label = "pages" }), 0, {}
local resuming = "resuming from %s (%d pages)"
if #done > 0 then bar:log(resuming:format(options.out, #done)) end
while next(waiting) do -- breadth first: found by the shortest path
  rt.sleep(delay)
  local pages = pool.new(options.jobs, fetch, { per_key = options.per_host,
    key_delay = delay, retries = options.retries, queue = math.huge,
    results = "completed" })
  for _, page in ipairs(waiting[depth] or {}) do pages:submit(page, host) end
  pages:close()
  for page, ok, message in pages:results() do
    page.error = not ok and tostring(message) or nil
    if not ok then bar:log(page.url .. ": " .. page.error) end
    -- One line says both that a page is done and what was found on it.
    assert(log:append(json.encode(page)))
    table.insert(done, page)
    for _, to in ipairs(page.found) do add(to, depth + 1) end
    local kind = ok and "done" or "failed"
    now[kind], now.active = now[kind] + 1, pages:stats().active
    bar:update(now)
  end
  waiting[depth], depth = nil, depth + 1
end
bar:finish()
for _, page in ipairs(done) do
  local kind = page.error and "failed" or tostring(page.status)
  counts[kind] = (counts[kind] or 0) + 1
end
print("status", json.encode(counts))
table.sort(done, function(a, b) return a.seconds > b.seconds end)
for i = 1, math.min(5, #done) do print(done[i].seconds, done[i].url) end
