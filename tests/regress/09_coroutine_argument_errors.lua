-- coroutine.isyieldable took anything that is no thread for the running
-- coroutine, and the other functions expected a "coroutine" where Lua 5.4.4
-- says "thread".
for _, name in ipairs({ "resume", "status", "close", "isyieldable" }) do
  local ok, err = pcall(coroutine[name], 1)
  assert(not ok and err:find("(thread expected, got number)", 1, true), err)
end
assert(coroutine.isyieldable() == false)
