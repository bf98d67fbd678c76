-- A signal that came is not lost where there is no memory to tell it.
local rt = require("asyncrt")
if not ... then return end

local function try(f, ...)
  local ok, value = pcall(f, ...)
  return ok and value or nil
end

-- By its number: no string of its name is here, it would have to be made.
local signal <close> = try(rt.signal, 10) or rt.signal(10)
local again, sent = { signal }, os.execute("kill -USR1 $PPID")
assert(sent)
local name = try(signal.wait, signal)
if not name then
  local _
  _, name = rt.poll(again)
  if not name then
    io.stdout:write("the signal is lost\n")
    os.exit(77)
  end
end
assert(#name == 4)
sent = os.execute("kill -USR1 $PPID")
assert(sent)
rt.sleep(0)
assert(#rt.sync(signal) == 4)
