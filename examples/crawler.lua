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
  options[name] = tonumber(arg[i + 1]) or arg[i + 1]
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
local log = assert(journal.open(options.out))
local known, done, pages = { [start] = 0 }, {}, nil -- known: depth, or false

local function add(to, depth)
  pages:submit({ url = to, depth = depth, seconds = 0, found = json.array() },
    { key = origin, priority = -depth })
end

-- Keeps of the links what is new, and may be crawled.
local function select_new(page, links, base)
  local met = {}
  for _, link in ipairs(page.depth < options.depth and links or {}) do
    local ref = link.url:match("^[^#]*")
    local to = met[ref] or url.normalise(url.resolve(base, ref) or "") or ""
    local path = to:find(origin .. "/", 1, true) == 1 and to:sub(#origin + 1)
    met[ref] = to
    if path and known[to] == nil and rules:allowed("asyncrt", path) then
      page.found[#page.found + 1], known[to] = to, page.depth + 1
    end
  end
end

-- One line says both that a page is done and what was found on it.
local function finish(page)
  assert(log:append(json.encode(page)))
  table.insert(done, page)
  for _, to in ipairs(page.found) do add(to, page.depth + 1) end
end

local function fetch(page)
  local began, res = rt.now(), assert(client:get(page.url))
  local body = assert(res:read_all())
  page.status, page.bytes, page.seconds = res.status, #body, rt.now() - began
  assert(res.status < 500 and res.status ~= 429, res.reason)
  local is_html = (res.headers["content-type"] or ""):find("^text/html")
  local links, about = html.links(is_html and body or "")
  table.insert(links, { url = res.headers.location or "" })
  select_new(page, links, url.resolve(page.url, about.base or ""))
  finish(page)
end

for line in log:lines() do
  local page = assert(json.decode(line))
  done[#done + 1], known[page.url] = page, false
  for _, to in ipairs(page.found) do known[to] = page.depth + 1 end
end
pages = pool.new(options.jobs, fetch, { per_key = options.per_host,
  key_delay = math.max(options.delay, rules:crawl_delay("asyncrt") or 0),
  retries = options.retries, queue = math.huge, results = "completed" })
for to, depth in pairs(known) do if depth then add(to, depth) end end
pages:close()
local bar <close> = progress.bar({ label = "pages" })
for page, ok, message in pages:results() do
  if not ok then
    page.error = tostring(message)
    bar:log(page.url .. ": " .. page.error)
    finish(page)
  end
  local now = pages:stats()
  bar:update({ done = now.done, failed = now.failed, active = now.active,
    total = now.done + now.failed + now.active + now.waiting })
end
bar:finish()
local counts = {}
for _, page in ipairs(done) do
  local kind = page.error and "failed" or tostring(page.status)
  counts[kind] = (counts[kind] or 0) + 1
end
print("status", json.encode(counts))
table.sort(done, function(a, b) return a.seconds > b.seconds end)
for i = 1, math.min(5, #done) do print(done[i].seconds, done[i].url) end
