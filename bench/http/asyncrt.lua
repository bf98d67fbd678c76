-- Answers every request with six bytes.
local http = require("asyncrt.http")

http.serve("127.0.0.1:" .. arg[1], function(_, res)
  res.headers["Content-Type"] = "text/plain"
  res:send("hello\n")
end, { max_requests = math.huge })
