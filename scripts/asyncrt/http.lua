--- HTTP: a server.
local server = require("asyncrt.http.server")

return {
  serve = server.serve,
}
