-- A name server that never answers: time limits and cancellations end the wait,
-- also of those that wait for a thread, and the end of the run waits for none.
-- luacheck: globals asked left
local dns = require("asyncrt.dns")
local net = require("asyncrt.net")
local rt = require("asyncrt")

-- libuv looks up as many names at once as half of its four threads can; one
-- more request waits for one of these, further ones for their turn with it.
local THREADS = 2

local tasks = {}
for i = 1, THREADS + 1 do
  tasks[i] = rt.spawn(dns.resolve, "hole.test")
end
while asked() < THREADS do
  rt.sleep(0.001)
end

-- These wait for their turn.
assert(select(2, rt.timeout(0.01, dns.resolve, "hole.test")) == "timeout")
local conn, message, code = net.connect("hole.test:80", { timeout = 0.01 })
assert(conn == nil and code == "ETIMEDOUT", message)
local queued = rt.spawn(dns.resolve, "hole.test")
rt.yield()
queued:cancel()
assert(queued:join() == false)

-- Those that have it.
tasks[1]:cancel()
assert(tasks[1]:join() == false)
tasks[3]:cancel()
assert(tasks[3]:join() == false)
local key, result = rt.select({ answer = tasks[2], limit = 0.01 })
assert(key == "limit", result)

-- The limit of a look-up itself, of five seconds.
local addresses
local before = rt.now()
addresses, message, code = tasks[2]:await()
assert(addresses == nil and code == "ETIMEDOUT", message)
assert(message == "resolve hole.test: connection timed out")
assert(rt.now() - before < 60)

assert(asked() == THREADS)
left = THREADS
