-- load and string.dump: text, binary chunks of this process, readers.
local function pieces(...)
  local list, i = table.pack(...), 0
  return function()
    i = i + 1
    return list[i]
  end
end

-- Below pcall, for the message handler of lua would add its traceback.
local function try(...)
  local _, chunk, message = pcall(load, ...)
  if chunk then
    print(pcall(chunk, "first", "second"))
  else
    print(chunk, message)
  end
end

try("return ...")
try("return ...", "=name", "t")
try("return _ENV", "=name", "t", 7)
try("return _ENV", "=name", "t", nil)
try("error('told')", "=name")
try("error('told')", "@file.lua")
try("error('told')")
try("x =")
try("x =", "=name")
try("x = }", "=" .. ("n"):rep(100))
try("goto none")
try("break")
try("local x <const> = 1; x = 2")
try("return 1", "=name", "b")
try("return 1", "=name", "none")
try("")
try("-- a comment")
try("#no comment here")
try(("("):rep(100) .. "1" .. (")"):rep(100))
try("return '\27'")
try(pieces("return ", "1", "2"))
try(pieces("return 1", nil, "2"))
try(pieces("return 1", "", "2"))
try(pieces(nil, "return 1"))
try(pieces("", "return 1"))
try(pieces("return ", 1, 2.5))
try(pieces())
try(pieces("return {}", {}))
try(pieces(true))
try(function() error("of the reader", 0) end)
try(function() error("of the reader") end)
try(function() coroutine.yield() end)
try(pieces("error('told')"))
try(pieces("error('told')"), "=name")
try(pieces("return 1"), "=name", "b")

local up = 5
local function f(a, ...)
  local b <const> = 2
  return a .. b, up, ...
end
local binary = string.dump(f)
try(binary)
try(binary, "=name", "b")
try(binary, "=name", "bt")
try(binary, "=name", "t")
try(pieces(binary:sub(1, 1), binary:sub(2, 30), binary:sub(31)))
try(pieces(binary), "=name", "b")
try(pieces(binary), "=name", "t")
try(string.dump(f, true))
print(#string.dump(f, true) < #binary, string.dump(f) == binary)
local loaded = load(binary)
print(debug.getupvalue(loaded, 1), debug.getupvalue(loaded, 2))
debug.setupvalue(loaded, 1, "set")
print(loaded("x"))
try(string.dump(load("error('in a dump')", "=source")))
try(string.dump(load("error('in a dump')", "=source"), true))
print(pcall(string.dump, print))
print(pcall(string.dump))
