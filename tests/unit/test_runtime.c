/* The runtime alone: a run on the caller's loop, its status, and its end. */
#include "asyncrt.h"
#include "check.h"
#include "waiting.h"

#include <lauxlib.h>
#include <string.h>

static uv_loop_t loop;

static asyncrt *open_runtime(void) {
  asyncrt_options options = {.virtual_time = true};
  asyncrt *rt;

  CHECK(uv_loop_init(&loop) == 0);
  rt = asyncrt_new(&loop, &options);
  CHECK(rt != NULL);
  CHECK(asyncrt_loop(rt) == &loop);
  CHECK(asyncrt_of(asyncrt_state(rt)) == rt);
  return rt;
}

/* Nothing of the runtime is left on the loop. */
static void close_runtime(asyncrt *rt) {
  asyncrt_free(rt);
  CHECK(uv_loop_close(&loop) == 0);
}

static int run_text(const char *text) {
  asyncrt *rt = open_runtime();
  int status;

  CHECK(luaL_loadstring(asyncrt_state(rt), text) == LUA_OK);
  status = asyncrt_run(rt, 0);
  CHECK(lua_gettop(asyncrt_state(rt)) == 0);
  close_runtime(rt);
  return status;
}

static void test_status(void) {
  CHECK(run_text("return 7") == ASYNCRT_EXIT_OK);
  CHECK(run_text("error('expected')") == ASYNCRT_EXIT_ERROR);
}

static void test_arguments(void) {
  asyncrt *rt = open_runtime();
  lua_State *L = asyncrt_state(rt);

  CHECK(luaL_loadstring(L, "a, b, n = ..., select(2, ...), select('#', ...)") ==
        LUA_OK);
  lua_pushliteral(L, "first");
  lua_pushinteger(L, 2);
  CHECK(asyncrt_run(rt, 2) == ASYNCRT_EXIT_OK);
  lua_getglobal(L, "a");
  CHECK(strcmp(lua_tostring(L, -1), "first") == 0);
  lua_getglobal(L, "b");
  CHECK(lua_tointeger(L, -1) == 2);
  lua_getglobal(L, "n");
  CHECK(lua_tointeger(L, -1) == 2);
  lua_pop(L, 3);
  close_runtime(rt);
}

static void test_runs_follow_each_other(void) {
  asyncrt *rt = open_runtime();
  lua_State *L = asyncrt_state(rt);

  CHECK(luaL_loadstring(L, "error('expected')") == LUA_OK);
  CHECK(asyncrt_run(rt, 0) == ASYNCRT_EXIT_ERROR);
  CHECK(luaL_loadstring(L, "x = 1") == LUA_OK);
  CHECK(asyncrt_run(rt, 0) == ASYNCRT_EXIT_OK);
  close_runtime(rt);
}

/* A handle that closes in a callback of the loop. */
typedef struct late_handle {
  asyncrt_handle handle;
  uv_timer_t timer;
  asyncrt *rt;
} late_handle;

static void on_late_closed(uv_handle_t *timer) {
  late_handle *late = timer->data;

  asyncrt_handle_closed(late->rt, &late->handle);
}

static void close_late(asyncrt_handle *handle) {
  late_handle *late = (late_handle *) handle;

  uv_close((uv_handle_t *) &late->timer, on_late_closed);
  asyncrt_loop_changed(late->rt);
}

/* What the host has opened outside a run is closed with the runtime. */
static void test_handles_of_the_host(void) {
  asyncrt *rt = open_runtime();
  late_handle late;

  late.rt = rt;
  uv_timer_init(&loop, &late.timer);
  late.timer.data = &late;
  asyncrt_handle_opened(rt, &late.handle, "timer", close_late);
  close_runtime(rt);
}

/* An op that a timer of the host completes. */
static int completed;

static int wait_finish(asyncrt_op *op, lua_State *L) {
  completed++;
  lua_pushinteger(L, op->slot);
  return 1;
}

static void wait_describe(const asyncrt_op *op, char *text, size_t size) {
  snprintf(text, size, "host %d", op->slot);
}

static const asyncrt_op_type wait_op = {
    "host",      wait_attempt,  wait_arm,           wait_disarm,
    wait_finish, wait_describe, ASYNCRT_OP_EXTERNAL};

static int host_wait(lua_State *L) {
  asyncrt_op *op = asyncrt_prepare(L, &wait_op, &waiting);

  op->slot = 41;
  return asyncrt_perform(L, op);
}

static void on_timer(uv_timer_t *timer) {
  (void) timer;
  while (waiting.first != NULL) asyncrt_op_complete(waiting.first);
}

static void test_op(void) {
  asyncrt *rt = open_runtime();
  lua_State *L = asyncrt_state(rt);
  uv_timer_t timer;

  uv_timer_init(&loop, &timer);
  uv_timer_start(&timer, on_timer, 1, 1);
  lua_register(L, "wait", host_wait);
  CHECK(luaL_loadstring(L, "assert(wait() == 41 and wait() == 41)") == LUA_OK);
  CHECK(asyncrt_run(rt, 0) == ASYNCRT_EXIT_OK);
  CHECK(completed == 2);
  CHECK(waiting.first == NULL);
  uv_close((uv_handle_t *) &timer, NULL);
  uv_run(&loop, UV_RUN_DEFAULT);
  close_runtime(rt);
}

/* asyncrt_cancel from a callback unwinds the main task, closers and all. */
static void on_cancel(uv_timer_t *timer) {
  asyncrt_cancel(timer->data, "test", 7);
}

static void test_cancel(void) {
  asyncrt *rt = open_runtime();
  lua_State *L = asyncrt_state(rt);
  uv_timer_t timer;

  uv_timer_init(&loop, &timer);
  timer.data = rt;
  uv_timer_start(&timer, on_cancel, 1, 0);
  lua_register(L, "wait", host_wait);
  CHECK(luaL_loadstring(
            L, "local closer = setmetatable({}, {\n"
               "  __close = function() closed = (closed or 0) + 1 end })\n"
               "local _ <close> = closer\n"
               "wait()\n"
               "closed = 9") == LUA_OK);
  CHECK(asyncrt_run(rt, 0) == 7);
  lua_getglobal(L, "closed");
  CHECK(lua_tointeger(L, -1) == 1);
  lua_pop(L, 1);
  CHECK(waiting.first == NULL);
  uv_close((uv_handle_t *) &timer, NULL);
  uv_run(&loop, UV_RUN_DEFAULT);
  close_runtime(rt);
}

int main(void) {
  test_status();
  test_arguments();
  test_runs_follow_each_other();
  test_handles_of_the_host();
  test_op();
  test_cancel();
  return EXIT_SUCCESS;
}
