-- An echo server of Tarantool's fibers: `tarantool tarantool.lua PORT`.
local errno = require("errno")
local fiber = require("fiber")
local socket = require("socket")

local function write_all(conn, data)
  local done = 0
  while done < #data do
    local n = conn:syswrite(done == 0 and data or data:sub(done + 1))
    if n then
      done = done + n
    elseif conn:errno() == errno.EAGAIN then
      conn:writable()
    else
      return false
    end
  end
  return true
end

socket.tcp_server("127.0.0.1", tonumber(arg[1]), function(conn)
  conn:setsockopt("SOL_TCP", "TCP_NODELAY", true)
  while true do
    local data = conn:sysread(65536)
    if data == nil then
      if conn:errno() ~= errno.EAGAIN then return end
      conn:readable()
    elseif #data == 0 or not write_all(conn, data) then
      return
    end
  end
end)
fiber.sleep(1e9)
