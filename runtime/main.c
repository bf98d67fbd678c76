/* asyncrt: the command line. */
#include "asyncrt.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <lauxlib.h>
#include <limits.h>
#include <lualib.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

#define WATCH_MS 1000 /* a step that takes longer is reported */

static const char usage[] =
    "usage: asyncrt [options] [script [args]]\n"
    "       asyncrt [options] test [--help] PATH...\n"
    "\n"
    "Runs a Lua script, or tests; `-` reads it from standard input. There is\n"
    "no interactive prompt.\n"
    "\n"
    "  -e CHUNK         run the string CHUNK before the script\n"
    "  -l MODULE        require MODULE into a global before the script\n"
    "  --virtual-time   start the clock at 0 and let it jump to what is next\n"
    "  --seed=N         draw every random choice from N\n"
    "  --random-order   run ready tasks in an order drawn from the seed\n"
    "  --trace-hash     print a hash of all steps at the end, to compare runs\n"
    "  --watch-ms=N     report code that runs N ms without waiting; 0: never\n"
    "  --preempt-ms=N   interrupt code that runs N ms without waiting\n"
    "  --gc=MODE[,N]... collect garbage in the mode incremental (pause, step\n"
    "                   multiplier, step size) or generational (minor, major\n"
    "                   multiplier)\n"
    "  --version        print the versions of asyncrt, Lua and libuv\n"
    "  --help           print this\n"
    "  --               end the options\n";

/* The mode of --gc and the parameters of lua_gc; 0 leaves one as it is. */
typedef struct gc_mode {
  int mode; /* LUA_GCINC, LUA_GCGEN; 0: as Lua has it */
  int parameters[3];
} gc_mode;

/* What the command line says. */
typedef struct command {
  char **argv;
  int argc;
  int script; /* index of the script in argv; argc: there is none */
  int steps;  /* options -e and -l */
  bool version, help;
  bool test;    /* the script is the runner of tests */
  bool hurried; /* something that was given up still runs on a thread */
  gc_mode gc;
  asyncrt_options options;
} command;

/* --- Options --- */

static int misuse(const char *format, ...) {
  va_list arguments;

  fputs("asyncrt: ", stderr);
  va_start(arguments, format);
  vfprintf(stderr, format, arguments);
  va_end(arguments);
  fprintf(stderr, "\n%s", usage);
  return ASYNCRT_EXIT_MISUSE;
}

/* Parses `option`, which is `name` and a number. Returns an exit status, or -1
 * where it is another option. */
static int parse_number(const char *option, const char *name, uint64_t limit,
                        uint64_t *number) {
  const char *text = option + strlen(name);
  char *end;

  if (strncmp(option, name, strlen(name)) != 0) return -1;
  errno = 0;
  *number = strtoull(text, &end, 10);
  if (!isdigit((unsigned char) *text) || *end != '\0')
    return misuse("'%s' needs a number", option);
  if (errno == ERANGE || *number > limit)
    return misuse("'%s' needs a smaller number", option);
  return ASYNCRT_EXIT_OK;
}

/* False where it is another option. */
static bool parse_flag(command *cmd, const char *option) {
  const struct {
    const char *name;
    bool *flag;
  } flags[] = {
      {"--version", &cmd->version},
      {"--help", &cmd->help},
      {"--virtual-time", &cmd->options.virtual_time},
      {"--random-order", &cmd->options.random_order},
      {"--trace-hash", &cmd->options.trace_hash},
  };

  for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
    if (strcmp(option, flags[i].name) != 0) continue;
    *flags[i].flag = true;
    return true;
  }
  return false;
}

/* The parameters `,N,N` of --gc, each up to its limit. */
static int parse_gc_parameters(const char *option, const char *text,
                               const unsigned *limits, int count,
                               int *parameters) {
  for (int i = 0; *text != '\0'; i++) {
    char *end;
    unsigned long number;

    if (i == count) return misuse("'%s' has too many numbers", option);
    if (*text != ',' || !isdigit((unsigned char) *++text))
      return misuse("'%s' needs numbers after its mode", option);
    number = strtoul(text, &end, 10);
    if (number > limits[i])
      return misuse("'%s' needs a smaller number", option);
    parameters[i] = (int) number;
    text = end;
  }
  return ASYNCRT_EXIT_OK;
}

/* As parse_number, for --gc. */
static int parse_gc(const char *option, gc_mode *gc) {
  static const unsigned incremental[] = {1000, 1000, 40};
  static const unsigned generational[] = {100, 1000};
  const char *mode = option + strlen("--gc=");
  size_t length;

  if (strncmp(option, "--gc=", strlen("--gc=")) != 0) return -1;
  length = strcspn(mode, ",");
  memset(gc, 0, sizeof(*gc));
  if (length == strlen("incremental") &&
      strncmp(mode, "incremental", length) == 0) {
    gc->mode = LUA_GCINC;
    return parse_gc_parameters(option, mode + length, incremental, 3,
                               gc->parameters);
  }
  if (length == strlen("generational") &&
      strncmp(mode, "generational", length) == 0) {
    gc->mode = LUA_GCGEN;
    return parse_gc_parameters(option, mode + length, generational, 2,
                               gc->parameters);
  }
  return misuse("'%s' needs 'incremental' or 'generational'", option);
}

/* Returns an exit status, or -1 where it is no option of a run. */
static int parse_run_option(command *cmd, const char *option) {
  uint64_t number = 0;
  int status;

  if (parse_flag(cmd, option)) return ASYNCRT_EXIT_OK;
  if ((status = parse_gc(option, &cmd->gc)) >= 0) return status;
  if ((status = parse_number(option, "--seed=", UINT64_MAX, &number)) >= 0)
    cmd->options.seed = number;
  else if ((status = parse_number(option, "--watch-ms=", UINT_MAX, &number)) >=
           0)
    cmd->options.watch_ms = (unsigned) number;
  else if ((status =
                parse_number(option, "--preempt-ms=", UINT_MAX, &number)) >= 0)
    cmd->options.preempt_ms = (unsigned) number;
  return status;
}

static int parse_long_option(command *cmd, const char *option) {
  int status = parse_run_option(cmd, option);

  return status >= 0 ? status : misuse("unknown option '%s'", option);
}

/* True for -e and -l, whose argument may stand in the same word. */
static bool is_step(const char *option) {
  return option[1] == 'e' || option[1] == 'l';
}

/* What the system's clock decides is not to be repeated. */
static int check_options(const asyncrt_options *options) {
  if (options->trace_hash && !options->virtual_time)
    return misuse("'--trace-hash' needs '--virtual-time'");
  if (options->preempt_ms > 0 && options->virtual_time)
    return misuse("'--preempt-ms' does not go with '--virtual-time'");
  return ASYNCRT_EXIT_OK;
}

/* Takes the options of the run out of the arguments of `test`, which parses the
 * rest itself. */
static int parse_test(command *cmd) {
  int kept = cmd->script + 1, i = kept;

  cmd->test = true;
  for (; i < cmd->argc; i++) {
    char *option = cmd->argv[i];
    int status = -1;

    if (strcmp(option, "--") == 0) break;
    if (strcmp(option, "--help") != 0 && strncmp(option, "--", 2) == 0)
      status = parse_run_option(cmd, option);
    if (status > 0) return status;
    if (status < 0) cmd->argv[kept++] = option;
  }
  while (i < cmd->argc) cmd->argv[kept++] = cmd->argv[i++];
  cmd->argv[kept] = NULL;
  cmd->argc = kept;
  return ASYNCRT_EXIT_OK;
}

static int parse_options(command *cmd) {
  int i = 1;

  for (; i < cmd->argc && cmd->argv[i][0] == '-'; i++) {
    const char *option = cmd->argv[i];

    if (strcmp(option, "-") == 0) break;
    if (strcmp(option, "--") == 0) {
      i++;
      break;
    }
    if (option[1] == '-') {
      int status = parse_long_option(cmd, option);
      if (status != ASYNCRT_EXIT_OK) return status;
    } else if (is_step(option)) {
      cmd->steps++;
      if (option[2] == '\0' && ++i == cmd->argc)
        return misuse("'%s' needs an argument", option);
    } else {
      return misuse("unknown option '%s'", option);
    }
  }
  cmd->script = i;
  if (i < cmd->argc && strcmp(cmd->argv[i], "test") == 0) {
    int status = parse_test(cmd);
    if (status != ASYNCRT_EXIT_OK) return status;
  }
  return check_options(&cmd->options);
}

/* --- The script's environment --- */

/* arg, as in lua: arg[0] is the script. */
static void set_arg(lua_State *L, const command *cmd) {
  int script = cmd->script < cmd->argc ? cmd->script : 0;

  lua_createtable(L, cmd->argc - script - 1, script + 1);
  for (int i = 0; i < cmd->argc; i++) {
    lua_pushstring(L, cmd->argv[i]);
    lua_rawseti(L, -2, i - script);
  }
  lua_setglobal(L, "arg");
}

/* Pushes the script's folder; nil where it has none, or one that a search path
 * cannot express. */
static void push_folder(lua_State *L, const command *cmd) {
  const char *script = cmd->argv[cmd->script];
  const char *slash;

  if (script == NULL || cmd->test || strcmp(script, "-") == 0 ||
      strpbrk(script, ";?") != NULL) {
    lua_pushnil(L);
    return;
  }
  slash = strrchr(script, '/');
  if (slash == NULL) {
    lua_pushliteral(L, "./");
  } else {
    lua_pushlstring(L, script, (size_t) (slash - script) + 1);
  }
}

/* Sets the search path `field` of the table on the top of the stack: the
 * `names` in `folder`, then what it was but for those in the current
 * directory. */
static void set_path(lua_State *L, const char *field, const char *folder,
                     const char *const *names) {
  luaL_Buffer path;
  const char *rest;

  lua_getfield(L, -1, field);
  rest = luaL_checkstring(L, -1);
  luaL_buffinit(L, &path);
  for (int i = 0; folder != NULL && names[i] != NULL; i++) {
    luaL_addstring(&path, folder);
    luaL_addstring(&path, names[i]);
    luaL_addchar(&path, ';');
  }
  while (*rest != '\0') {
    size_t length = strcspn(rest, ";");
    bool local = false;
    for (int i = 0; names[i] != NULL; i++)
      local = local ||
              (strncmp(rest, "./", 2) == 0 && length == strlen(names[i]) + 2 &&
               strncmp(rest + 2, names[i], length - 2) == 0);
    if (!local && length > 0) {
      luaL_addlstring(&path, rest, length);
      luaL_addchar(&path, ';');
    }
    rest += length;
    rest += *rest == ';';
  }
  if (luaL_bufflen(&path) > 0) luaL_buffsub(&path, 1);
  luaL_pushresult(&path);
  lua_setfield(L, -3, field);
  lua_pop(L, 1);
}

static void set_paths(lua_State *L, const command *cmd) {
  static const char *const sources[] = {"?.lua", "?/init.lua", NULL};
  static const char *const libraries[] = {"?.so", NULL};
  const char *folder;

  push_folder(L, cmd);
  folder = lua_tostring(L, -1);
  lua_getglobal(L, LUA_LOADLIBNAME);
  set_path(L, "path", folder, sources);
  set_path(L, "cpath", folder, libraries);
  lua_pop(L, 2);
}

/* --- The main task --- */

/* Runs the steps in upvalue 1, functions and names of modules, then the script
 * if there is one, with the arguments. The first upvalue is a table, the second
 * the number of functions that get no argument. */
static int run_steps(lua_State *L, int status, lua_KContext step) {
  lua_Integer count = lua_tointeger(L, lua_upvalueindex(2));

  (void) status;
  while (step < count) {
    if (lua_rawgeti(L, lua_upvalueindex(1), ++step) == LUA_TFUNCTION) {
      lua_callk(L, 0, 0, step, run_steps);
    } else {
      lua_getglobal(L, "require");
      lua_pushvalue(L, -2);
      lua_call(L, 1, 1);
      lua_setglobal(L, lua_tostring(L, -2));
      lua_pop(L, 1);
    }
  }
  if (step == count &&
      lua_rawgeti(L, lua_upvalueindex(1), ++step) == LUA_TFUNCTION) {
    lua_insert(L, 1);
    lua_callk(L, lua_gettop(L) - 1, 0, step, run_steps);
  }
  return 0;
}

static int start_steps(lua_State *L) {
  return run_steps(L, LUA_OK, 0);
}

static void check_loaded(lua_State *L, int status) {
  if (status != LUA_OK) lua_error(L);
}

/* Pushes the table of what to run before the script. */
static void push_steps(lua_State *L, const command *cmd) {
  int step = 0;

  lua_createtable(L, cmd->steps + 1, 0);
  for (int i = 1; i < cmd->script && cmd->argv[i][0] == '-'; i++) {
    const char *option = cmd->argv[i];
    const char *text = option + 2;

    if (!is_step(option)) continue;
    if (*text == '\0') text = cmd->argv[++i];
    if (option[1] == 'l') {
      lua_pushstring(L, text);
    } else {
      check_loaded(
          L, luaL_loadbufferx(L, text, strlen(text), "=(command line)", "t"));
    }
    lua_rawseti(L, -2, ++step);
  }
}

/* Pushes the function of the script, or nil if there is none. */
static void push_script(lua_State *L, const command *cmd) {
  const char *script = cmd->argv[cmd->script];

  if (script == NULL) {
    lua_pushnil(L);
  } else if (cmd->test) {
    lua_getglobal(L, "require");
    lua_pushliteral(L, "asyncrt.test");
    lua_call(L, 1, 1);
  } else {
    if (strcmp(script, "-") == 0) script = NULL;
    check_loaded(L, luaL_loadfilex(L, script, "t"));
  }
}

/* prepare(command) -> function, arguments…: the main task of the command. */
static int prepare(lua_State *L) {
  const command *cmd = lua_touserdata(L, 1);

  set_arg(L, cmd);
  set_paths(L, cmd);
  push_steps(L, cmd);
  push_script(L, cmd);
  if (cmd->steps > 0) {
    lua_rawseti(L, -2, cmd->steps + 1);
    lua_pushinteger(L, cmd->steps);
    lua_pushcclosure(L, start_steps, 2);
  }
  luaL_checkstack(L, cmd->argc, "too many arguments");
  for (int i = cmd->script + 1; i < cmd->argc; i++)
    lua_pushstring(L, cmd->argv[i]);
  return 1 + (cmd->script < cmd->argc ? cmd->argc - cmd->script - 1 : 0);
}

/* --- Signals --- */

static uv_async_t interruption;
static volatile sig_atomic_t interrupted;

/* Ends the process as the signal would have done without a handler: so shells
 * and supervisors know why, which a status alone does not tell. Returns where
 * the system spares the process, as the first one of a container. */
static void end_by_signal(int signal_number) {
  sigset_t set;

  signal(signal_number, SIG_DFL);
  sigemptyset(&set);
  sigaddset(&set, signal_number);
  sigprocmask(SIG_UNBLOCK, &set, NULL);
  raise(signal_number);
}

/* The first signal is left to the loop, the second ends a run that does not
 * get there. */
static void handle_interrupt(int signal_number) {
  int saved = errno;

  if (interrupted) {
    end_by_signal(signal_number);
    _exit(128 + signal_number);
  }
  interrupted = signal_number;
  uv_async_send(&interruption);
  errno = saved;
}

static void on_interruption(uv_async_t *async) {
  asyncrt_cancel(async->data, "interrupted", 128 + interrupted);
}

static void handle_quit(int signal_number) {
  (void) signal_number;
  asyncrt_request_dump(interruption.data);
}

/* A write to a connection that was closed is an error like any other, while
 * output that nobody reads any more ends the process, as it does a filter. */
static void handle_broken_pipe(int signal_number) {
  struct pollfd output = {.fd = STDOUT_FILENO};
  int saved = errno;

  if (poll(&output, 1, 0) > 0 && (output.revents & POLLERR))
    end_by_signal(signal_number);
  errno = saved;
}

static void handle(int signal_number, void (*handler)(int)) {
  struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};

  sigemptyset(&action.sa_mask);
  sigaction(signal_number, &action, NULL);
}

/* What was ignored when the process began, in the background of a script or
 * under nohup, is to stay so. */
static sigset_t ignored;

static void find_ignored(void) {
  struct sigaction action;

  sigemptyset(&ignored);
  for (int i = 1; i < NSIG; i++)
    if (sigaction(i, NULL, &action) == 0 && action.sa_handler == SIG_IGN)
      sigaddset(&ignored, i);
}

static bool is_ignored(int signal_number) {
  return sigismember(&ignored, signal_number) == 1;
}

static void handle_unless_ignored(int signal_number, void (*handler)(int)) {
  handle(signal_number, is_ignored(signal_number) ? SIG_IGN : handler);
}

/* The handlers of a run; also called where a script has given one back. A
 * report of the tasks ends nothing, and a script that writes to nobody may have
 * no other end: these two are there in any case. */
static void set_handler(int signal_number) {
  switch (signal_number) {
    case SIGINT:
    case SIGTERM: handle_unless_ignored(signal_number, handle_interrupt); break;
    case SIGQUIT: handle(signal_number, handle_quit); break;
    case SIGPIPE: handle(signal_number, handle_broken_pipe); break;
    default:
      if (is_ignored(signal_number)) handle(signal_number, SIG_IGN);
      break;
  }
}

/* --- The run --- */

/* A descriptor that is closed would be taken by the first file opened. */
static void open_standard_streams(void) {
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
    if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) < 0)
      _exit(ASYNCRT_EXIT_ERROR);
}

/* A connection is a descriptor, and the soft limit is there for select(2),
 * which is not used. */
static void raise_descriptor_limit(void) {
  struct rlimit limit;

  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

/* A collection frees what the next messages will need again: malloc is not to
 * give it back to the kernel in between, page by page. */
static void keep_freed_memory(void) {
#ifdef __GLIBC__
  mallopt(M_TRIM_THRESHOLD, 64 << 20);
  mallopt(M_MMAP_THRESHOLD, 32 << 20);
  mallopt(M_TOP_PAD, 1 << 20);
#endif
}

/* The status of the run, unless its output is incomplete. */
static int flush_output(int status) {
  if (fflush(stdout) == 0 && !ferror(stdout)) return status;
  if (errno != EPIPE)
    fprintf(stderr, "asyncrt: cannot write to standard output: %s\n",
            strerror(errno));
  return status != ASYNCRT_EXIT_OK ? status : ASYNCRT_EXIT_ERROR;
}

static void set_gc(lua_State *L, const gc_mode *gc) {
  const int *numbers = gc->parameters;

  if (gc->mode == LUA_GCINC)
    lua_gc(L, LUA_GCINC, numbers[0], numbers[1], numbers[2]);
  else if (gc->mode == LUA_GCGEN)
    lua_gc(L, LUA_GCGEN, numbers[0], numbers[1]);
}

static int run(asyncrt *rt, command *cmd) {
  lua_State *L = asyncrt_state(rt);
  int status;

  set_gc(L, &cmd->gc);
  lua_pushcfunction(L, prepare);
  lua_pushlightuserdata(L, cmd);
  if (lua_pcall(L, 1, LUA_MULTRET, 0) != LUA_OK) {
    fprintf(stderr, "asyncrt: %s\n", lua_tostring(L, -1));
    return ASYNCRT_EXIT_ERROR;
  }
  interruption.data = rt;
  asyncrt_on_signal_released(rt, set_handler);
  set_handler(SIGINT);
  set_handler(SIGTERM);
  set_handler(SIGQUIT);
  status = asyncrt_run(rt, lua_gettop(L) - 1);
  handle_unless_ignored(SIGINT, SIG_DFL);
  handle_unless_ignored(SIGTERM, SIG_DFL);
  handle(SIGQUIT, SIG_DFL);
  if (cmd->options.trace_hash)
    fprintf(stderr, "trace hash: %016" PRIx64 "\n", asyncrt_trace_hash(rt));
  return status;
}

static int run_command(command *cmd) {
  uv_loop_t loop;
  asyncrt *rt;
  int status = ASYNCRT_EXIT_ERROR, error;

  if ((error = uv_loop_init(&loop)) < 0) goto fail;
  if ((error = uv_async_init(&loop, &interruption, on_interruption)) < 0)
    goto fail_loop;
  /* The runtime polls its loop for what is not referenced, when there is
   * something: a referenced handle would make it do so at every tick. */
  uv_unref((uv_handle_t *) &interruption);
  error = UV_ENOMEM;
  rt = asyncrt_new(&loop, &cmd->options);
  if (rt == NULL) goto fail_async;
  error = asyncrt_open_libs(rt);
  if (error == 0) status = run(rt, cmd);
  asyncrt_free(rt);

fail_async:
  uv_close((uv_handle_t *) &interruption, NULL);
  uv_run(&loop, UV_RUN_NOWAIT);
fail_loop:
  cmd->hurried = uv_loop_close(&loop) != 0 && uv_loop_alive(&loop);
fail:
  if (error < 0)
    fprintf(stderr, "asyncrt: cannot start: %s\n", uv_strerror(error));
  return status;
}

int main(int argc, char **argv) {
  command cmd = {.argv = argv, .argc = argc, .options.watch_ms = WATCH_MS};
  int status;

  open_standard_streams();
  raise_descriptor_limit();
  keep_freed_memory();
  find_ignored();
  set_handler(SIGPIPE);
  status = parse_options(&cmd);
  if (status != ASYNCRT_EXIT_OK) return status;
  if (cmd.help) {
    fputs(usage, stdout);
  } else if (cmd.version) {
    printf("asyncrt %s (%s, libuv %s)\n", ASYNCRT_VERSION, LUA_RELEASE,
           uv_version_string());
  } else if (cmd.script == argc && cmd.steps == 0) {
    fputs(usage, stderr);
    return ASYNCRT_EXIT_MISUSE;
  } else {
    status = run_command(&cmd);
  }
  status = flush_output(status);
  if (interrupted && status == 128 + interrupted) end_by_signal(interrupted);
  if (cmd.hurried) _exit(status); /* exit() waits for libuv's threads */
  return status;
}
