/* asyncrt.core.signal: signals of the operating system. */
#include "bindings.h"
#include "box.h"
#include "error.h"
#include "runtime.h"
#include "signal_names.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Outlives the Lua object until its handle is closed. The object's user value
 * is the signal's name, or its number: so telling it needs no memory. */
typedef struct art_signal {
  asyncrt_handle handle;
  uv_signal_t watcher;
  asyncrt *rt;             /* borrowed; outlives every handle */
  struct art_signal **box; /* shared with the Lua object; NULL: it is closed */
  asyncrt_queue waiters;   /* object = the box */
  int number;
  bool pending; /* it came, and nobody has taken it */
  bool closing;
} art_signal;

/* The subscriptions of a process, by signal: the host gets a signal back after
 * the last one. libuv keeps its own in the same way, one for all threads. */
static _Atomic unsigned subscriptions[_NSIG];

static void on_signal(uv_signal_t *watcher, int number) {
  art_signal *signal_ = art_container_of(watcher, art_signal, watcher);

  (void) number;
  if (signal_->closing) return;
  if (signal_->waiters.first != NULL)
    asyncrt_op_complete(signal_->waiters.first);
  else
    signal_->pending = true;
}

/* --- Opening and closing --- */

static void on_closed(uv_handle_t *handle) {
  art_signal *signal_ = handle->data;

  asyncrt_handle_closed(signal_->rt, &signal_->handle);
  free(signal_);
}

/* No signal may come between libuv's default action and the host's handler. */
static void stop(art_signal *signal_) {
  asyncrt *rt = signal_->rt;
  int number = signal_->number;
  sigset_t one, former;

  sigemptyset(&one);
  sigaddset(&one, number);
  pthread_sigmask(SIG_BLOCK, &one, &former);
  uv_close((uv_handle_t *) &signal_->watcher, on_closed);
  if (--subscriptions[number] == 0 && rt->restore_signal != NULL)
    rt->restore_signal(number);
  pthread_sigmask(SIG_SETMASK, &former, NULL);
  asyncrt_loop_changed(rt);
}

/* Calls no Lua. */
static void close_signal(art_signal *signal_) {
  if (signal_ == NULL || signal_->closing) return;
  signal_->closing = true;
  while (signal_->waiters.first != NULL)
    asyncrt_op_complete(signal_->waiters.first);
  art_box_empty(signal_->rt, signal_->box);
  signal_->box = NULL;
  stop(signal_);
}

static void close_handle(asyncrt_handle *handle) {
  close_signal(art_container_of(handle, art_signal, handle));
}

/* Returns a negative UV_E*. */
static int open_signal(asyncrt *rt, art_signal **box, int number) {
  art_signal *signal_ = calloc(1, sizeof(*signal_));
  int error;

  if (signal_ == NULL) return UV_ENOMEM;
  error = uv_signal_init(asyncrt_loop(rt), &signal_->watcher);
  if (error < 0) {
    free(signal_);
    return error;
  }
  signal_->rt = rt;
  signal_->number = number;
  signal_->watcher.data = signal_;
  asyncrt_handle_opened(rt, &signal_->handle, "signal", close_handle);
  asyncrt_loop_changed(rt);
  error = uv_signal_start(&signal_->watcher, on_signal, number);
  if (error < 0) {
    signal_->closing = true;
    uv_close((uv_handle_t *) &signal_->watcher, on_closed);
    return error;
  }
  uv_unref((uv_handle_t *) &signal_->watcher);
  subscriptions[number]++;
  signal_->box = box;
  art_box_share(box);
  *box = signal_;
  return 0;
}

/* --- wait: slot = the signal --- */

static art_signal *signal_of(const asyncrt_op *op) {
  return *(art_signal **) op->object;
}

static int push_name(lua_State *L, int index) {
  lua_getiuservalue(L, index, 1);
  return 1;
}

static int wait_attempt(asyncrt_op *op, lua_State *L) {
  art_signal *signal_ = signal_of(op);

  if (signal_ == NULL)
    return ASYNCRT_DONE(art_push_failure(L, "closed", "ECLOSED"));
  if (!signal_->pending) return ASYNCRT_NOT_READY;
  signal_->pending = false;
  return ASYNCRT_DONE(push_name(L, op->slot));
}

static void wait_arm(asyncrt_op *op) {
  asyncrt_queue_push(&signal_of(op)->waiters, op);
}

static void wait_disarm(asyncrt_op *op) {
  art_signal *signal_ = signal_of(op);

  /* Taken by the one that is woken, unless it is woken by the end. */
  op->status = !signal_->closing;
  asyncrt_queue_remove(&signal_->waiters, op);
}

static int wait_finish(asyncrt_op *op, lua_State *L) {
  if (!op->status) return art_push_failure(L, "closed", "ECLOSED");
  return push_name(L, op->slot);
}

static void wait_describe(const asyncrt_op *op, char *text, size_t size) {
  int number = signal_of(op)->number;
  const char *name = art_signal_name(number);

  snprintf(text, size, "signal %d%s%s", number, name != NULL ? " " : "",
           name != NULL ? name : "");
}

static const asyncrt_op_type wait_op = {
    "signal",
    wait_attempt,
    wait_arm,
    wait_disarm,
    wait_finish,
    wait_describe,
    ASYNCRT_OP_EXTERNAL | ASYNCRT_OP_UNPROMPTED,
};

/* --- Methods --- */

static art_signal **check_signal(lua_State *L) {
  return art_box_in(art_check_self(L, 1, "asyncrt.signal"));
}

static void prepare_wait(lua_State *L, int index, asyncrt_op *op) {
  op->type = &wait_op;
  op->object = art_box_at(L, index);
  op->slot = index;
}

static void prepare_wait_evt(lua_State *L, int index, asyncrt_op *op) {
  lua_getiuservalue(L, index, 1);
  prepare_wait(L, lua_gettop(L), op);
}

/* signal:wait() -> name | nil, "closed", "ECLOSED"
 *
 * Waits for the signal, unless it came since the last wait: several that came
 * in between are one. A cancellation point. */
static int signal_wait(lua_State *L) {
  asyncrt_op *op = asyncrt_prepare(L, &wait_op, check_signal(L));

  op->slot = 1;
  return asyncrt_perform(L, op);
}

/* signal:wait_evt() -> event: what wait does */
static int signal_wait_evt(lua_State *L) {
  check_signal(L);
  asyncrt_new_event(L, prepare_wait_evt, 0, 1);
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, -2, 1);
  return 1;
}

/* for name in signal:iter() do … end: until it is closed */
static int signal_iter(lua_State *L) {
  check_signal(L);
  lua_getfield(L, 1, "wait");
  lua_pushvalue(L, 1);
  return 2;
}

/* signal:close()
 *
 * Ends the subscription; who waits gets nil, "closed". After the last one of a
 * signal its default action is back. Never waits; idempotent. */
static int signal_close(lua_State *L) {
  close_signal(*check_signal(L));
  return 0;
}

static int signal_gc(lua_State *L) {
  close_signal(*check_signal(L));
  art_box_drop(L, 1);
  return 0;
}

static int signal_tostring(lua_State *L) {
  bool open = *check_signal(L) != NULL;

  push_name(L, 1);
  lua_pushfstring(L, "signal %s (%s)", lua_tostring(L, -1),
                  open ? "open" : "closed");
  return 1;
}

/* signal(name) -> signal | nil, message, code
 *
 * Subscribes to a signal: "TERM", "SIGTERM" or its number. While there is a
 * subscription, INT and TERM do not cancel the main task. Every subscription
 * sees every signal; signals that come before one is taken are one. It is
 * itself an event: to wait. Source: uv_signal_t. */
static int signal_new(lua_State *L) {
  int number = art_check_signal(L, 1), error;
  const char *name = art_signal_name(number);
  art_signal **box;

  if (number == SIGKILL || number == SIGSTOP)
    art_raise_argument(L, 1, "this signal cannot be caught");
  if (number == SIGSEGV || number == SIGBUS || number == SIGFPE ||
      number == SIGILL)
    art_raise_argument(L, 1, "this signal tells of a crash");
  if (number == asyncrt_of(L)->watch.signal_number)
    art_raise_argument(L, 1, "this signal is used by asyncrt itself");
  box = art_box_push(L, 1);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_setmetatable(L, -2);
  if (name != NULL)
    lua_pushstring(L, name);
  else
    lua_pushinteger(L, number);
  lua_setiuservalue(L, -2, 1);
  error = open_signal(asyncrt_of(L), box, number);
  if (error < 0) return asyncrt_push_error(L, "signal", NULL, error);
  return 1;
}

static const luaL_Reg methods[] = {
    {"close", signal_close},       {"iter", signal_iter}, {"wait", signal_wait},
    {"wait_evt", signal_wait_evt}, {NULL, NULL},
};

static const luaL_Reg metamethods[] = {
    {"__close", signal_close},
    {"__gc", signal_gc},
    {"__tostring", signal_tostring},
    {NULL, NULL},
};

int art_open_signal(lua_State *L) {
  lua_createtable(L, 0, 1);
  lua_newtable(L);
  lua_pushliteral(L, "asyncrt.signal");
  lua_setfield(L, -2, "__name");
  art_set_methods(L, methods);
  lua_pushvalue(L, -1);
  luaL_setfuncs(L, metamethods, 1);
  asyncrt_set_event(L, prepare_wait);
  lua_pushcclosure(L, signal_new, 1);
  lua_setfield(L, -2, "signal");
  return 1;
}
