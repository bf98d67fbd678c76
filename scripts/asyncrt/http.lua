--- HTTP: a server; what not every server needs, the router, and what needs a
--- further library, the client and gzip, is loaded when it is first asked for.
local server = require("asyncrt.http.server")

local modules = {
  client = "asyncrt.http.client",
  get = "asyncrt.http.client",
  gzip = "asyncrt.http.gzip",
  post = "asyncrt.http.client",
  request = "asyncrt.http.client",
  router = "asyncrt.http.router",
}

local function load(http, name)
  if not modules[name] then return nil end
  http[name] = require(modules[name])[name]
  return http[name]
end

return setmetatable({
  serve = server.serve,
}, { __index = load })
