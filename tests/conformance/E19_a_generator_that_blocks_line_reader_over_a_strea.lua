-- A generator that blocks: a reader of lines over a stream.
local rt = require("asyncrt")
local testing = require("asyncrt.testing")

local function lines(stream)
  return coroutine.wrap(function()
    local buffer = ""
    while true do
      local i = buffer:find("\n", 1, true)
      if i then
        coroutine.yield(buffer:sub(1, i - 1))
        buffer = buffer:sub(i + 1)
      else
        local data = stream:read()
        if not data then return end
        buffer = buffer .. data
      end
    end
  end)
end

local a, b = testing.stream_pair()
rt.spawn(function()
  b:write("on")
  rt.sleep(1)
  b:write("e\ntwo\nth")
  rt.sleep(1)
  b:write("ree\n")
  b:close()
end)
for line in lines(a) do
  print(line, rt.now())
end

--[[ stdout
one 1.0
two 1.0
three 2.0
]]
