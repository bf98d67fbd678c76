-- A spawned task inherits the bindings of that moment; a later binding is
-- invisible to it.
local rt = require("asyncrt")

rt.with("id", 1, function()
  rt.spawn(function()
    rt.sleep(1)
    print("child", rt.get("id"))
  end)
  rt.with("id", 2, function()
    rt.sleep(2)
    print("inner", rt.get("id"))
  end)
  print("outer", rt.get("id"))
end)
print(rt.get("id"))

--[[ stdout
child 1
inner 2
outer 1
nil
]]
