-- An echo server of cqueues: `lua5.4 cqueues.lua PORT`.
local cqueues = require("cqueues")
local socket = require("cqueues.socket")

local function echo(conn)
  conn:setmode("bn", "bn")
  conn:onerror(function(_, _, code) return code end)
  while true do
    local data = conn:read(-65536)
    if not data or not conn:write(data) then break end
  end
  conn:close()
end

local loop = cqueues.new()
local listener = socket.listen({
  host = "127.0.0.1",
  port = tonumber(arg[1]),
  nodelay = true,
})
listener:listen()
loop:wrap(function()
  for conn in listener:clients() do
    loop:wrap(echo, conn)
  end
end)
assert(loop:loop())
