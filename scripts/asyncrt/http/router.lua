--- A router: the handler that chooses the handler, by method and path.
---
--- Patterns and their order are those of Go's net/http since 1.22: the more
--- specific one wins, and two of which neither is raise when they are added.
local core = require("asyncrt.core.http_connection")
local options_ = require("asyncrt.options")

---@class asyncrt.http.Router
---@field private trees table<string, table> by method; "" stands for any
---@field private routes table[] all of them
---@field private refuse fun(req: asyncrt.http.Request,
---  res: asyncrt.http.Response)?
local Router = {}
Router.__index = Router

-- A route is { pattern, method, segments, names, rest, handler }. A segment is
-- a string, or WILD for a parameter, whose name is in `names` at the same
-- index; `rest` is the name of what follows the segments, "" if it has none.
local WILD = {}

local router = {}

-- Splits the path behind its first slash at the others.
local function split(path)
  local segments = {}
  for segment in path:sub(2):gmatch("[^/]*") do
    segments[#segments + 1] = segment
  end
  return segments
end

local function decode_hex(digits)
  return string.char(tonumber(digits, 16))
end

-- Decodes percent signs; nothing where one begins no code.
local function decode_segment(text)
  if not text:find("%", 1, true) then return text end
  if text:gsub("%%%x%x", ""):find("%", 1, true) then return nil end
  return (text:gsub("%%(%x%x)", decode_hex))
end

-- Patterns

local function bad_pattern(pattern, message, ...)
  error(("pattern '%s': %s"):format(pattern, message:format(...)), 0)
end

local function add_name(route, index, name)
  if not name:find("^[%a_][%w_]*$") then
    bad_pattern(route.pattern, "'%s' is no name", name)
  end
  for _, other in pairs(route.names) do
    if other == name then
      bad_pattern(route.pattern, "the name '%s' is there twice", name)
    end
  end
  route.names[index] = name
end

-- Takes one segment of a pattern; `is_last` where none follows.
local function add_segment(route, text, is_last)
  local segments = route.segments
  local index = #segments + 1
  local name = text:match("^{(.*)}$")
  if name == "$" then
    if not is_last then bad_pattern(route.pattern, "{$} is not at its end") end
    segments[index] = ""
  elseif name and name:find("%.%.%.$") then
    if not is_last then
      bad_pattern(route.pattern, "%s is not at its end", text)
    end
    add_name(route, index, name:sub(1, -4))
    route.rest = index
  elseif name then
    add_name(route, index, name)
    segments[index] = WILD
  elseif text:find("[{}]") then
    bad_pattern(route.pattern, "a parameter is a whole segment")
  elseif text == "" and not is_last then
    bad_pattern(route.pattern, "it has an empty segment")
  elseif text == "" then
    route.rest = index
  else
    segments[index] = decode_segment(text) or
      bad_pattern(route.pattern, "a percent sign begins no code")
  end
end

local function parse(pattern, handler)
  local method, path = pattern:match("^(%S+)%s+(/%S*)$")
  local route = {
    pattern = pattern,
    method = method or "",
    handler = handler,
    segments = {},
    names = {},
  }
  path = path or pattern
  if method and method:find("[^%w!#$%%&'*+.^_`|~-]") then
    bad_pattern(pattern, "'%s' is no method", method)
  elseif path:sub(1, 1) ~= "/" or path:find("%s") then
    bad_pattern(pattern, "'[METHOD ]/path' expected")
  end
  local segments = split(path)
  for i, text in ipairs(segments) do
    add_segment(route, text, i == #segments)
  end
  return route
end

-- Which of two patterns is more specific

-- Whether the one segment matches less than the other, more, the same (nil), or
-- nothing that the other does.
local function compare_segments(a, b)
  if a == b then return nil end
  if a ~= WILD and b ~= WILD then return "disjoint" end
  local text = a == WILD and b or a
  if text == "" then return "disjoint" end
  return a == WILD and "more" or "less"
end

local function compare_paths(a, b)
  local less, more = false, false
  for i = 1, math.max(#a.segments, #b.segments) + 1 do
    local x, y = a.segments[i], b.segments[i]
    local relation
    if x and y then
      relation = compare_segments(x, y)
    elseif a.rest == i or b.rest == i then
      local other = a.rest == i and b or a
      if not other.segments[i] and other.rest ~= i then return "disjoint" end
      if a.rest ~= b.rest then relation = a.rest == i and "more" or "less" end
      less, more = less or relation == "less", more or relation == "more"
      break
    elseif x or y then
      relation = "disjoint"
    end
    if relation == "disjoint" then return relation end
    less, more = less or relation == "less", more or relation == "more"
  end
  if less and more then return "overlap" end
  return less and "less" or more and "more" or nil
end

-- GET matches HEAD too.
local function compare_methods(a, b)
  if a == b then return nil end
  if b == "" or (a == "HEAD" and b == "GET") then return "less" end
  if a == "" or (b == "HEAD" and a == "GET") then return "more" end
  return "disjoint"
end

-- What keeps two patterns from being in one router, or nil.
local function conflict(a, b)
  local paths = compare_paths(a, b)
  local methods = compare_methods(a.method, b.method)
  if paths == "disjoint" or methods == "disjoint" then return nil end
  if paths == nil and methods == nil then
    return ("pattern '%s' matches the same as '%s'")
      :format(a.pattern, b.pattern)
  elseif paths == "overlap" or (paths and methods and paths ~= methods) then
    return ("patterns '%s' and '%s' overlap, and neither is more specific")
      :format(a.pattern, b.pattern)
  end
end

-- The tree of a method. A node has nodes for segments and WILD, and the routes
-- that end there.
local ROUTE, REST = {}, {}

local function insert(node, route)
  for _, segment in ipairs(route.segments) do
    local child = node[segment] or {}
    node[segment] = child
    node = child
  end
  node[route.rest and REST or ROUTE] = route
end

-- The most specific route for the segments from `index` on.
local function find(node, segments, index)
  local segment = segments[index]
  if segment == nil then return node[ROUTE] end
  local child = node[segment]
  local route = child and find(child, segments, index + 1)
  if route then return route end
  child = segment ~= "" and node[WILD]
  route = child and find(child, segments, index + 1)
  return route or node[REST]
end

-- Requests

-- The segments of a path, each decoded once; nothing where one is not valid, or
-- may be taken for another by who joins it into a file's path.
local function decode(path)
  local segments = split(path)
  if not path:find("[%%.]") and not path:find("//", 1, true) then
    return segments
  end
  for i, segment in ipairs(segments) do
    segment = decode_segment(segment)
    segments[i] = segment
    if not segment or segment == "." or segment == ".." or
      segment:find("\0", 1, true) or (segment == "" and i < #segments) then
      return nil
    end
  end
  return segments
end

-- What the rest pattern has matched; nothing where a slash in it is encoded.
local function join_rest(segments, first)
  for i = first, #segments do
    if segments[i]:find("/", 1, true) then return nil end
  end
  return table.concat(segments, "/", first)
end

-- Sets the parameters; false where they are not valid.
local function set_params(req, route, segments)
  if next(route.names) == nil then return true end
  local params = rawget(req, "params") or {}
  for index, name in pairs(route.names) do
    if index == route.rest then
      params[name] = join_rest(segments, index)
      if not params[name] then return false end
    else
      params[name] = segments[index]
    end
  end
  req.params = params
  return true
end

local function refuse(self, req, res, status)
  res.status = status
  if self.refuse then return self.refuse(req, res) end
  if status == 204 then return res:send() end
  res.headers["Content-Type"] = "text/plain"
  res:send(("%d %s\n"):format(status, core.reason(status)))
end

-- The methods for which there is a route, or nil if there is none.
local function allowed_methods(self, segments)
  local set, list = {}, {}
  for method, tree in pairs(self.trees) do
    if find(tree, segments, 1) then set[method] = true end
  end
  if next(set) == nil then return nil end
  set.OPTIONS = true
  set.HEAD = set.HEAD or set.GET
  for method in pairs(set) do list[#list + 1] = method end
  table.sort(list)
  return table.concat(list, ", ")
end

-- OPTIONS *: about the server, whatever the path.
local function answer_options(self, req, res)
  local methods = { "OPTIONS" }
  for method in pairs(self.trees) do
    if method ~= "" and method ~= "OPTIONS" then
      methods[#methods + 1] = method
    end
  end
  table.sort(methods)
  res.headers.Allow = table.concat(methods, ", ")
  refuse(self, req, res, 204)
end

local function lookup(self, method, segments)
  local trees = self.trees
  local tree = trees[method]
  local route = tree and find(tree, segments, 1)
  if not route and method == "HEAD" and trees.GET then
    route = find(trees.GET, segments, 1)
  end
  if not route and trees[""] then route = find(trees[""], segments, 1) end
  return route
end

local function answer_unmatched(self, req, res, segments)
  local allowed = allowed_methods(self, segments)
  if allowed then
    res.headers.Allow = allowed
    return refuse(self, req, res, req.method == "OPTIONS" and 204 or 405)
  end
  segments[#segments + 1] = ""
  if not lookup(self, req.method, segments) then
    return refuse(self, req, res, 404)
  end
  res.headers.Location = (req.base or "") .. req.path .. "/"
    .. (req.query and "?" .. req.query or "")
  refuse(self, req, res, 308)
end

--- Answers a request: a router is a handler.
---@param req asyncrt.http.Request
---@param res asyncrt.http.Response
function Router:__call(req, res)
  local path = req.path
  local segments = path:sub(1, 1) == "/" and decode(path)
  if not segments and path ~= "*" then return refuse(self, req, res, 400) end
  if not segments then return answer_options(self, req, res) end
  local route = lookup(self, req.method, segments)
  if not route then return answer_unmatched(self, req, res, segments) end
  if not set_params(req, route, segments) then
    return refuse(self, req, res, 400)
  end
  return route.handler(req, res)
end

-- Adds a route; returns what is wrong with it, if anything.
local function add(self, pattern, handler)
  if type(pattern) ~= "string" then
    return ("pattern: string expected, got %s"):format(type(pattern))
  end
  if not options_.is_callable(handler) then
    return ("handler of '%s': function expected, got %s")
      :format(pattern, type(handler))
  end
  local ok, route = pcall(parse, pattern, handler)
  if not ok then return route end
  for _, other in ipairs(self.routes) do
    local problem = conflict(route, other)
    if problem then return problem end
  end
  self.routes[#self.routes + 1] = route
  self.trees[route.method] = self.trees[route.method] or {}
  insert(self.trees[route.method], route)
end

--- Calls `handler` for the requests that match the pattern, "/path" or
--- "METHOD /path".
---
--- A segment {name} is a parameter; the last may be {name...}, the rest of the
--- path. "/path/" matches all below it, "/path/{$}" itself alone.
--- Raises for a malformed pattern, and for one that overlaps another where
--- neither is more specific.
---@param pattern string
---@param handler fun(req: asyncrt.http.Request, res: asyncrt.http.Response)
function Router:handle(pattern, handler)
  local problem = add(self, pattern, handler)
  if problem then error(problem, 2) end
end

for _, method in ipairs({ "DELETE", "GET", "PATCH", "POST", "PUT" }) do
  Router[method:lower()] = function(self, path, handler)
    local problem = add(self, method .. " " .. tostring(path), handler)
    if problem then error(problem, 2) end
  end
end

--- Hands the requests below a path to another handler, a router as a rule, with
--- a path that lacks the prefix.
---@param prefix string "/path", may have parameters
---@param handler fun(req: asyncrt.http.Request, res: asyncrt.http.Response)
function Router:mount(prefix, handler)
  local depth = select(2, tostring(prefix):gsub("/", ""))
  local function enter(req, res)
    local path, base = req.path, req.base
    local slash = 1
    for _ = 1, depth do slash = path:find("/", slash + 1, true) end
    req.base = (base or "") .. path:sub(1, slash - 1)
    req.path = path:sub(slash)
    handler(req, res)
    req.path, req.base = path, base
  end
  if not options_.is_callable(handler) then
    error(("handler of '%s': function expected, got %s")
      :format(prefix, type(handler)), 2)
  end
  local problem = add(self, tostring(prefix) .. "/", enter)
  if problem then error(problem, 2) end
end

--- A router without routes.
---@param options { refuse: fun(req: asyncrt.http.Request,
---  res: asyncrt.http.Response)? }? `refuse` answers in place of the router
---  itself, with res.status set
---@return asyncrt.http.Router
function router.router(options)
  options_.check("router", 1, options, { refuse = "callable" })
  return setmetatable({
    refuse = options and options.refuse,
    routes = {},
    trees = {},
  }, Router)
end

return router
