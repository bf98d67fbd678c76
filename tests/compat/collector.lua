-- The options of collectgarbage, weak tables, finalizers. The mode to begin with
-- is not compared: see docs/reference/coroutines.md.
collectgarbage("incremental")
print(collectgarbage("generational"), collectgarbage("generational", 20, 100))
print(collectgarbage("incremental"), collectgarbage("incremental", 100, 200, 10))
collectgarbage("setpause", 150)
collectgarbage("setstepmul", 250)
print(collectgarbage("setpause", 200), collectgarbage("setstepmul", 100))
print(collectgarbage("isrunning"), collectgarbage("stop"), collectgarbage("isrunning"))
print(collectgarbage("restart"), collectgarbage("isrunning"))
print(collectgarbage(), collectgarbage("collect"), collectgarbage("step", 100000))
print(math.type(collectgarbage("count")), pcall(collectgarbage, "none"))
print(pcall(collectgarbage, {}))

for _, mode in ipairs { "incremental", "generational" } do
  collectgarbage(mode)
  local keys, values = setmetatable({}, { __mode = "k" }), setmetatable({}, { __mode = "v" })
  local kept = {}
  for i = 1, 100 do
    local co = coroutine.create(function(self) coroutine.yield(self) end)
    coroutine.resume(co, co)
    keys[co], values[i] = true, co
    if i % 10 == 0 then kept[#kept + 1] = co end
  end
  collectgarbage()
  local count = 0
  for co in pairs(keys) do
    count = count + 1
    assert(coroutine.status(co) == "suspended")
  end
  print(mode, count, values[10] == kept[1], values[11])

  local order = {}
  for i = 1, 5 do setmetatable({}, { __gc = function() order[#order + 1] = i end }) end
  collectgarbage()
  print(table.concat(order, " "))

  local inside
  setmetatable({}, { __gc = function()
    inside = table.pack(collectgarbage(), coroutine.isyieldable(), debug.getinfo(1, "n").name,
      coroutine.resume(coroutine.create(function() return coroutine.yield("a coroutine in a finalizer") end)))
  end })
  collectgarbage()
  print(table.unpack(inside, 1, inside.n))
  print(select(2, coroutine.running()) == not coroutine.isyieldable())

  local risen
  do local _ = setmetatable({ "risen" }, { __gc = function(self) risen = self end }) end
  collectgarbage()
  print(risen[1])
end
collectgarbage("incremental")
