-- A server whose client says what is to be waited for when it goes away. It
-- prints the name of that state and the error code that came of it.
local net = require("asyncrt.net")
local rt = require("asyncrt")

local BLOCK = ("x"):rep(65536)

local function write_all(conn)
  while true do
    local ok, _, code = conn:write(BLOCK)
    if not ok then return code end
  end
end

local function code_of(_, _, code) return code end

-- Each waits until its connection has failed.
local states = {}

function states.read(conn) return code_of(conn:read()) end

function states.read_exact(conn) return code_of(conn:read_exact(10)) end

function states.select(conn)
  local _, _, _, code = rt.select({ conn:read_evt(), 100 })
  return code
end

states.write = write_all

function states.write_select(conn)
  while true do
    local _, ok, _, code = rt.select({ conn:write_evt(BLOCK), 100 })
    if not ok then return code end
  end
end

function states.flush(conn)
  conn:write(BLOCK:rep(200))
  return code_of(conn:flush())
end

function states.shutdown(conn)
  conn:write(BLOCK:rep(200))
  return code_of(conn:shutdown())
end

function states.shut(conn)
  conn:shutdown()
  return code_of(conn:read())
end

function states.both(conn)
  local reader = rt.spawn(states.read, conn)
  local writer = write_all(conn)
  local _, code = reader:join()
  return code and writer
end

function states.closed(conn)
  conn:write(BLOCK:rep(200))
  conn:close()
  return "closed"
end

function states.elsewhere(conn)
  conn:read_line() -- said to be gone
  while conn:write("x") do rt.sleep(0) end
  return code_of(conn:write("x"))
end

local listener = assert(net.listen("127.0.0.1:0"))
io.stdout:setvbuf("line")
print("listening on " .. listener:address())
net.serve(listener, function(conn)
  local state = conn:read_line()
  if not state then return end -- a client that wants nothing
  conn:write("ready\n")
  print(state, states[state](conn))
end)
