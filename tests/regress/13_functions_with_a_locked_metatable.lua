-- Whether an object can be called was asked of getmetatable, which says what the
-- field __metatable says: a number there was indexed, and a table hid __call.
local rt = require("asyncrt")

for _, locked in ipairs({ 1, "locked", {}, false }) do
  local callable = setmetatable({}, {
    __call = function() return rt.always("called") end,
    __metatable = locked,
  })
  assert(rt.sync(rt.guard(callable)) == "called")
  assert(rt.sync(rt.with_nack(callable)) == "called")
  assert(rt.sync(rt.sync(rt.choose(rt.always()):wrap(callable))) == "called")
  local object = setmetatable({}, { __metatable = locked })
  local ok, err = pcall(rt.guard, object)
  assert(not ok and err:find("function expected"), err)
end
