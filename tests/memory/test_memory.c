/* Every allocation of Lua fails once: run after run of a script, allocation k
 * and the one after it (for Lua collects and tries again), or k and all that
 * follow. The run ends, everything is freed, and the loop can be closed. */
#include "asyncrt.h"
#include "check.h"

#include <lauxlib.h>
#include <string.h>

typedef enum mode { NEVER, TWICE, FOR_EVER } mode;

typedef struct failing {
  lua_Alloc allocate; /* the runtime's own */
  void *context;
  mode mode;
  long calls; /* that may fail */
  long first; /* the one that does */
  long failed;
} failing;

static void *allocate(void *context, void *block, size_t old, size_t size) {
  failing *f = context;

  /* Lua counts on it that less memory can always be had. */
  if (f->mode != NEVER && size > 0 && (block == NULL || size > old)) {
    f->calls++;
    if (f->calls == f->first || (f->mode == FOR_EVER && f->calls > f->first) ||
        (f->mode == TWICE && f->calls == f->first + 1)) {
      f->failed++;
      return NULL;
    }
  }
  return f->allocate(f->context, block, old, size);
}

static const char *path;

/* One run in which allocation `first` fails; returns whether it got there. */
static bool run(mode how, long first, int *status) {
  asyncrt_options options = {.virtual_time = true, .seed = 1};
  uv_loop_t loop;
  failing f = {.mode = NEVER, .first = first};
  asyncrt *rt;
  lua_State *L;

  CHECK(uv_loop_init(&loop) == 0);
  rt = asyncrt_new(&loop, &options);
  CHECK(rt != NULL && asyncrt_open_libs(rt) == 0);
  L = asyncrt_state(rt);
  f.allocate = lua_getallocf(L, &f.context);
  lua_setallocf(L, allocate, &f);
  CHECK(luaL_loadfile(L, path) == LUA_OK);
  /* The modules are loaded by a run in which nothing fails. */
  lua_pushvalue(L, -1);
  lua_pushboolean(L, false);
  CHECK(asyncrt_run(rt, 1) == ASYNCRT_EXIT_OK);
  f.mode = how;
  lua_pushboolean(L, true);
  *status = asyncrt_run(rt, 1);
  f.mode = NEVER;
  CHECK(lua_gettop(L) == 0);
  lua_gc(L, LUA_GCCOLLECT);
  lua_gc(L, LUA_GCCOLLECT);
  /* And the runtime can be used again. */
  CHECK(luaL_loadstring(L, "local rt = require('asyncrt')\n"
                           "local t = rt.spawn(function() rt.sleep(1)\n"
                           "  return 5 end)\n"
                           "assert(t:await() == 5 and #rt.tasks() == 1)") ==
        LUA_OK);
  CHECK(asyncrt_run(rt, 0) == ASYNCRT_EXIT_OK);
  asyncrt_free(rt);
  CHECK(uv_loop_close(&loop) == 0);
  return f.failed > 0;
}

/* test_memory SCRIPT [FIRST]: from the failure of allocation FIRST on. */
int main(int argc, char **argv) {
  static const char *const names[] = {"", "two fail", "all fail"};
  long from = argc > 2 ? atol(argv[2]) : 1;
  int how;

  CHECK(argc > 1);
  path = argv[1];
  /* What the failures make the runtime say is of no interest. */
  if (argc == 2) CHECK(freopen("/dev/null", "w", stderr) != NULL);
  for (how = TWICE; how <= FOR_EVER; how++) {
    long first, failed = 0;
    int status = -1;

    for (first = from; run((mode) how, first, &status); first++) {
      if (first % 50 == 0) {
        printf("%s, from allocation %ld\n", names[how], first);
        fflush(stdout);
      }
      failed += status != ASYNCRT_EXIT_OK;
      CHECK(status == ASYNCRT_EXIT_OK || status == ASYNCRT_EXIT_ERROR ||
            status == ASYNCRT_EXIT_DEADLOCK);
    }
    CHECK(status == ASYNCRT_EXIT_OK);
    CHECK(failed > 0);
    printf("%s: %ld runs, %ld ended by it\n", names[how], first - from, failed);
  }
  return EXIT_SUCCESS;
}
