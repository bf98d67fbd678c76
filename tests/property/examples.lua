-- The example servers, on a network in memory with faults, serve clients that
-- say what comes to their mind. Run twice under one seed they take the same
-- steps; see run.py.
--
--   asyncrt --virtual-time --seed=N --trace-hash tests/property/examples.lua
local core = require("asyncrt.core.test")
local rt = require("asyncrt")
local testing = require("asyncrt.testing")

local CLIENTS = 5
local LINES = 8
local EXAMPLES = arg[0]:gsub("[^/]*$", "") .. "../../examples/"

local random = math.random

local lines = { "ann", "hello", "GET /hello/you HTTP/1.1\r\nHost: x\r\n\r", "7" }

--- Where an example listens.
local function new_network()
  local network = testing.network({
    delay = 0.01,
    jitter = 0.2,
    split = true,
    reset = 0.005,
    half_close = 0.01,
  })
  local listen = network.listen
  function network.listen(address)
    local listener, message, code = listen(address)
    network.listener = listener
    return listener, message, code
  end
  return network
end

local function read(conn)
  for _ in function() return (conn:read()) end do end
end

local function talk(network)
  rt.sleep(random() * 5)
  local conn <close> = assert(network.connect(network.listener:address()))
  local reader = rt.spawn(read, conn)
  for _ = 1, LINES do
    if not conn:write(lines[random(#lines)] .. "\n") then break end
    rt.sleep(random() * 2)
  end
  conn:shutdown()
  rt.timeout(60, reader.join, reader)
  reader:cancel()
end

--- What an example prints is not looked at, and does not disturb.
local function new_environment(path)
  local output = setmetatable({}, { __index = function()
    return function() end
  end })
  local environment = {
    arg = { [0] = path },
    io = setmetatable({ stdout = output, write = print, stderr = output },
      { __index = io }),
    -- One that wants an argument ends alone.
    os = setmetatable({ exit = error }, { __index = os }),
    print = function() end,
  }
  return setmetatable(environment, { __index = _G })
end

--- Forgets the modules that have kept the network of the example before.
local function forget_modules()
  for name in pairs(package.loaded) do
    if name:find("^asyncrt%.http") and not name:find("parser") then
      package.loaded[name] = nil
    end
  end
end

local function run_example(path)
  forget_modules()
  local network = new_network()
  package.loaded["asyncrt.net"] = network
  local example = assert(loadfile(path, "t", new_environment(path)))
  rt.group({ on_error = "collect" }, function(group)
    local server = group:spawn(example)
    rt.sleep(1)
    if network.listener then
      rt.group(function(clients)
        for _ = 1, CLIENTS do clients:spawn(talk, network) end
      end)
    end
    server:cancel()
    server:join()
    group:cancel()
  end)
end

local names = {}
for name in pairs(assert(core.entries(EXAMPLES))) do
  if name:find("%.lua$") then names[#names + 1] = name end
end
local servers = 0
for _, name in ipairs(names) do
  local file <close> = assert(io.open(EXAMPLES .. name))
  if file:read("a"):find("net.listen", 1, true) then
    servers = servers + 1
    run_example(EXAMPLES .. name)
  end
end
assert(servers > 0, "there are no examples")
