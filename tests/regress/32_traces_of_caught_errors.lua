-- An error that coroutine.resume had caught, or a cancellation that rt.timeout
-- had, left its mark on the task: the next error was told with the traceback of
-- another task, or with none.
local rt = require("asyncrt")

local function where(f)
  local task
  rt.group({ on_error = "collect" }, function(group)
    task = group:spawn(f)
  end)
  return task:where()
end

local function fails()
  error("the second")
end

local function check(f)
  local text = where(function()
    f()
    fails()
  end)
  assert(text:find("in upvalue 'fails'", 1, true), text)
  assert(not text:find("the first", 1, true), text)
  assert(not text:find("awaited by", 1, true), text)
  assert(not text:find("resumed by", 1, true), text)
end

check(function()
  local _, why = rt.timeout(0, rt.group, function() rt.sleep(1) end)
  assert(why == "timeout")
end)

check(function()
  local co = coroutine.create(rt.group)
  assert(not coroutine.resume(co, function() error("the first") end))
end)

check(function()
  local co = coroutine.create(function()
    local group <close> = rt.group()
    group:spawn(error, "the first")
  end)
  assert(not coroutine.resume(co))
end)
