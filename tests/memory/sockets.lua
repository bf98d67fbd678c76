-- Listening, connecting, accepting: what fails for want of memory leaves no
-- descriptor open, and a connection is there for the next accept.
local net = require("asyncrt.net")
local rt = require("asyncrt")
local testing = require("asyncrt.testing")
if not ... then return end

-- Ends the process with a status that the test does not expect.
local function check(condition, message)
  if not condition then
    io.stdout:write(message, "\n")
    os.exit(77)
  end
end

-- The results of f(...), nothing where it fails.
local function results(ok, ...)
  if ok then return ... end
end

local function try(f, ...) return results(pcall(f, ...)) end

local handles = rt.stats().handles

-- The server's side of `client`, which waits in the queue of the listener.
local function accepted(listener)
  local server = try(listener.accept, listener)
  if server then return server end
  local _
  _, server = rt.poll({ listener })
  check(server, "the connection is lost")
  return server
end

-- One connection at a time, with nobody waiting for it.
local function queued(listener, connect)
  local client <close> = try(connect)
  if not client then return end
  local server <close> = accepted(listener)
  server:write("hello")
  check(client:read() == "hello", "not the same connection")
end

-- Somebody waits for it.
local function awaited(listener, connect, wait)
  rt.group(function(g)
    local waiter = g:spawn(wait, listener)
    rt.yield()
    local client <close> = try(connect)
    if not client then return g:cancel() end
    local _, server = waiter:join()
    server:close()
  end)
end

local function selecting(listener)
  local _, server = rt.select({ rt.never, listener })
  return server
end

local function both(listener, connect)
  try(queued, listener, connect)
  try(awaited, listener, connect, listener.accept)
  try(awaited, listener, connect, selecting)
  collectgarbage()
end

do
  local listener <close> = assert(try(net.listen, "127.0.0.1:0") or net.listen("127.0.0.1:0"))
  local address = listener:address()
  both(listener, function() return net.connect(address) end)
  both(listener, function() return (rt.sync(net.connect_evt(address))) end)
end
do
  local listener <close> = assert(try(testing.listener) or testing.listener())
  both(listener, function() return listener:dial() end)
end
try(testing.stream_pair)
try(rt.select, { rt.always(1), net.connect_evt("127.0.0.1:1") })
collectgarbage()
collectgarbage()
check(rt.stats().handles == handles, "a handle is still open")
