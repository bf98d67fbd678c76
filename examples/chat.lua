-- A chat server: `asyncrt examples/chat.lua [address]`, then, in two
-- terminals, `nc 127.0.0.1 7001`. The first line is your name.
local net = require("asyncrt.net")
local rt = require("asyncrt")

local BACKLOG = 100 -- lines that a slow client may be behind

local members = {} -- of each member, the channel of lines to send to it

-- Nobody waits for a slow client: whoever is too far behind is dropped.
local function broadcast(line, from)
  for name, outbox in pairs(members) do
    if name ~= from then
      local sent = rt.poll({ sent = outbox:send_evt(line .. "\n") })
      if not sent then outbox:close() end
    end
  end
end

-- Sends a member its lines; closing the connection ends its reader too.
local function send_lines(conn, outbox)
  local connection <close> = conn
  for line in outbox:iter() do
    if not connection:write(line) then return end
  end
end

local function ask_name(conn)
  conn:write("name? ")
  local name = conn:read_line({ max = 32 })
  if name and name ~= "" and not members[name] then return name end
  conn:write("that name is taken or no name\n")
end

local function chat(conn)
  local name = ask_name(conn)
  if not name then return end
  local outbox = rt.channel(BACKLOG)
  rt.spawn(send_lines, conn, outbox)
  members[name] = outbox
  broadcast("* " .. name .. " is here", name)
  while true do
    local line = conn:read_line()
    if not line then break end
    broadcast(name .. ": " .. line, name)
  end
  members[name] = nil
  outbox:close()
  broadcast("* " .. name .. " has left")
end

local address = arg[1] or "127.0.0.1:7001"
print("listening on " .. address)
net.serve(address, chat)
