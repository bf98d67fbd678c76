-- A chat: what a client says, all the others hear. Its first line is its name.
-- Runs until Ctrl-C:
--   asyncrt examples/chat.lua [address]
--   nc 127.0.0.1 7001
local net = require("asyncrt.net")
local rt = require("asyncrt")

local BEHIND = 100 -- lines that a client may be behind before it is dropped

local members = {} -- by name: { conn =, outbox = a channel of lines }

-- Waits for nobody: a client that is too far behind loses its connection.
local function broadcast(except, ...)
  local line = string.format(...):gsub("%c", " ") .. "\n"
  for name, member in pairs(members) do
    if name ~= except then
      local sent = member.outbox:send_evt(line)
      if not rt.poll({ sent }) then member.conn:reset() end
    end
  end
end

local function send_all(conn, outbox)
  for line in outbox:iter() do
    if not conn:write(line) then break end
  end
  conn:close() -- which ends the reader, should this have been an error
end

local function ask_name(conn)
  conn:write("your name? ")
  local name = conn:read_line({ max = 32 })
  if name and name ~= "" and not members[name] then return name end
  conn:write("this name cannot be had\n")
end

local function talk(conn)
  conn:timeouts({ write = 30 })
  local name = ask_name(conn)
  if not name then return end
  local outbox = rt.channel(BEHIND)
  members[name] = { conn = conn, outbox = outbox }
  rt.spawn(send_all, conn, outbox)
  broadcast(nil, "* %s is here", name)
  while true do
    local line = conn:read_line({ max = 1000 })
    if not line then break end
    broadcast(name, "%s: %s", name, line)
  end
  members[name] = nil
  outbox:close()
  broadcast(nil, "* %s has left", name)
end

local listener = assert(net.listen(arg[1] or "127.0.0.1:7001"))
io.stdout:setvbuf("line")
print("listening on " .. listener:address())
net.serve(listener, talk, { drain = 0 })
