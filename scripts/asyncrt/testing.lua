--- What tests need in place of the world: streams, listeners and a network in
--- memory.
---
--- With `asyncrt --virtual-time --seed=N` a run that uses nothing else is
--- deterministic: time jumps to the next deadline, and every fault below is
--- drawn from the seed.
local memory = require("asyncrt.core.memory_stream")
local net = require("asyncrt.net")
local rt = require("asyncrt")

local FIRST_PORT = 49152 -- of those that port 0 stands for

---@class asyncrt.testing.Options
---@field high_water integer? bytes unread by the other end at which a write
---  waits; 65536 by default
---@field split boolean? a read gets a random part of what there is
---@field delay number? seconds until bytes arrive
---@field jitter number? at most so many seconds more; the order stays
---@field reset number? probability that a write resets the connection
---@field half_close number? probability that a write is the last of its end
---@field address string? what a listener calls itself; "memory" by default

local testing = {}

--- Two ends of a stream: what is written to one is read from the other.
---@param options (integer|asyncrt.testing.Options)? an integer is `high_water`
---@return asyncrt.Stream, asyncrt.Stream
testing.stream_pair = memory.stream_pair

--- A listener whose `dial` connects to it: its `accept` gives the other end.
---@param options (integer|asyncrt.testing.Options)? of its connections
---@return asyncrt.testing.Listener
testing.listener = memory.listener

--- A network that exists in the process only.
---@class asyncrt.testing.Network
---@field private options asyncrt.testing.Options
---@field private listeners table<string, asyncrt.testing.Listener>
---@field private port integer the next that port 0 stands for
local Network = {}

--- What an address is known by: a port on whatever host, or a path.
local function place_of(address)
  local port = address:match(":(%d+)$")
  if port and not address:find("^unix:") then return port end
  return address
end

local function failure(operation, address, reason, code)
  return nil, ("%s %s: %s"):format(operation, address, reason), code
end

local function check_address(address, name)
  if type(address) ~= "string" then
    error(("bad argument #1 to '%s' (string expected, got %s)")
      :format(name, type(address)), 3)
  end
end

---@param address string
---@return asyncrt.testing.Listener? listener, string? message, string? code
function Network:listen(address)
  if address:find("^:") then address = "127.0.0.1" .. address end
  if place_of(address) == "0" then
    address = address:gsub("0$", tostring(self.port))
    self.port = self.port + 1
  end
  local place = place_of(address)
  local listener = self.listeners[place]
  if listener and not listener:is_closed() then
    return failure("listen", address, "address already in use", "EADDRINUSE")
  end
  local options = { address = address }
  for name, value in pairs(self.options) do options[name] = value end
  self.listeners[place] = testing.listener(options)
  return self.listeners[place]
end

---@param address string
---@return asyncrt.Stream? conn, string? message, string? code
function Network:dial(address)
  local listener = self.listeners[place_of(address)]
  if not listener or listener:is_closed() then
    return failure("connect", address, "connection refused", "ECONNREFUSED")
  end
  return listener:dial()
end

local LISTEN = { name = "listen", arg = 2, is_option = true }
local CONNECT = { name = "connect", arg = 2, is_option = true }
local CONNECT_EVT = { name = "connect_evt", arg = 2, is_option = true }

--- Loads TLS for who uses it.
local function secure()
  return require("asyncrt.secure")
end

--- Takes the place of the module asyncrt.net: what listens here is reached from
--- here, and nothing else is. Of options it knows `tls`.
---@param options (integer|asyncrt.testing.Options)? of its connections
---@return table net listen, connect, connect_evt and serve, as in asyncrt.net
function testing.network(options)
  testing.listener(options):close() -- checks them
  if type(options) == "number" then options = { high_water = options } end
  local network = setmetatable({
    options = options or {},
    listeners = {},
    port = FIRST_PORT,
  }, { __index = Network })
  local there_and_back = 2 * (network.options.delay or 0)
  local module = {}

  local function listen(address)
    return network:listen(address)
  end

  local function dial(address)
    rt.sleep(there_and_back)
    return network:dial(address)
  end

  local function dial_evt(address)
    return rt.after(there_and_back):wrap(function()
      return network:dial(address)
    end)
  end

  function module.listen(address, how)
    check_address(address, "listen")
    if how and how.tls then
      return secure().open(listen, address, how, LISTEN)
    end
    return listen(address)
  end

  function module.connect_evt(address, how)
    check_address(address, "connect_evt")
    if how and how.tls then
      return secure().dial_evt(dial_evt, address, how, CONNECT_EVT)
    end
    return dial_evt(address)
  end

  function module.connect(address, how)
    check_address(address, "connect")
    if how and how.tls then
      return secure().dial(dial, address, how, CONNECT)
    end
    return dial(address)
  end

  function module.serve(address, ...)
    if type(address) == "string" then
      address = assert(network:listen(address))
    end
    return net.serve(address, ...)
  end

  return module
end

return testing
