--- HTTP: a server; what needs a further library, the client and gzip, is loaded
--- when it is first asked for.
local router = require("asyncrt.http.router")
local server = require("asyncrt.http.server")

local modules = {
  client = "asyncrt.http.client",
  get = "asyncrt.http.client",
  gzip = "asyncrt.http.gzip",
  post = "asyncrt.http.client",
  request = "asyncrt.http.client",
}

local function load(http, name)
  if not modules[name] then return nil end
  http[name] = require(modules[name])[name]
  return http[name]
end

return setmetatable({
  router = router.router,
  serve = server.serve,
}, { __index = load })
