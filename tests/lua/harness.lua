--- Runs the tests of a file with luaunit, inside the main task.
local rt = require("asyncrt")
local lu = require("luaunit")

local harness = {}

-- A test that leaves a task behind would disturb the ones after it.
local function check_tasks(test)
  return function(self)
    local before = #rt.tasks()
    test(self)
    lu.assertEquals(#rt.tasks(), before, "tasks left behind")
  end
end

local function wrap_tests()
  for name, class in pairs(_G) do
    if type(class) == "table" and name:find("^Test") then
      for key, test in pairs(class) do
        if type(test) == "function" and key:find("^test") then
          class[key] = check_tasks(test)
        end
      end
    end
  end
end

local pause = collectgarbage("setpause", 200)
collectgarbage("setpause", pause)

--- How often to repeat what is repeated only to be sure: `n` times, or a
--- twentieth of it with a collector that never pauses.
function harness.rounds(n)
  return pause == 0 and n // 20 or n
end

--- An address that no other process listens at: the same tests run in several
--- at once.
function harness.abstract_address()
  local path = os.tmpname()
  os.remove(path)
  return "unix:@asyncrt" .. path
end

--- Runs every test of the global tables whose names begin with "Test"; the
--- arguments of the file are luaunit's. The exit status is 1 if one fails.
function harness.run()
  wrap_tests()
  if lu.LuaUnit.run() > 0 then
    rt.exit(1)
  end
end

return harness
