/* A C host: a metronome on its own loop, whose beats a script waits for. */
#include <asyncrt.h>
#include <lauxlib.h>

#include <stdio.h>
#include <stdlib.h>

static struct {
  uv_timer_t timer;
  lua_Integer beats;
  asyncrt_queue waiting;
} metronome;

/* The op of beat.wait: op->u.integer is the beat to wait for. */
static int wait_attempt(asyncrt_op *op, lua_State *L) {
  if (metronome.beats < op->u.integer) return ASYNCRT_NOT_READY;
  lua_pushinteger(L, metronome.beats);
  return ASYNCRT_DONE(1);
}

static void wait_arm(asyncrt_op *op) {
  asyncrt_queue_push(&metronome.waiting, op);
}

static void wait_disarm(asyncrt_op *op) {
  asyncrt_queue_remove(&metronome.waiting, op);
}

static int wait_finish(asyncrt_op *op, lua_State *L) {
  lua_pushinteger(L, op->u.integer);
  return 1;
}

static void wait_describe(const asyncrt_op *op, char *text, size_t size) {
  snprintf(text, size, "beat %lld", (long long) op->u.integer);
}

static const asyncrt_op_type wait_op = {
    "beat",      wait_attempt,  wait_arm,           wait_disarm,
    wait_finish, wait_describe, ASYNCRT_OP_EXTERNAL};

static void on_beat(uv_timer_t *timer) {
  asyncrt_op *op;

  (void) timer;
  metronome.beats++;
  op = metronome.waiting.first;
  while (op != NULL) {
    if (op->u.integer <= metronome.beats) {
      asyncrt_op_complete(op); /* would also disarm its rivals in this queue */
      op = metronome.waiting.first;
    } else {
      op = op->next;
    }
  }
}

/* beat.wait(n) -> integer: waits for the n-th beat. */
static int beat_wait(lua_State *L) {
  lua_Integer n = luaL_checkinteger(L, 1);
  asyncrt_op *op = asyncrt_prepare(L, &wait_op, &metronome);

  op->u.integer = n;
  return asyncrt_perform(L, op);
}

static int open_beat(lua_State *L) {
  static const luaL_Reg functions[] = {{"wait", beat_wait}, {NULL, NULL}};

  luaL_newlib(L, functions);
  return 1;
}

int main(int argc, char **argv) {
  uv_loop_t loop;
  asyncrt *rt;
  int status;

  if (argc < 2) return ASYNCRT_EXIT_MISUSE;
  if (uv_loop_init(&loop) < 0) return EXIT_FAILURE;
  uv_timer_init(&loop, &metronome.timer);
  uv_timer_start(&metronome.timer, on_beat, 10, 10);
  rt = asyncrt_new(&loop, NULL);
  if (rt == NULL || asyncrt_open_libs(rt) < 0) return EXIT_FAILURE;
  asyncrt_preload(rt, "beat", open_beat);

  status = asyncrt_run_file(rt, argv[1], argc - 2, argv + 2);

  asyncrt_free(rt);
  uv_close((uv_handle_t *) &metronome.timer, NULL);
  uv_run(&loop, UV_RUN_DEFAULT);
  return uv_loop_close(&loop) == 0 ? status : EXIT_FAILURE;
}
