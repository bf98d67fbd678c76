-- asyncrt: --virtual-time
-- The router of the HTTP server, called as a handler.
local harness = require("harness")
local http = require("asyncrt.http")
local lu = require("luaunit")
local rt = require("asyncrt")

-- A response that keeps what it is sent.
local function new_response()
  local res = { headers = {}, status = 200 }
  function res:send(body) self.body = body or "" end
  return res
end

-- What a router answers: the response, and the request as it was.
local function ask(router, method, target)
  local path, query = target:match("^([^?]*)%??(.*)$")
  local req = { method = method, path = path, query = query ~= "" and query or nil }
  local res = new_response()
  router(req, res)
  return res, req
end

local function named(name)
  return function(_, res) res:send(name) end
end

-- A router whose routes answer with their patterns.
local function router_of(...)
  local router = http.router()
  for _, pattern in ipairs({ ... }) do router:handle(pattern, named(pattern)) end
  return router
end

local function assert_routes(router, cases)
  for request, expected in pairs(cases) do
    local method, target = request:match("^(%S+) (%S+)$")
    lu.assertEquals(ask(router, method, target).body, expected, request)
  end
end

TestMatch = {}

function TestMatch:test_the_most_specific_pattern_wins()
  local router = router_of("/", "/items/", "/items/{id}", "/items/new", "/items/{id}/parts/{part}",
    "/items/new/parts/{part}", "/items/{id}/{rest...}", "/{$}")

  assert_routes(router, {
    ["GET /"] = "/{$}",
    ["GET /other"] = "/",
    ["GET /items/"] = "/items/",
    ["GET /items/7"] = "/items/{id}",
    ["GET /items/new"] = "/items/new",
    ["GET /items/7/parts/8"] = "/items/{id}/parts/{part}",
    ["GET /items/new/parts/8"] = "/items/new/parts/{part}",
    ["GET /items/new/x"] = "/items/{id}/{rest...}",
    ["GET /items/7/parts/"] = "/items/{id}/{rest...}",
  })
end

function TestMatch:test_methods()
  local router = router_of("GET /a", "POST /a", "HEAD /h", "GET /h", "/b", "GET /b", "GET /c/{x}")

  assert_routes(router, {
    ["GET /a"] = "GET /a",
    ["HEAD /a"] = "GET /a",
    ["POST /a"] = "POST /a",
    ["HEAD /h"] = "HEAD /h",
    ["DELETE /b"] = "/b",
    ["GET /b"] = "GET /b",
    ["HEAD /b"] = "GET /b",
    ["GET /c/z"] = "GET /c/{x}",
  })
end

function TestMatch:test_shorthands()
  local router = http.router()
  for _, method in ipairs({ "get", "post", "put", "patch", "delete" }) do
    router[method](router, "/x", named(method))
  end

  for _, method in ipairs({ "get", "post", "put", "patch", "delete" }) do
    lu.assertEquals(ask(router, method:upper(), "/x").body, method)
  end
end

function TestMatch:test_parameters()
  local router = router_of("/users/{id}/posts/{post}", "/files/{path...}")

  local function params(target) return select(2, ask(router, "GET", target)).params end

  lu.assertEquals(params("/users/7/posts/a.b"), { id = "7", post = "a.b" })
  lu.assertEquals(params("/files/"), { path = "" })
  lu.assertEquals(params("/files/a/b.txt"), { path = "a/b.txt" })
  lu.assertEquals(params("/files/a/"), { path = "a/" })
end

function TestMatch:test_a_parameter_is_never_empty()
  local router = router_of("/a/{x}", "/b/{x}/c")

  lu.assertEquals(ask(router, "GET", "/a/").status, 404)
  lu.assertEquals(ask(router, "GET", "/b//c").status, 400)
end

-- Whether a pattern, taken apart by other means, matches.
local function matches(pattern, method, path)
  local only, rest = pattern:match("^(%u+) (.*)$")
  if only and only ~= method and not (only == "GET" and method == "HEAD") then return false end
  local lua_pattern = (rest or pattern):gsub("/{%$}$", "/\0"):gsub("/{%a+%.%.%.}$", "/.*")
    :gsub("/$", "/.*"):gsub("%z", ""):gsub("{%a+}", "[^/]+")
  return path:find("^" .. lua_pattern .. "$") ~= nil
end

local function random_pattern()
  local parts = {}
  for i = 1, math.random(0, 3) do
    local choice = math.random(4)
    parts[i] = choice == 1 and "a" or choice == 2 and "b" or ("{%s}"):format(("xyz"):sub(i, i))
  end
  local ends = { "", "/", "/{$}", "/{rest...}" }
  local path = "/" .. table.concat(parts, "/")
  local tail = ends[math.random(#parts == 0 and 2 or 1, #ends)]
  if #parts == 0 then tail = tail:sub(2) end
  local methods = { "", "", "GET ", "HEAD ", "POST " }
  return methods[math.random(#methods)] .. path .. tail
end

local function all_requests()
  local requests = {}
  local function add(path)
    for _, method in ipairs({ "GET", "HEAD", "POST", "PUT" }) do
      requests[#requests + 1] = { method, path }
    end
  end
  local function extend(path, depth)
    add(path .. "/")
    for _, segment in ipairs({ "a", "b", "c" }) do
      add(path .. "/" .. segment)
      if depth < 4 then extend(path .. "/" .. segment, depth + 1) end
    end
  end
  extend("", 1)
  return requests
end

-- Of two patterns that match less is more specific, if it matches a part of
-- what the other does; those that do not raise are always comparable.
function TestMatch:test_every_request_under_random_patterns()
  local requests = all_requests()
  local conflicts = 0
  for _ = 1, harness.rounds(20) do
    rt.yield()
    local router, sets = http.router(), {}
    for _ = 1, 8 do
      local pattern = random_pattern()
      local set, size = {}, 0
      for i, request in ipairs(requests) do
        if matches(pattern, request[1], request[2]) then
          set[i] = true
          size = size + 1
        end
      end
      local ok = pcall(router.handle, router, pattern, named(pattern))
      local expected = true
      for _, other in pairs(sets) do
        local common = 0
        for i in pairs(set) do common = common + (other.set[i] and 1 or 0) end
        local is_part = common == size or common == other.size
        if common > 0 and (not is_part or size == other.size) then expected = false end
      end
      lu.assertEquals(ok, expected, pattern)
      if ok then sets[pattern] = { set = set, size = size } else conflicts = conflicts + 1 end
    end
    for i, request in ipairs(requests) do
      local best
      for pattern, other in pairs(sets) do
        if other.set[i] and (not best or other.size < sets[best].size) then best = pattern end
      end
      local res = ask(router, request[1], request[2])
      if best then
        lu.assertEquals(res.body, best)
      else
        lu.assertTrue(res.status == 404 or res.status == 405 or res.status == 308)
      end
    end
  end
  lu.assertTrue(conflicts > 0)
end

TestRefuse = {}

function TestRefuse:test_not_found()
  local res = ask(router_of("/a"), "GET", "/b")

  lu.assertEquals({ res.status, res.body }, { 404, "404 Not Found\n" })
end

function TestRefuse:test_method_not_allowed()
  local router = router_of("GET /a", "PUT /a", "POST /b", "OPTIONS /c")

  local function allow(method, path)
    local res = ask(router, method, path)
    return { res.status, res.headers.Allow }
  end

  lu.assertEquals(allow("POST", "/a"), { 405, "GET, HEAD, OPTIONS, PUT" })
  lu.assertEquals(allow("GET", "/b"), { 405, "OPTIONS, POST" })
  lu.assertEquals(allow("GET", "/c"), { 405, "OPTIONS" })
  lu.assertEquals(allow("OPTIONS", "/a"), { 204, "GET, HEAD, OPTIONS, PUT" })
  lu.assertEquals(allow("OPTIONS", "/d"), { 404 })
  lu.assertEquals(allow("OPTIONS", "*"), { 204, "GET, OPTIONS, POST, PUT" })
  lu.assertEquals(ask(router, "OPTIONS", "/c").body, "OPTIONS /c")
end

function TestRefuse:test_a_missing_slash_is_added()
  local router = router_of("/tree/", "GET /leaf/{$}", "/tree/{x}")

  local res = ask(router, "POST", "/tree?a=b")

  lu.assertEquals({ res.status, res.headers.Location }, { 308, "/tree/?a=b" })
  lu.assertEquals(ask(router, "GET", "/leaf").headers.Location, "/leaf/")
  lu.assertEquals(ask(router, "POST", "/leaf").status, 404)
  lu.assertEquals(ask(router, "GET", "//example.org").status, 400)
end

function TestRefuse:test_by_ones_own_function()
  local router = http.router({ refuse = function(req, res)
    res:send(req.path .. " " .. res.status)
  end })
  router:get("/a", named("a"))

  lu.assertEquals(ask(router, "GET", "/b").body, "/b 404")
  lu.assertEquals(ask(router, "POST", "/a").body, "/a 405")
  lu.assertEquals(ask(router, "GET", "/%").body, "/% 400")
end

TestDecoding = {}

function TestDecoding:test_each_segment_once()
  local router = router_of("/{a}/{b}", "/a%20b/x")

  local function params(target) return select(2, ask(router, "GET", target)).params end

  lu.assertEquals(params("/%41%20b/c%2Fd"), { a = "A b", b = "c/d" })
  lu.assertEquals(params("/%2541/%c3%A4"), { a = "%41", b = "ä" })
  lu.assertEquals(ask(router, "GET", "/a%20b/x").body, "/a%20b/x")
  lu.assertEquals(ask(router, "GET", "/%61%20b/%78").body, "/a%20b/x")
end

function TestDecoding:test_what_is_not_valid_or_leads_elsewhere()
  local router = router_of("/", "/files/{path...}", "/one/{name}")

  for _, target in ipairs({ "/%", "/%4", "/%zz", "/a/%00", "/files/..", "/files/../etc", "/files/%2e%2e/etc",
    "/files/a/.", "/files/.%2E", "/files//etc/passwd", "/files/a%2f..%2fetc", "/files/..%2fetc", "/one/..", "" }) do
    lu.assertEquals(ask(router, "GET", target).status, 400, target)
  end
  for _, target in ipairs({ "/files/...", "/files/a..b", "/files/.git", "/one/a%2Fb", "/files/a/" }) do
    lu.assertEquals(ask(router, "GET", target).status, 200, target)
  end
end

TestMount = {}

function TestMount:test_a_router_below_a_path()
  local inner = router_of("GET /{$}", "GET /list", "GET /{id}/x", "GET /deep/{$}")
  local outer = http.router()
  outer:mount("/api/{version}", inner)
  outer:get("/api/v1/list", named("special"))

  assert_routes(outer, {
    ["GET /api/v2/"] = "GET /{$}",
    ["GET /api/v2/list"] = "GET /list",
    ["GET /api/v1/list"] = "special",
  })
  local _, req = ask(outer, "GET", "/api/v2/7%2F/x")
  lu.assertEquals(req.params, { version = "v2", id = "7/" })
  lu.assertEquals({ req.path, req.base }, { "/api/v2/7%2F/x" })
  lu.assertEquals(ask(outer, "GET", "/api/v2").headers.Location, "/api/v2/")
  lu.assertEquals(ask(outer, "GET", "/api/v2/deep?q").headers.Location, "/api/v2/deep/?q")
  lu.assertEquals(ask(outer, "PUT", "/api/v2/list").status, 405)
  lu.assertEquals(ask(outer, "GET", "/api/v2/none").status, 404)
end

function TestMount:test_any_handler_and_levels()
  local innermost = http.router()
  innermost:get("/x", function(req, res) res:send(req.base .. " " .. req.path) end)
  local middle = http.router()
  middle:mount("/b", innermost)
  local outer = http.router()
  outer:mount("/a", middle)
  outer:mount("/f", function(req, res) res:send(req.path) end)

  lu.assertEquals(ask(outer, "GET", "/a/b/x").body, "/a/b /x")
  lu.assertEquals(ask(outer, "GET", "/f/y/z%20").body, "/y/z%20")
end

function TestMount:test_middleware_is_a_function_of_a_handler()
  local function tagged(tag, handler)
    return function(req, res)
      res.headers[tag] = "seen"
      return handler(req, res)
    end
  end
  local router = http.router()
  router:get("/a", tagged("inner", named("a")))

  local res = ask(tagged("outer", router), "GET", "/a")

  lu.assertEquals({ res.body, res.headers }, { "a", { inner = "seen", outer = "seen" } })
end

TestMisuse = {}

function TestMisuse:test_malformed_patterns_raise_where_they_are_added()
  local router = http.router()
  for pattern, problem in pairs({
    ["a"] = "expected",
    [""] = "expected",
    ["GET a"] = "expected",
    ["/a /b"] = "'/a' is no method",
    ["/a b"] = "expected",
    ["/a%b"] = "percent",
    ["G@T /"] = "'G@T' is no method",
    ["/{}"] = "'' is no name",
    ["/{a-b}"] = "'a-b' is no name",
    ["/{...}"] = "'' is no name",
    ["/a{b}"] = "whole segment",
    ["/{a"] = "whole segment",
    ["/{a}/{a}"] = "twice",
    ["/{a...}/b"] = "at its end",
    ["/{$}/b"] = "at its end",
    ["/a//b"] = "empty segment",
  }) do
    lu.assertErrorMsgContains(problem, router.handle, router, pattern, named("x"))
  end
  local _, message = pcall(function() router:handle("a", named("x")) end)
  lu.assertStrContains(message, "test_http_router.lua:")
  lu.assertErrorMsgContains("got nil", router.handle, router, "/a", nil)
  lu.assertErrorMsgContains("got nil", router.mount, router, "/a", nil)
  lu.assertErrorMsgContains("got table", router.handle, router, "/a", {})
  lu.assertErrorMsgContains("got number", router.handle, router, 5, named("x"))
  lu.assertErrorMsgContains("empty segment", router.mount, router, "/a/", named("x"))
  lu.assertErrorMsgContains("unknown option 'x'", http.router, { x = 1 })
end

function TestMisuse:test_conflicts_raise()
  local function add(first, second)
    local router = router_of(first)
    return pcall(router.handle, router, second, named("x"))
  end
  for first, second in pairs({
    ["/a/{x}"] = "/a/{y}",
    ["/a/"] = "/a/{rest...}",
    ["/b/{x}/c"] = "/b/d/{y}",
    ["GET /{x}"] = "/a",
    ["/{x}/"] = "/a/{y}/{z...}",
    ["/c/{x}/d"] = "/c/e/{y...}",
  }) do
    local same = first == "/{x}/"
    lu.assertEquals(add(first, second), same, first)
  end
  local _, message = add("/a/{x}/c", "/a/b/{y}")
  lu.assertStrContains(message, "'/a/b/{y}' and '/a/{x}/c' overlap")
end

harness.run()
