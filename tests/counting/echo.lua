-- What an echo over real connections costs in calls into the kernel: one recv
-- and one send, a share of an epoll_wait, and no epoll_ctl.
local net = require("asyncrt.net")
local rt = require("asyncrt")

local ROUNDS = 50
local count = count -- luacheck: ignore 113

local message = ("."):rep(128)
local listener <close> = assert(net.listen("127.0.0.1:0"))
local names = { "recv", "send", "epoll_wait", "epoll_ctl", "mallocs", "blocks" }

local function read_counts()
  local counts = {}
  for _, name in ipairs(names) do counts[name] = count(name) end
  return counts
end

-- One message is on its way in each connection; in a round each is echoed.
local function run(group, connections, echo)
  local clients = {}
  for i = 1, connections do
    local accepted = group:spawn(listener.accept, listener)
    clients[i] = assert(net.connect(tostring(listener:address())))
    local conn = assert(accepted:await())
    group:spawn_with({ daemon = true }, echo, conn)
  end
  local function round()
    for i = 1, connections do clients[i]:write(message) end
    for i = 1, connections do assert(#clients[i]:read(4096) == 128) end
  end
  for _ = 1, 20 do round() end
  local before = read_counts()
  for _ = 1, ROUNDS do round() end
  local after = read_counts()
  for i = 1, connections do clients[i]:close() end

  -- A client makes as many calls as the server.
  local echoes, got = 2 * connections * ROUNDS, {}
  for _, name in ipairs(names) do got[name] = after[name] - before[name] end
  local text = ("%d echoes: %d recv, %d send, %d epoll_wait, %d epoll_ctl, %d malloc")
    :format(echoes, got.recv, got.send, got.epoll_wait, got.epoll_ctl, got.mallocs)
  assert(got.recv == echoes and got.send == echoes, text)
  assert(got.epoll_ctl == 0 and got.mallocs == 0 and got.blocks == 0, text)
  -- Two or three polls carry a round of 64, two carry one of 1.
  assert(got.epoll_wait <= 4 * ROUNDS, text)
  print(text)
end

local buffer = rt.buffer(4096)
local echoes = {
  function(conn)
    local _ <close> = conn
    for chunk in conn:chunks() do conn:write(chunk) end
  end,
  function(conn)
    local _ <close> = conn
    while conn:read_into(buffer) do conn:write(buffer) end
  end,
}
for _, echo in ipairs(echoes) do
  for _, connections in ipairs({ 1, 64 }) do
    rt.group(function(group) run(group, connections, echo) end)
  end
end
