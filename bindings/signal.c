/* asyncrt.core.signal: signals of the operating system. */
#include "bindings.h"
#include "error.h"
#include "runtime.h"
#include "signal_names.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct art_signal art_signal;

/* What libuv holds: outlives the object until its handle is closed. */
typedef struct art_subscription {
  asyncrt_handle handle;
  uv_signal_t watcher;
  asyncrt *rt;       /* borrowed; outlives every handle */
  art_signal *owner; /* borrowed; NULL once it is closed */
} art_subscription;

/* Its user value is its name, or its number: so telling it needs no memory. */
struct art_signal {
  art_subscription *subscription; /* owned; NULL once it is closed */
  asyncrt_queue waiters;
  int number;
  bool pending; /* it came, and nobody has taken it */
};

/* The subscriptions of a process, by signal: the host gets a signal back after
 * the last one. libuv keeps its own in the same way, one for all threads. */
static _Atomic unsigned subscriptions[_NSIG];

static void on_signal(uv_signal_t *watcher, int number) {
  art_subscription *subscription =
      art_container_of(watcher, art_subscription, watcher);
  art_signal *signal_ = subscription->owner;

  (void) number;
  if (signal_ == NULL) return;
  if (signal_->waiters.first != NULL)
    asyncrt_op_complete(signal_->waiters.first);
  else
    signal_->pending = true;
}

/* --- Opening and closing --- */

static void on_closed(uv_handle_t *handle) {
  art_subscription *subscription = handle->data;

  asyncrt_handle_closed(subscription->rt, &subscription->handle);
  free(subscription);
}

/* No signal may come between libuv's default action and the host's handler. */
static void stop(art_subscription *subscription, int number) {
  sigset_t one, former;

  sigemptyset(&one);
  sigaddset(&one, number);
  pthread_sigmask(SIG_BLOCK, &one, &former);
  uv_close((uv_handle_t *) &subscription->watcher, on_closed);
  if (--subscriptions[number] == 0 && subscription->rt->restore_signal != NULL)
    subscription->rt->restore_signal(number);
  pthread_sigmask(SIG_SETMASK, &former, NULL);
  asyncrt_loop_changed(subscription->rt);
}

/* Calls no Lua. */
static void close_signal(art_signal *signal_) {
  art_subscription *subscription = signal_->subscription;

  if (subscription == NULL) return;
  signal_->subscription = NULL;
  signal_->pending = false;
  subscription->owner = NULL;
  stop(subscription, signal_->number);
  while (signal_->waiters.first != NULL)
    asyncrt_op_complete(signal_->waiters.first);
}

static void close_handle(asyncrt_handle *handle) {
  art_subscription *subscription =
      art_container_of(handle, art_subscription, handle);

  if (subscription->owner != NULL) close_signal(subscription->owner);
}

/* Returns a negative UV_E*. */
static int open_signal(asyncrt *rt, art_signal *signal_) {
  art_subscription *subscription = calloc(1, sizeof(*subscription));
  int error;

  if (subscription == NULL) return UV_ENOMEM;
  error = uv_signal_init(asyncrt_loop(rt), &subscription->watcher);
  if (error < 0) {
    free(subscription);
    return error;
  }
  subscription->rt = rt;
  subscription->watcher.data = subscription;
  asyncrt_handle_opened(rt, &subscription->handle, "signal", close_handle);
  asyncrt_loop_changed(rt);
  error = uv_signal_start(&subscription->watcher, on_signal, signal_->number);
  if (error < 0) {
    uv_close((uv_handle_t *) &subscription->watcher, on_closed);
    return error;
  }
  uv_unref((uv_handle_t *) &subscription->watcher);
  subscriptions[signal_->number]++;
  subscription->owner = signal_;
  signal_->subscription = subscription;
  return 0;
}

/* --- wait: slot = the signal --- */

static int push_name(lua_State *L, int index) {
  lua_getiuservalue(L, index, 1);
  return 1;
}

static int wait_attempt(asyncrt_op *op, lua_State *L) {
  art_signal *signal_ = op->object;

  if (signal_->subscription == NULL)
    return ASYNCRT_DONE(art_push_failure(L, "closed", "ECLOSED"));
  if (!signal_->pending) return ASYNCRT_NOT_READY;
  signal_->pending = false;
  return ASYNCRT_DONE(push_name(L, op->slot));
}

static void wait_arm(asyncrt_op *op) {
  art_signal *signal_ = op->object;

  asyncrt_queue_push(&signal_->waiters, op);
}

static void wait_disarm(asyncrt_op *op) {
  art_signal *signal_ = op->object;

  /* Taken by the one that is woken, unless it is woken by the end. */
  op->status = signal_->subscription != NULL;
  asyncrt_queue_remove(&signal_->waiters, op);
}

static int wait_finish(asyncrt_op *op, lua_State *L) {
  if (!op->status) return art_push_failure(L, "closed", "ECLOSED");
  return push_name(L, op->slot);
}

static void wait_describe(const asyncrt_op *op, char *text, size_t size) {
  const art_signal *signal_ = op->object;
  const char *name = art_signal_name(signal_->number);

  snprintf(text, size, "signal %d%s%s", signal_->number,
           name != NULL ? " " : "", name != NULL ? name : "");
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

static art_signal *check_signal(lua_State *L) {
  return art_check_self(L, 1, "asyncrt.signal");
}

static void prepare_wait(lua_State *L, int index, asyncrt_op *op) {
  op->type = &wait_op;
  op->object = lua_touserdata(L, index);
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
  art_signal *signal_ = check_signal(L);
  asyncrt_op *op = asyncrt_prepare(L, &wait_op, signal_);

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
  close_signal(check_signal(L));
  return 0;
}

static int signal_tostring(lua_State *L) {
  const art_signal *signal_ = check_signal(L);

  push_name(L, 1);
  lua_pushfstring(L, "signal %s (%s)", lua_tostring(L, -1),
                  signal_->subscription != NULL ? "open" : "closed");
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
  art_signal *signal_;

  if (number == SIGKILL || number == SIGSTOP)
    art_raise_argument(L, 1, "this signal cannot be caught");
  if (number == SIGSEGV || number == SIGBUS || number == SIGFPE ||
      number == SIGILL)
    art_raise_argument(L, 1, "this signal tells of a crash");
  if (number == asyncrt_of(L)->watch.signal_number)
    art_raise_argument(L, 1, "this signal is used by asyncrt itself");
  signal_ = lua_newuserdatauv(L, sizeof(*signal_), 1);
  memset(signal_, 0, sizeof(*signal_));
  signal_->number = number;
  if (name != NULL)
    lua_pushstring(L, name);
  else
    lua_pushinteger(L, number);
  lua_setiuservalue(L, -2, 1);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_setmetatable(L, -2);
  error = open_signal(asyncrt_of(L), signal_);
  if (error < 0) return asyncrt_push_error(L, "signal", NULL, error);
  return 1;
}

static const luaL_Reg methods[] = {
    {"close", signal_close},       {"iter", signal_iter}, {"wait", signal_wait},
    {"wait_evt", signal_wait_evt}, {NULL, NULL},
};

static const luaL_Reg metamethods[] = {
    {"__close", signal_close},
    {"__gc", signal_close},
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
