--- The command `asyncrt test`: runs the tests of files with luaunit.
---
--- Each test runs with its setUp and tearDown in a task and a group of its own.
--- One that leaves something behind fails: a task, a handle, an open group or
--- deadline.
local core = require("asyncrt.core.test")
local rt = require("asyncrt")

local PASSED, FAILED, MISUSE = 0, 1, 2

local TURNS = 1000 -- that what is about to end gets
local CLOSING = 0.2 -- seconds that handles get to close

local USAGE = [[
usage: asyncrt [options] test [options] PATH...

Runs the tests of files, and of all test_*.lua in folders, with luaunit.

  --filter=PATTERN  only tests whose name matches; !PATTERN: only others
  --output=FORMAT   text, tap or junit
  --name=FILE       where junit writes its XML
  --help            print this

Options of a run, such as --virtual-time and --seed=N, may stand here too.
]]

local function misuse(format, ...)
  io.stderr:write("asyncrt: ", format:format(...), "\n", USAGE)
  return MISUSE
end

local lu -- luaunit, once it was found

--- Calls a function when the block ends, whichever way.
local function on_close(f)
  return setmetatable({}, { __close = f })
end

--- The keys of a table that are strings, in order.
local function sorted_names(table_)
  local names = {}
  for name in pairs(table_) do
    if type(name) == "string" then names[#names + 1] = name end
  end
  table.sort(names)
  return names
end

--- # Arguments

local OUTPUTS = { junit = true, tap = true, text = true }

---@class asyncrt.test.Options
---@field output string
---@field name string?
---@field filters string[]
---@field paths string[]
---@field help boolean?

---@return asyncrt.test.Options?, string? problem
local function parse(...)
  local arguments, i = { ... }, 1
  local options = { output = "text", filters = {}, paths = {} }

  local function value(inline)
    if inline then return inline end
    i = i + 1
    return arguments[i]
  end

  while i <= #arguments do
    local argument = arguments[i]
    local name, inline = argument:match("^%-%-(%a[%w-]*)=?(.*)$")
    if name and not argument:find("=", 1, true) then inline = nil end
    if argument == "--" then
      table.move(arguments, i + 1, #arguments, #options.paths + 1,
        options.paths)
      break
    elseif argument:sub(1, 1) ~= "-" then
      options.paths[#options.paths + 1] = argument
    elseif name == "help" then
      options.help = true
    elseif name == "filter" then
      options.filters[#options.filters + 1] = value(inline) or false
    elseif name == "output" or name == "name" then
      options[name] = value(inline) or false
    else
      return nil, ("unknown option '%s'"):format(argument)
    end
    i = i + 1
  end
  return options
end

---@return string? problem
local function check(options)
  for _, filter in ipairs(options.filters) do
    if not filter then return "'--filter' needs a pattern" end
    if not pcall(string.find, "", (filter:gsub("^!", ""))) then
      return ("'%s' is no pattern"):format(filter)
    end
  end
  if not OUTPUTS[options.output] then
    return "'--output' needs text, tap or junit"
  elseif options.name == false then
    return "'--name' needs a file"
  elseif options.output == "junit" and not options.name then
    return "'--output=junit' needs '--name=FILE'"
  elseif #options.paths == 0 then
    return "no path was given"
  end
  if options.output == "junit" then
    local path = options.name:gsub("%.xml$", "") .. ".xml"
    local file, message = io.open(path, "w")
    if not file then return "cannot write " .. message end
    file:close()
  end
end

--- # Files

local function add_folder(files, folder)
  local entries = assert(core.entries(folder))
  for _, name in ipairs(sorted_names(entries)) do
    local path = folder:gsub("/*$", "/") .. name
    if entries[name] then
      if name:sub(1, 1) ~= "." then add_folder(files, path) end
    elseif name:find("^test_.*%.lua$") then
      files[#files + 1] = path
    end
  end
end

--- The files that the paths name; a folder names the test_*.lua in it.
---@return string[]? files, string? problem
local function find_files(paths)
  local files = {}
  for _, path in ipairs(paths) do
    local before = #files
    if core.entries(path) then
      add_folder(files, path)
      if #files == before then
        return nil, ("no test_*.lua in '%s'"):format(path)
      end
    else
      local file, message = io.open(path)
      if not file then return nil, "cannot open " .. message end
      file:close()
      files[#files + 1] = path
    end
  end
  return files
end

--- # Loading

---@class asyncrt.test.Entry
---@field name string of a function or of a class
---@field value function|table

local search = { path = package.path, cpath = package.cpath }

--- Lets `require` find what lies beside the file, before all else.
local function search_beside(file)
  local folder = file:match("^.*/") or "./"
  if folder:find("[;?]") then return end
  package.path = ("%s?.lua;%s?/init.lua;%s"):format(folder, folder, search.path)
  package.cpath = ("%s?.so;%s"):format(folder, search.cpath)
end

--- Raised by os.exit in a file: `os.exit(lu.LuaUnit.run())` ends many.
local ENDED = setmetatable({}, { __tostring = function() return "os.exit" end })

--- The globals of a file: what it does not find there it finds in _G.
local function new_environment(file)
  local first = 0
  while arg[first - 1] do first = first - 1 end
  local environment = { arg = { [0] = file, [-1] = arg[first] } }
  return setmetatable(environment, { __index = _G })
end

--- Runs a file with globals of its own, which are returned. What would run its
--- tests does nothing.
local function load_file(file)
  local environment = new_environment(file)
  local run, exit = lu.LuaUnit.runSuite, os.exit
  local _ <close> = on_close(function()
    lu.LuaUnit.runSuite, os.exit = run, exit -- luacheck: ignore 122
  end)
  lu.LuaUnit.runSuite = function() return 0 end
  os.exit = function() error(ENDED) end -- luacheck: ignore 122
  search_beside(file)
  local chunk, message = loadfile(file, "t", environment)
  if not chunk then return nil, message end
  local ok, err = xpcall(chunk, function(err)
    if err == ENDED then return err end
    local trace = debug.traceback(tostring(err), 2)
    return (trace:gsub("\n%s*%[C%]: in function 'xpcall'.*$", ""))
  end)
  if not ok and err ~= ENDED then return nil, err end
  return environment
end

--- A file that cannot be loaded is a test that fails.
---@param entries asyncrt.test.Entry[]
local function add_file(entries, owners, file)
  local environment, message = load_file(file)
  if not environment then
    local function fail() error(message, 0) end
    entries[#entries + 1] = { file, fail }
    return
  end
  for _, name in ipairs(sorted_names(environment)) do
    local value = environment[name]
    local kind = type(value)
    if name:lower():find("^test") and (kind == "table" or kind == "function")
    then
      entries[#entries + 1] = { name, value }
      owners[value] = file
    end
  end
end

--- # What a test leaves behind

local function set_of(list)
  local set = {}
  for _, value in ipairs(list) do set[value] = true end
  return set
end

--- The tasks beside the running one that are not in `before`.
local function new_tasks(before)
  local tasks = {}
  for _, task in ipairs(rt.tasks()) do
    if not before[task] and task ~= rt.current() then
      tasks[#tasks + 1] = task
    end
  end
  return tasks
end

--- Lets tasks that are ready run, so that what is about to end does.
local function settle(before)
  for _ = 1, TURNS do
    local ready = false
    for _, task in ipairs(new_tasks(before)) do
      ready = ready or task:status() == "ready"
    end
    if not ready then return end
    rt.yield()
  end
end

local function describe_task(task)
  local facts = core.task(task)
  if facts.daemon then return nil end
  local waits = facts.waits and ", which waits for " .. facts.waits or ""
  return ("task %s, spawned at %s%s"):format(facts.name, facts.site, waits)
end

--- The standard streams stay open, whoever used them first.
local function describe_handle(handle)
  if handle.kind == "standard stream" then return nil end
  return ("%s, opened at %s"):format(handle.kind, handle.site)
end

local function describe_all(list, describe)
  local lines = {}
  for _, thing in ipairs(list) do lines[#lines + 1] = describe(thing) end
  return lines
end

--- The result of a test that left something behind.
local function left_behind(lines)
  return {
    status = lu.NodeStatus.FAIL,
    msg = "left behind: " .. table.concat(lines, "\nleft behind: "),
    trace = "",
  }
end

--- What a function opened by blocks and did not close, from `depth` scopes on.
local function open_scopes(depth)
  local scopes = core.scopes()
  return table.move(scopes, depth + 1, #scopes, 1, {})
end

local function open_handles()
  return describe_all(core.handles(), describe_handle)
end

--- Some handles need a turn of the loop to close, and some bytes to be sent.
local function wait_for_closing()
  local limit = rt.now() + CLOSING
  while #open_handles() > 0 and rt.now() < limit do rt.sleep(CLOSING / 100) end
end

--- # Running

local function fixture(runner, class, instance, ...)
  for _, name in ipairs({ ... }) do
    local method = instance and instance[name]
    if type(method) == "function" then
      local label = class .. "." .. name
      runner:updateStatus(runner:protectedCall(instance, method, label))
      return
    end
  end
end

--- setUp, the test and tearDown, which runs however the test ends.
local function run_methods(runner, class, name, instance, method)
  local node = runner.result.currentNode
  fixture(runner, class, instance, "setUp", "Setup", "setup", "SetUp")
  local _ <close> = on_close(function()
    rt.shield(math.huge, fixture, runner, class, instance,
      "tearDown", "TearDown", "teardown", "Teardown")
  end)
  if node:isSuccess() then
    runner:updateStatus(runner:protectedCall(instance, method, name))
  end
end

--- The main function of a test's task.
local function run_in_group(runner, class, name, instance, method)
  rt.group(function(group)
    local before, depth = set_of(rt.tasks()), #core.scopes()
    run_methods(runner, class, name, instance, method)
    settle(before)
    local lines = describe_all(open_scopes(depth), describe_handle)
    local tasks = describe_all(new_tasks(before), describe_task)
    table.move(tasks, 1, #tasks, #lines + 1, lines)
    if #lines > 0 then runner:updateStatus(left_behind(lines)) end
    group:cancel()
  end)
end

--- The result of a test whose task failed: by an error in one of its tasks, as
--- its own errors are caught by luaunit.
local function failure_of(task, err, deadlock)
  local status = lu.NodeStatus.ERROR
  if deadlock then
    return { status = status, msg = "deadlock: every task was blocked",
      trace = "" }
  elseif task:status() == "cancelled" then
    return { status = status, msg = "the test was cancelled", trace = "" }
  end
  local message
  local failure = core.failure(task)
  message, status = lu.adjust_err_msg_with_iter(err, nil)
  if status == lu.NodeStatus.FAIL or status == lu.NodeStatus.ERROR then
    message = ("%s failed: %s"):format(failure.origin or "a task", message)
  end
  return { status = status, msg = message, trace = failure.text or "" }
end

local function run_alone(runner, class, name, instance, method)
  core.mark()
  rt.group({ on_error = "collect" }, function(group)
    local task = group:spawn_with({ name = name }, run_in_group, runner, class,
      name, instance, method)
    core.guard(task)
    local ok, err = task:join()
    local deadlock = core.unguard()
    if not ok then runner:updateStatus(failure_of(task, err, deadlock)) end
  end)
  wait_for_closing()
  local lines = open_handles()
  if #lines > 0 then runner:updateStatus(left_behind(lines)) end
end

--- As luaunit's own execOneFunction, but for where the test runs.
local function exec_one_function(runner, class, method_name, instance, method)
  local name = class and class .. "." .. method_name or method_name
  class = class or "[TestFunctions]"
  if runner.lastClassName ~= class then
    if runner.lastClassName then runner:endClass() end
    runner:startClass(class, instance)
    runner.lastClassName, runner.lastClassInstance = class, instance
  end
  local file = runner.owners[instance or method]
  if file then search_beside(file) end
  runner:startTest(name)
  run_alone(runner, class, name, instance, method)
  runner:endTest()
end

local function new_runner(options, owners)
  local runner = lu.LuaUnit.new()
  runner.owners = owners
  runner.execOneFunction = exec_one_function
  runner:setOutputType(options.output, options.name)
  if #options.filters > 0 then runner.patternIncludeFilter = options.filters end
  return runner
end

--- How to run the same again.
local function tell_seed()
  local run = core.options()
  if not run.virtual_time then return end
  io.stderr:write("asyncrt: to run this again: --virtual-time --seed=",
    run.seed, run.random_order and " --random-order" or "", "\n")
end

local function run_files(files, options)
  io.stdout:setvbuf("line")
  local entries, owners = {}, {}
  for _, file in ipairs(files) do add_file(entries, owners, file) end
  local runner = new_runner(options, owners)
  runner:registerSuite()
  runner:internalRunSuiteByInstances(entries)
  runner:unregisterSuite()
  if runner.result.runCount + #runner.result.skippedTests == 0 then
    return misuse("no test was run")
  end
  if runner.result.notSuccessCount == 0 then return PASSED end
  tell_seed()
  return FAILED
end

--- The exit status of `asyncrt test` with these arguments.
local function run(...)
  local options, problem = parse(...)
  if options and options.help then
    io.write(USAGE)
    return PASSED
  end
  problem = problem or check(options)
  if problem then return misuse("%s", problem) end
  local files
  files, problem = find_files(options.paths)
  if not files then return misuse("%s", problem) end
  local found
  found, lu = pcall(require, "luaunit")
  if not found then
    io.stderr:write("asyncrt: luaunit is missing: install the package ",
      "lua-unit (apt-get install lua-unit)\n")
    return FAILED
  end
  -- Tasks that a file starts while it is loaded end with the tests.
  local status
  rt.group(function(group)
    status = run_files(files, options)
    group:cancel()
  end)
  return status
end

--- The main function of the command.
return function(...)
  local status = FAILED -- should the run be cancelled
  local _ <close> = on_close(function() rt.exit(status) end)
  status = run(...)
end
