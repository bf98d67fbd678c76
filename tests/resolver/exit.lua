-- os.exit ends the process at once, whatever a thread waits for.
-- luacheck: globals asked
local dns = require("asyncrt.dns")
local rt = require("asyncrt")

rt.spawn(dns.resolve, "hole.test")
while asked() == 0 do
  rt.sleep(0.001)
end
os.exit(0)
