-- Coroutines that cannot be resumed: their resumer keeps nothing of it.
local rt = require("asyncrt")
if not ... then return end

local ended = coroutine.create(function() end)
assert(coroutine.resume(ended))
assert(not coroutine.resume(ended))
local failed = coroutine.create(error)
assert(not coroutine.resume(failed))
assert(not coroutine.resume(failed))
local wrapped = coroutine.wrap(function() end)
wrapped()
assert(not pcall(wrapped))
local thread
rt.spawn(function() thread = coroutine.running() end):await()
assert(not coroutine.resume(thread))
