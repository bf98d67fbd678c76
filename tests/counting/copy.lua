-- A copy of much from one socket to another: by splice, every byte, and also
-- where the receiving side is slow or goes away.
local net = require("asyncrt.net")
local rt = require("asyncrt")

local BLOCKS = 400
local count = count -- luacheck: ignore 113

-- No two blocks are alike, so that none can stand for another.
local function block(i)
  return ("%08d"):format(i):rep(10000)
end

local function send(conn, blocks)
  for i = 1, blocks do
    if not conn:write(block(i)) then return i end
  end
  conn:shutdown()
  return blocks
end

-- source > from, to > sink
local function four(group, address)
  local listener <close> = assert(net.listen(address))
  local function pair()
    local accepted = group:spawn(listener.accept, listener)
    return assert(net.connect(listener:address())), assert(accepted:await())
  end
  local source, from = pair()
  return source, from, pair()
end

local function splices()
  return count("splice")
end

local function copy_all(group, address, wait)
  local source, from, to, sink = four(group, address)
  local before = splices()
  group:spawn(send, source, BLOCKS)
  local copier = group:spawn(rt.copy, from, to)
  for i = 1, BLOCKS do
    for _ = 1, wait do rt.yield() end
    assert(sink:read_exact(80000) == block(i), i)
  end
  assert(copier:await() == BLOCKS * 80000)
  local got = splices() - before
  assert(got >= 10, got)
  to:close()
  assert(sink:read() == nil)
  for _, conn in ipairs({ source, from, sink }) do conn:close() end
end

local function copy_some(group)
  local source, from, to, sink = four(group, "127.0.0.1:0")
  local before = splices()
  group:spawn(send, source, BLOCKS)
  local copier = group:spawn(rt.copy, from, to, { max = 20 * 80000 - 1 })
  for i = 1, 19 do assert(sink:read_exact(80000) == block(i), i) end
  assert(sink:read_exact(79999) == block(20):sub(1, -2))
  assert(copier:await() == 20 * 80000 - 1)
  assert(splices() > before)
  assert(from:read_exact(1) == "0")
  assert(from:read_exact(80000) == block(21))
  for _, conn in ipairs({ source, from, to, sink }) do conn:close() end
end

-- The kernel would raise a signal, which is the host's.
local function copy_in_vain(group, address)
  local broken <close> = rt.signal("PIPE")
  local marker <close> = rt.signal("USR1")
  local source, from, to, sink = four(group, address)
  assert(source:write(("x"):rep(2 * 65536)) and source:flush())
  local before = splices()
  local copier = group:spawn(rt.copy, from, to)
  assert(sink:read_exact(2 * 65536))
  sink:close()
  assert(splices() - before >= 2, "the second half was spliced")
  source:write(block(1))
  local copied, message, code, bytes = copier:await()
  assert(copied == nil and code == "EPIPE" and bytes == 2 * 65536, message)
  assert(splices() - before > 2)
  os.execute("kill -USR1 $PPID") -- signals are told in their order
  rt.sync(marker)
  assert(rt.poll({ broken }) == nil)
  for _, conn in ipairs({ source, from, to }) do conn:close() end
end

rt.group(function(group)
  local path = os.tmpname()
  os.remove(path)
  copy_all(group, "127.0.0.1:0", 0)
  copy_all(group, "127.0.0.1:0", 20)
  copy_all(group, "unix:" .. path, 0)
  copy_all(group, "unix:" .. path, 20)
  copy_some(group)
  copy_in_vain(group, "unix:" .. path)
end)
