-- An echo server of luv: `lua5.4 luv.lua PORT callbacks|coroutines`.
local uv = require("luv")

local function drop(tcp)
  if not tcp:is_closing() then tcp:close() end
end

-- Closes after the bytes that are queued.
local function finish(tcp)
  if tcp:is_closing() then return end
  if not tcp:shutdown(function() drop(tcp) end) then drop(tcp) end
end

local function callbacks(tcp)
  tcp:read_start(function(err, data)
    if err then return drop(tcp) end
    if not data then return finish(tcp) end
    local sent = tcp:try_write(data) or 0
    if sent < #data then tcp:write(data:sub(sent + 1)) end
  end)
end

-- The usual wrapper: callbacks resume, reads and writes yield.
local function coroutines(tcp)
  local task, waiting, ended = nil, false, false
  local chunks, first, last = {}, 1, 0

  local function resume(...)
    assert(coroutine.resume(task, ...))
  end

  local function read()
    if first <= last then
      local data = chunks[first]
      chunks[first] = nil
      first = first + 1
      return data
    end
    if ended then return nil end
    waiting = true
    return coroutine.yield()
  end

  local function write(data)
    tcp:write(data, resume)
    return not coroutine.yield()
  end

  tcp:read_start(function(_, data)
    ended = ended or not data
    if waiting then
      waiting = false
      resume(data)
    elseif data then
      last = last + 1
      chunks[last] = data
    end
  end)
  task = coroutine.create(function()
    for data in read do
      if not write(data) then break end
    end
    drop(tcp)
  end)
  resume()
end

local handle = arg[2] == "coroutines" and coroutines or callbacks
local listener = uv.new_tcp()
assert(listener:bind("127.0.0.1", tonumber(arg[1])))
assert(listener:listen(1024, function()
  local tcp = uv.new_tcp()
  listener:accept(tcp)
  tcp:nodelay(true)
  handle(tcp)
end))
-- A client that left is an error of the write, not a signal.
uv.new_signal():start("sigpipe", function() end)
uv.run()
