-- The exit status, by os.exit in its forms and without it.
-- each of: end returns nil true false zero seven large negative float decimal fraction text coroutine below_pcall in_gc close
local exits = {
  ["end"] = function() end,
  returns = function() return 5 end,
  ["nil"] = function() os.exit(nil) end,
  ["true"] = function() os.exit(true) end,
  ["false"] = function() os.exit(false) end,
  zero = function() os.exit(0) end,
  seven = function() os.exit(7) end,
  large = function() os.exit(256 + 3) end,
  negative = function() os.exit(-1) end,
  float = function() os.exit(3.0) end,
  decimal = function() os.exit("4") end,
  fraction = function() print(pcall(os.exit, 1.5)) end,
  text = function() print(pcall(os.exit, "text")) end,
  coroutine = function() coroutine.wrap(function() os.exit(5) end)() end,
  below_pcall = function() pcall(os.exit, 6) end,
  in_gc = function()
    setmetatable({}, { __gc = function() os.exit(8) end })
    collectgarbage()
  end,
  close = function()
    local _ <close> = setmetatable({}, { __close = function() print("never closed") end })
    os.exit(9)
  end,
}

io.write("not yet written ")
return exits[...]()
