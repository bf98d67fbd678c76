-- A response without a body makes an empty one: a finalizer that ran then, and
-- took the connection from the response, ended the process.
local finalizers = require("finalizers")
local net = require("asyncrt.net")
local rt = require("asyncrt")
local has_http, http = pcall(require, "asyncrt.http")
if not has_http then return end

local changes = 0

local function answer(_, response)
  local connection, armed = response.connection, false
  local _ <close> = finalizers.run(function()
    if armed then response.connection, changes = nil, changes + 1 end
  end)
  for _ = 1, 100 do
    local list = {}
    list[1], armed = 1, true
    list[2], list[3] = 2, 3 -- memory, for which the next allocation pays
    pcall(response.finish, response)
    armed, response.connection = false, connection
    assert(#list == 3)
  end
end

local listener <close> = assert(net.listen("127.0.0.1:0"))
local server = rt.spawn(http.serve, listener, answer)
local conn <close> = assert(net.connect(listener:address()))
conn:write("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
assert(conn:read_all():find("^HTTP/1.1 200 OK\r\n"))
conn:close()
server:cancel()
server:join()
assert(changes > 0)
