--- HTTP: a server, and a client that is loaded when it is first asked for.
local router = require("asyncrt.http.router")
local server = require("asyncrt.http.server")

local of_client = { client = true, get = true, post = true, request = true }

local function load_client(http, name)
  if not of_client[name] then return nil end
  local client = require("asyncrt.http.client")
  for each in pairs(of_client) do http[each] = client[each] end
  return client[name]
end

return setmetatable({
  router = router.router,
  serve = server.serve,
}, { __index = load_client })
