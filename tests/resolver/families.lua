-- The addresses of a name are tried one 250 ms after the other: the first one's
-- host says nothing, the second answers.
-- luacheck: globals left
local net = require("asyncrt.net")
local rt = require("asyncrt")

left = 0

-- Two listeners with the same port; of the first the backlog is full, so that
-- the system drops what wants to connect.
local function listen()
  for _ = 1, 100 do
    local silent = net.listen("[::1]:0", { backlog = 1 })

    if silent == nil then return end -- there is no IPv6
    local port = silent:address():match("%d+$")
    local open = net.listen("127.0.0.1:" .. port)

    if open ~= nil then return silent, open, port end
    silent:close()
  end
  error("no port is free in both families")
end

local silent, open, port = listen()
if silent == nil then os.exit(77) end
local filling = {}
repeat
  filling[#filling + 1] = net.connect("[::1]:" .. port, { timeout = 0.1 })
until #filling > 10 or filling[#filling] == nil or select(2,
  net.connect("[::1]:" .. port, { timeout = 0.1 })) ~= nil
assert(#filling <= 10, "the backlog has no end")

local before = rt.now()
local conn = assert(net.connect("two.test:" .. port))
assert(rt.now() - before >= 0.25)
assert(conn:peer() == "127.0.0.1:" .. port)
local other = assert(open:accept())
other:write("hello")
assert(conn:read_exact(5) == "hello")

-- One that is refused does not take that long: the next is tried at once.
silent:close()
for _, kept in ipairs(filling) do
  kept:close()
end
local task = rt.spawn(net.connect, "two.test:" .. port)
assert(open:accept())
assert(task:await():peer() == "127.0.0.1:" .. port)

-- Nobody is left: the refusal is told, not the family that there is not.
open:close()
local nobody, message, code = net.connect("two.test:" .. port)
assert(nobody == nil and code == "ECONNREFUSED", message)
