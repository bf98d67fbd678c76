/* Tasks that end in unusual ways. */
#include "task.h"

#include "check.h"
#include "group.h"
#include "runtime.h"
#include "waiting.h"

#include <lauxlib.h>

static uv_loop_t loop;

static int foreign_yield(lua_State *L) {
  return lua_yield(L, 0);
}

/* spawn(name, f) */
static int spawn(lua_State *L) {
  art_task *task = art_task_of(L);

  art_task_new(L, art_group_current(L, task), 2, 1, false);
  return 0;
}

/* An op that nothing completes. */
static void wait_describe(const asyncrt_op *op, char *text, size_t size) {
  (void) op;
  snprintf(text, size, "nothing");
}

static const asyncrt_op_type wait_op = {
    "wait", wait_attempt, wait_arm, wait_disarm, NULL, wait_describe, 0};

/* wait(): in a shield */
static int wait_shielded(lua_State *L) {
  art_task *task = art_task_of(L);

  art_timed_scope_open(L, task, ART_SCOPE_SHIELD, UINT64_MAX)->site = "here";
  return asyncrt_perform(L, asyncrt_prepare(L, &wait_op, &waiting));
}

/* leave(status): as rt.exit */
static int leave(lua_State *L) {
  asyncrt *rt = art_runtime_of(L);

  rt->requested_status = (int) lua_tointeger(L, 1);
  art_scope_cancel(&rt->main->base, "exit");
  return 0;
}

static asyncrt *open_runtime(void) {
  asyncrt *rt;
  lua_State *L;

  CHECK(uv_loop_init(&loop) == 0);
  rt = asyncrt_new(&loop, NULL);
  CHECK(rt != NULL);
  L = asyncrt_state(rt);
  lua_register(L, "foreign_yield", foreign_yield);
  lua_register(L, "leave", leave);
  lua_register(L, "spawn", spawn);
  lua_register(L, "wait", wait_shielded);
  return rt;
}

static int run_text(asyncrt *rt, const char *text) {
  CHECK(luaL_loadstring(asyncrt_state(rt), text) == LUA_OK);
  return asyncrt_run(rt, 0);
}

static void close_runtime(asyncrt *rt) {
  asyncrt_free(rt);
  CHECK(uv_loop_close(&loop) == 0);
}

/* The task has a name, which the report of its error tells, and a thread that
 * the script keeps: it outlives the task. */
static void test_foreign_yield(void) {
  asyncrt *rt = open_runtime();

  CHECK(run_text(rt, "spawn('named', function()\n"
                     "  kept = coroutine.running()\n"
                     "  foreign_yield()\n"
                     "end)") == ASYNCRT_EXIT_ERROR);
  CHECK(rt->threads == (uint32_t) rt->idle_count);
  CHECK(run_text(rt, "collectgarbage()\n"
                     "assert(coroutine.status(kept) == 'dead')\n"
                     "assert(not coroutine.resume(kept))") == ASYNCRT_EXIT_OK);
  close_runtime(rt);
}

/* A run knows nothing of how the one before it was left. */
static void test_status_is_of_one_run(void) {
  asyncrt *rt = open_runtime();

  CHECK(run_text(rt, "leave(9)") == 9);
  CHECK(run_text(rt, "return 1") == ASYNCRT_EXIT_OK);
  CHECK(run_text(rt, "error('expected')") == ASYNCRT_EXIT_ERROR);
  close_runtime(rt);
}

/* Where foreign code, or a lack of memory, ends main, its tasks are left: they
 * can still be found to wait for each other. */
static void test_deadlock_without_main(void) {
  asyncrt *rt = open_runtime();

  CHECK(run_text(rt, "spawn('left', wait)\n"
                     "foreign_yield()") == ASYNCRT_EXIT_DEADLOCK);
  CHECK(waiting.first == NULL);
  close_runtime(rt);
}

int main(void) {
  test_foreign_yield();
  test_status_is_of_one_run();
  test_deadlock_without_main();
  return EXIT_SUCCESS;
}
