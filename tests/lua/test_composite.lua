-- asyncrt: --virtual-time --seed=1
local rt = require("asyncrt")
local harness = require("harness")
local lu = require("luaunit")

local function timed(f, ...)
  local start = rt.now()
  local results = table.pack(f(...))
  return rt.now() - start, table.unpack(results, 1, results.n)
end

local function closer(f)
  return setmetatable({}, { __close = f })
end

-- An event `inside` with a nack that is put into `log[name]`.
local function nacked(log, name, inside)
  return rt.with_nack(function(nack)
    log[name] = nack
    return inside
  end)
end

local function states(log)
  local result = {}
  for name, nack in pairs(log) do result[name] = nack:is_set() end
  return result
end

TestChoose = {}

function TestChoose:test_it_commits_one_of_its_events()
  local a, b = rt.channel(1), rt.channel(1)
  b:send("b")
  lu.assertEquals(rt.sync(rt.choose(a, b)), "b")
  a:send("a")
  lu.assertEquals(rt.sync(rt.choose(a, b)), "a")
  lu.assertEquals(timed(rt.sync, rt.choose(a, b, 1)), 1.0)
end

function TestChoose:test_of_nothing_it_equals_never()
  for _, event in ipairs({ rt.choose(), rt.choose(nil), rt.choose(nil, nil), rt.choose(rt.choose()) }) do
    lu.assertEquals({ timed(rt.timeout, 1, rt.sync, event) }, { 1.0, nil, "timeout" })
    lu.assertNil(rt.poll({ event }))
    lu.assertEquals({ timed(rt.sync_timeout, 1, event) }, { 1.0, nil, "timeout" })
  end
end

function TestChoose:test_nil_arguments_vanish()
  lu.assertEquals(rt.sync(rt.choose(nil, rt.always("v"), nil)), "v")
end

function TestChoose:test_what_is_no_event_raises_at_construction()
  for _, bad in ipairs({ "text", true, false, {}, print, 0 / 0 }) do
    lu.assertErrorMsgContains("bad argument #2 to 'choose' (event expected, got ", rt.choose, rt.never, bad)
  end
end

function TestChoose:test_choices_nest_to_any_depth()
  local ch = rt.channel(1)
  local event = rt.choose(ch)
  for depth = 1, 500 do
    event = depth % 3 == 0 and rt.choose(rt.never, event) or depth % 3 == 1 and rt.choose(event)
      or event:wrap(function(...) return ... end)
  end
  lu.assertEquals({ rt.sync_timeout(1, event) }, { nil, "timeout" })
  ch:send("deep")
  lu.assertEquals({ rt.select({ k = event }) }, { "k", "deep" })
end

function TestChoose:test_an_event_may_be_synced_any_number_of_times_by_any_task()
  local ch = rt.channel()
  local event = rt.choose(ch, rt.never):wrap(function(v) return v * 2 end)
  local tasks = {}
  for i = 1, 10 do tasks[i] = rt.spawn(rt.sync, event) end
  rt.yield()
  for i = 1, 10 do ch:send(i) end
  for i = 1, 10 do lu.assertEquals(tasks[i]:await(), 2 * i) end
end

TestWrap = {}

function TestWrap:test_wraps_run_innermost_first_on_all_values()
  local function add(n) return function(...) return n, ... end end
  lu.assertEquals({ rt.sync(rt.always("v", nil, 7):wrap(add(1)):wrap(add(2)):wrap(add(3))) },
    { 3, 2, 1, "v", nil, 7 })
  lu.assertEquals({ rt.select({ k = rt.always("v"):wrap(add(1)) }) }, { "k", 1, "v" })
  lu.assertEquals({ rt.poll({ k = rt.always("v"):wrap(add(1)) }) }, { "k", 1, "v" })
  lu.assertEquals({ rt.sync_timeout(0, rt.always("v"):wrap(add(1))) }, { 1, "v" })
  lu.assertEquals({ rt.sync_timeout(1, rt.always("v"):wrap(add(1))) }, { 1, "v" })
end

function TestWrap:test_only_the_wrap_of_the_winner_runs()
  local ran = {}
  local function note(name) return function() ran[#ran + 1] = name end end
  rt.select({
    rt.never:wrap(note("loser")), rt.choose(rt.always():wrap(note("inner")), rt.never):wrap(note("outer")),
    rt.after(0):wrap(note("late")),
  })
  lu.assertEquals(ran, { "inner", "outer" })
end

function TestWrap:test_a_wrap_around_a_choice_is_around_each_of_its_events()
  local a, b = rt.channel(1), rt.channel(1)
  local event = rt.choose(a, b:recv_evt():wrap(function(v) return "b" .. v end))
    :wrap(function(v) return "(" .. v .. ")" end)
  a:send("1")
  lu.assertEquals(rt.sync(event), "(1)")
  b:send("2")
  lu.assertEquals(rt.sync(event), "(b2)")
end

function TestWrap:test_it_runs_in_the_syncing_task_and_may_wait()
  local inside
  lu.assertEquals({ timed(rt.sync, rt.always(1):wrap(function()
    inside = rt.current()
    rt.sleep(2)
    return "waited"
  end)) }, { 2.0, "waited" })
  lu.assertIs(inside, rt.current())
end

function TestWrap:test_it_may_sync_again()
  local function countdown(n)
    if n == 0 then return rt.always("done") end
    return rt.always():wrap(function() return rt.sync(countdown(n - 1)) end)
  end

  lu.assertEquals(rt.sync(countdown(30)), "done")
end

function TestWrap:test_an_error_in_it_propagates_and_the_commit_stands()
  local ch = rt.channel(1)
  ch:send("v")
  lu.assertEquals({ pcall(rt.sync, ch:recv_evt():wrap(function(v) error("wrap " .. v, 0) end)) },
    { false, "wrap v" })
  lu.assertEquals(#ch, 0)
end

function TestWrap:test_a_cancel_in_it_does_not_undo_the_commit()
  local ch = rt.channel(1)
  ch:send("v")
  lu.assertEquals({ rt.timeout(1, rt.sync, ch:recv_evt():wrap(function() rt.sleep(9) end)) },
    { nil, "timeout" })
  lu.assertEquals(#ch, 0)
end

function TestWrap:test_it_runs_where_the_sync_was_a_single_attempt()
  lu.assertEquals({ rt.sync_timeout(0, rt.always(1):wrap(function(v)
    rt.sleep(1)
    return v
  end)) }, { 1 })
  lu.assertEquals({ rt.poll({ rt.always(1):wrap(function(v) return v + 1 end) }) }, { 1, 2 })
end

function TestWrap:test_nil_results_are_kept()
  lu.assertEquals(select("#", rt.sync(rt.always(1):wrap(function() return nil, nil end))), 2)
  lu.assertEquals(select("#", rt.sync(rt.always(1):wrap(function() end))), 0)
  lu.assertEquals(select("#", rt.select({ k = rt.always(1):wrap(function() end) })), 1)
end

function TestWrap:test_what_cannot_be_called_raises_at_construction()
  for _, bad in ipairs({ 1, "text", true, {}, rt.never }) do
    lu.assertErrorMsgContains("bad argument #1 to 'wrap' (function expected", function()
      rt.never:wrap(bad)
    end)
    lu.assertErrorMsgContains("bad argument #1 to 'guard' (function expected", rt.guard, bad)
    lu.assertErrorMsgContains("bad argument #1 to 'with_nack' (function expected", rt.with_nack, bad)
  end
  local callable = setmetatable({}, { __call = function(_, v) return v end })
  lu.assertEquals(rt.sync(rt.always("v"):wrap(callable)), "v")
end

TestGuard = {}

function TestGuard:test_it_runs_once_at_each_sync()
  local runs = 0
  local event = rt.guard(function()
    runs = runs + 1
    return rt.always(runs)
  end)
  lu.assertEquals(runs, 0)
  for i = 1, 3 do lu.assertEquals(rt.sync(event), i) end
  lu.assertEquals({ rt.select({ k = event }) }, { "k", 4 })
  lu.assertEquals({ rt.poll({ k = event }) }, { "k", 5 })
  lu.assertEquals(rt.sync_timeout(0, event), 6)
  lu.assertEquals(rt.sync_timeout(1, event), 7)
  lu.assertEquals(runs, 7)
end

function TestGuard:test_it_may_return_any_event()
  local ch = rt.channel(1)
  ch:send("v")
  local function guard(e) return rt.guard(function() return e end) end
  lu.assertEquals(rt.sync(guard(ch)), "v")
  lu.assertEquals(timed(rt.sync, guard(1)), 1.0)
  lu.assertEquals(rt.sync(guard(guard(guard(rt.always("deep"))))), "deep")
  lu.assertEquals(rt.sync(guard(rt.choose(rt.never, rt.always("chosen")):wrap(string.upper))), "CHOSEN")
end

function TestGuard:test_one_that_returns_no_event_raises()
  for _, bad in ipairs({ false, "text", {}, print, 0 / 0 }) do
    for _, sync in ipairs({ rt.sync, function(e) rt.select({ e }) end, function(e) rt.poll({ e }) end }) do
      lu.assertErrorMsgContains("a guard must return an event, got ", sync, rt.guard(function() return bad end))
    end
  end
  lu.assertErrorMsgContains("the function of with_nack must return an event, got a nil value",
    rt.sync, rt.with_nack(function() end))
end

function TestGuard:test_guards_run_in_the_order_of_the_arms()
  local order = {}
  local function guard(name)
    return rt.guard(function()
      order[#order + 1] = name
      return rt.never
    end)
  end
  local arms = { guard(1), guard(2), guard(3), b = guard("b"), a = guard("a"), [-4] = guard(-4),
    ["a\0"] = guard("a0"), B = guard("B"), [10] = guard(10),
    c = rt.choose(guard("c1"), rt.choose(guard("c2")), guard("c3")), last = 0 }
  for _ = 1, 5 do
    order = {}
    lu.assertEquals(rt.select(arms), "last")
    lu.assertEquals(order, { -4, 1, 2, 3, 10, "B", "a", "a0", "b", "c1", "c2", "c3" })
  end
end

function TestGuard:test_guards_run_before_anything_is_attempted()
  local ch = rt.channel(1)
  ch:send("v")
  local before
  rt.select({ ch, rt.guard(function()
    before = #ch
    return rt.never
  end) })
  lu.assertEquals(before, 1)
end

function TestGuard:test_it_may_wait()
  lu.assertEquals({ timed(rt.sync, rt.guard(function()
    rt.sleep(1)
    return rt.after(1)
  end)) }, { 2.0 })
  lu.assertEquals({ timed(rt.select, { rt.guard(function()
    rt.sleep(1)
    return rt.always("v")
  end), 0.5 }) }, { 1.0, 1, "v" })
end

function TestGuard:test_the_limit_of_sync_timeout_counts_from_the_call()
  lu.assertEquals({ timed(rt.sync_timeout, 3, rt.guard(function()
    rt.sleep(2)
    return rt.never
  end)) }, { 3.0, nil, "timeout" })
  lu.assertEquals({ timed(rt.sync_timeout, 1, rt.guard(function()
    rt.sleep(2)
    return rt.never
  end)) }, { 2.0, nil, "timeout" })
  lu.assertEquals({ timed(rt.sync_timeout, 1, rt.guard(function()
    rt.sleep(2)
    return rt.always("ready wins")
  end)) }, { 2.0, "ready wins" })
end

function TestGuard:test_where_nothing_may_wait_one_that_waits_raises_and_nothing_commits()
  local ch = rt.channel(9)
  ch:send("v")
  local guard = rt.guard(function()
    rt.sleep(1)
    return rt.never
  end)
  local before = rt.now()
  for i, sync in ipairs({
    function(e) return rt.poll({ a = ch, b = e, c = ch:send_evt(1) }) end,
    function(e) return rt.sync_timeout(0, rt.choose(ch, e)) end,
    function(e) return rt.sync_timeout(-1, rt.choose(e, ch)) end,
  }) do
    local log = {}
    lu.assertErrorMsgContains("cannot block here", sync, rt.choose(nacked(log, "nack", rt.never), guard), i)
    lu.assertEquals(states(log), { nack = true })
  end
  lu.assertEquals(#ch, 1)
  lu.assertEquals(rt.now(), before)
end

function TestGuard:test_an_error_in_it_propagates()
  local object = {}
  local ch = rt.channel(1)
  ch:send("v")
  local ok, err = pcall(rt.select, { ch, rt.guard(function() error(object) end) })
  lu.assertFalse(ok)
  lu.assertIs(err, object)
  lu.assertEquals(#ch, 1)
end

function TestGuard:test_in_a_cancelled_scope_none_runs()
  local ran = 0
  local guard = rt.guard(function()
    ran = ran + 1
    return rt.always()
  end)
  for _, sync in ipairs({
    function() rt.sync(guard) end, function() rt.select({ guard }) end,
    function() rt.sync_timeout(1, guard) end,
  }) do
    lu.assertEquals({ rt.timeout(0, sync) }, { nil, "timeout" })
  end
  lu.assertEquals(ran, 0)
  rt.timeout(0, rt.poll, { guard })
  lu.assertEquals(ran, 1)
end

TestNack = {}

function TestNack:test_it_stays_unset_where_its_arm_wins()
  for name, sync in pairs({
    sync = function(e) return rt.sync(e) end,
    select = function(e) return (select(2, rt.select({ rt.never, e }))) end,
    poll = function(e) return (select(2, rt.poll({ e }))) end,
    attempt = function(e) return rt.sync_timeout(0, e) end,
    limited = function(e) return rt.sync_timeout(5, e) end,
  }) do
    local log = {}
    lu.assertEquals(sync(nacked(log, "nack", rt.always("v"))), "v", name)
    lu.assertEquals(states(log), { nack = false }, name)
  end
  -- And where it wins after a wait.
  local ch, log = rt.channel(), {}
  local task = rt.spawn(function() return rt.select({ k = nacked(log, "nack", ch), l = rt.never }) end)
  rt.yield()
  lu.assertEquals(states(log), { nack = false })
  ch:send("v")
  lu.assertEquals({ task:await() }, { "k", "v" })
  lu.assertEquals(states(log), { nack = false })
end

function TestNack:test_it_is_set_where_another_arm_wins()
  for name, sync in pairs({
    sync = function(a, b) rt.sync(rt.choose(a, b)) end,
    select = function(a, b) rt.select({ a, b }) end,
    poll = function(a, b) rt.poll({ a, b }) end,
    attempt = function(a, b) rt.sync_timeout(0, rt.choose(a, b)) end,
    limited = function(a, b) rt.sync_timeout(9, rt.choose(a, b)) end,
  }) do
    local log = {}
    sync(nacked(log, "loser", rt.never), nacked(log, "winner", rt.always()))
    lu.assertEquals(states(log), { loser = true, winner = false }, name)
  end
  local log = {}
  rt.select({ nacked(log, "loser", rt.never), nacked(log, "winner", rt.after(1)) })
  lu.assertEquals(states(log), { loser = true, winner = false })
end

function TestNack:test_it_is_set_where_the_sync_gives_up()
  for name, give_up in pairs({
    limited = function(e) rt.sync_timeout(1, e) end,
    attempt = function(e) rt.sync_timeout(0, e) end,
    poll = function(e) rt.poll({ e }) end,
    timeout = function(e) rt.timeout(1, rt.sync, e) end,
    timeout_select = function(e) rt.timeout(1, rt.select, { e }) end,
    timer_arm = function(e) rt.select({ e, 1 }) end,
    later_guard = function(e) pcall(rt.select, { e, rt.guard(error) }) end,
    later_nack = function(e) pcall(rt.select, { e, rt.with_nack(error) }) end,
    later_no_event = function(e) pcall(rt.select, { e, rt.guard(function() end) }) end,
    later_wait = function(e)
      rt.timeout(1, rt.select, { e, rt.guard(function() rt.sleep(5) error("NEVER") end) })
    end,
  }) do
    local log = {}
    give_up(nacked(log, "nack", rt.never))
    lu.assertEquals(states(log), { nack = true }, name)
  end
end

function TestNack:test_its_own_function_s_failure_sets_it()
  for name, f in pairs({
    raises = function() error("expected") end,
    raises_nil = function() error(nil) end,
    no_event = function() return nil end,
    waits_too_long = function() rt.sleep(9) end,
    inner = function() return rt.guard(error) end,
  }) do
    local nack
    local ok = rt.pcall_all(rt.timeout, 1, rt.sync, rt.with_nack(function(n)
      nack = n
      return f()
    end))
    lu.assertEquals(ok, name == "waits_too_long", name)
    lu.assertTrue(nack:is_set(), name)
  end
end

function TestNack:test_on_a_cancel_it_is_set_before_the_task_unwinds()
  local log, nack = {}, nil
  local task = rt.spawn(function()
    local _ <close> = closer(function() log[#log + 1] = "unwound" end)
    rt.sync(rt.with_nack(function(n)
      nack = n
      return rt.never
    end))
  end)
  rt.yield()
  local watcher = rt.spawn(function()
    nack:wait()
    log[#log + 1] = "told"
  end)
  rt.yield()
  task:cancel()
  lu.assertTrue(nack:is_set())
  lu.assertEquals(log, {})
  task:join()
  watcher:join()
  lu.assertEquals(log, { "unwound", "told" })
end

function TestNack:test_on_a_timeout_it_is_set_before_the_task_unwinds()
  local seen
  local nack
  rt.timeout(1, function()
    local _ <close> = closer(function() seen = nack:is_set() end)
    rt.sync(rt.with_nack(function(n)
      nack = n
      return rt.never
    end))
  end)

  lu.assertTrue(seen)
end

function TestNack:test_one_around_several_events_is_set_iff_none_of_them_is_chosen()
  local function shape(log, chosen)
    local function base(i) return i == chosen and rt.always(i) or rt.never end
    return rt.choose(
      nacked(log, "outer", rt.choose(
        nacked(log, "first", rt.choose(base(1), base(2))),
        nacked(log, "second", base(3)):wrap(function(...) return ... end),
        nacked(log, "empty", rt.choose()))),
      nacked(log, "other", rt.guard(function() return base(4) end)))
  end
  for chosen = 0, 4 do
    local expected = {
      outer = chosen == 0 or chosen == 4, first = chosen ~= 1 and chosen ~= 2,
      second = chosen ~= 3, empty = true, other = chosen ~= 4,
    }
    local log = {}
    local value = rt.sync_timeout(1, shape(log, chosen))
    lu.assertEquals(value, chosen > 0 and chosen or nil)
    lu.assertEquals(states(log), expected)
    log = {}
    rt.poll({ shape(log, chosen) })
    lu.assertEquals(states(log), expected)
  end
end

function TestNack:test_it_wakes_those_who_wait_for_it()
  local told = {}
  local nack
  local task = rt.spawn(function()
    rt.select({ rt.with_nack(function(n)
      nack = n
      return rt.never
    end), 1 })
  end)
  rt.yield()
  for i = 1, 3 do
    rt.spawn(function()
      if i == 2 then rt.select({ nack, rt.never }) else nack:wait() end
      told[#told + 1] = i
    end)
  end
  rt.sleep(2)
  task:join()

  lu.assertEquals(told, { 1, 2, 3 })
end

function TestNack:test_an_error_in_a_wrap_after_the_commit_leaves_the_nacks_as_they_are()
  local log = {}
  pcall(rt.select, {
    nacked(log, "loser", rt.never),
    nacked(log, "winner", rt.always()):wrap(function() error("expected") end),
  })
  lu.assertEquals(states(log), { loser = true, winner = false })
end

function TestNack:test_each_sync_gets_a_new_one()
  local nacks = {}
  local event = rt.with_nack(function(nack)
    nacks[#nacks + 1] = nack
    return rt.never
  end)
  rt.sync_timeout(0, event)
  rt.sync_timeout(0, event)
  rt.poll({ event, event })

  lu.assertEquals(#nacks, 4)
  for i = 1, 4 do
    lu.assertTrue(nacks[i]:is_set())
    for j = 1, i - 1 do lu.assertFalse(rawequal(nacks[i], nacks[j])) end
  end
end

function TestNack:test_a_server_undoes_what_a_client_gave_up()
  -- A lock server by the book: a request is withdrawn by its nack.
  local requests = rt.channel()
  local held, log = false, {}
  local server = rt.spawn(function()
    local waiting = {}
    for request in requests:iter() do
      waiting[#waiting + 1] = request
      while #waiting > 0 do
        local first = waiting[1]
        local key = rt.select({ granted = first.reply:send_evt(true), gone = first.nack, more = requests })
        if key == "granted" then
          held = true
          log[#log + 1] = "granted " .. first.name
          table.remove(waiting, 1)
          rt.sync(first.released)
          held = false
        elseif key == "gone" then
          log[#log + 1] = "gone " .. first.name
          table.remove(waiting, 1)
        else
          error("one client at a time in this test")
        end
      end
    end
  end)
  local function acquire(name, released)
    return rt.with_nack(function(nack)
      local reply = rt.channel()
      requests:send({ name = name, reply = reply, nack = nack, released = released })
      return reply
    end)
  end
  local released = rt.event()
  lu.assertTrue(rt.sync(acquire("a", released)))
  rt.yield()
  lu.assertTrue(held)
  released:set()
  rt.yield()
  lu.assertFalse(held)
  -- The server offers the lock only after the client has withdrawn.
  lu.assertEquals(rt.select({ acquire("b", rt.event()), rt.always() }), 2)
  rt.sleep(1)
  requests:close()
  server:join()

  lu.assertEquals(log, { "granted a", "gone b" })
end

TestMixed = {}

function TestMixed:test_composites_and_base_events_share_one_select()
  local ch, e = rt.channel(), rt.event()
  local arms = {
    plain = ch, wrapped = e and rt.choose(e):wrap(function() return "wrapped" end),
    guarded = rt.guard(function() return rt.after(5) end), limit = 3,
  }
  lu.assertEquals({ timed(rt.select, arms) }, { 3.0, "limit" })
  rt.spawn(function()
    rt.sleep(1)
    e:set()
  end)
  lu.assertEquals({ timed(rt.select, arms) }, { 1.0, "wrapped", "wrapped" })
end

function TestMixed:test_after_starts_anew_at_each_sync_and_at_does_not()
  local after, at = rt.choose(rt.after(1)), rt.choose(rt.at(rt.now() + 1.5))
  lu.assertEquals(timed(rt.sync, after), 1.0)
  lu.assertEquals(timed(rt.sync, at), 0.5)
  lu.assertEquals(timed(rt.sync, after), 1.0)
  lu.assertEquals(timed(rt.sync, at), 0.0)
  lu.assertEquals(select("#", rt.sync(after)), 0)
  lu.assertEquals(select("#", rt.sync(at)), 0)
end

function TestMixed:test_random_shapes_choose_what_is_ready_and_nack_the_rest()
  local state = 4711
  local function random(n)
    state = (state * 1664525 + 1013904223) % 4294967296
    return state // 65536 % n + 1
  end
  for _ = 1, 500 do
    local log, inside = {}, {} -- the nacks; for each base event those around it
    local ready = {}
    local function shape(depth, around)
      local kind = depth == 0 and 1 or random(6)
      if kind <= 2 then
        local id = #inside + 1
        inside[id] = around or false
        if random(4) == 1 then
          ready[id] = true
          return rt.always(id)
        end
        return rt.never:wrap(function() error("NEVER") end)
      elseif kind == 3 then
        local parts = {}
        for i = 1, random(3) do parts[i] = shape(depth - 1, around) end
        return rt.choose(table.unpack(parts))
      elseif kind == 4 then
        return rt.choose(shape(depth - 1, around)):wrap(function(...) return ... end)
      elseif kind == 5 then
        local event = shape(depth - 1, around)
        return rt.guard(function() return event end)
      end
      local nack_id = #log + 1
      log[nack_id] = false
      local event = shape(depth - 1, { nack_id, around })
      return rt.with_nack(function(nack)
        log[nack_id] = nack
        return event
      end)
    end
    local event = rt.choose(shape(5, nil), shape(5, nil))
    local how = random(3)
    local chosen
    if how == 1 then
      chosen = rt.sync_timeout(1, event)
    elseif how == 2 then
      chosen = select(2, rt.poll({ event }))
    else
      chosen = rt.timeout(1, rt.sync, event)
    end
    if next(ready) then lu.assertTrue(ready[chosen]) else lu.assertNil(chosen) end
    local kept = {}
    local around = chosen and inside[chosen]
    while around do
      kept[around[1]] = true
      around = around[2]
    end
    for id, nack in ipairs(log) do lu.assertEquals(nack:is_set(), not kept[id]) end
  end
end

function TestMixed:test_memory_stays_flat()
  local ch = rt.channel()
  local event = rt.choose(rt.with_nack(function() return ch end):wrap(function(v) return v end), 3600)
  local task = rt.spawn(function()
    while rt.sync(event) ~= "stop" do end
  end)
  local function round(n) for _ = 1, n do ch:send("go") end end
  round(harness.rounds(500))
  collectgarbage()
  collectgarbage()
  local before = collectgarbage("count")
  round(harness.rounds(3000))
  collectgarbage()
  collectgarbage()
  lu.assertTrue(collectgarbage("count") - before < 20)
  ch:send("stop")
  task:join()
end

harness.run()
