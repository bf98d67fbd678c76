/* asyncrt.core.ticker: ticks at a fixed pace. */
#include "bindings.h"
#include "error.h"
#include "runtime.h"
#include "timer.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define LONGEST_PERIOD 1e9 /* seconds: some 30 years */

/* The ticks are at fixed times, whether somebody waits or not; a timer is armed
 * only while somebody does. */
typedef struct art_ticker {
  art_callback_timer timer;
  asyncrt *rt; /* borrowed; outlives every ticker */
  asyncrt_queue waiters;
  uint64_t period; /* ns */
  uint64_t next;   /* the first tick that nobody has taken */
} art_ticker;

/* Takes all ticks up to now; returns how many, 0 for none. */
static int64_t take(art_ticker *ticker) {
  uint64_t now = ticker->rt->tick_now, count;

  if (now < ticker->next) return 0;
  count = (now - ticker->next) / ticker->period + 1;
  ticker->next += count * ticker->period;
  return (int64_t) count;
}

static void arm_timer(art_ticker *ticker) {
  ticker->timer.timer.at = ticker->next;
  art_timer_arm(&ticker->rt->timers, &ticker->timer.timer);
}

static void tick(art_callback_timer *timer) {
  art_ticker *ticker = art_container_of(timer, art_ticker, timer);
  asyncrt_op *op = ticker->waiters.first;

  op->u.integer = take(ticker);
  asyncrt_op_complete(op);
  if (ticker->waiters.first != NULL) arm_timer(ticker);
}

/* --- wait: u.integer = the ticks taken --- */

static int wait_attempt(asyncrt_op *op, lua_State *L) {
  int64_t count = take(op->object);

  if (count == 0) return ASYNCRT_NOT_READY;
  lua_pushinteger(L, count);
  return ASYNCRT_DONE(1);
}

static void wait_arm(asyncrt_op *op) {
  art_ticker *ticker = op->object;

  if (ticker->waiters.first == NULL) arm_timer(ticker);
  asyncrt_queue_push(&ticker->waiters, op);
}

static void wait_disarm(asyncrt_op *op) {
  art_ticker *ticker = op->object;

  asyncrt_queue_remove(&ticker->waiters, op);
  if (ticker->waiters.first == NULL)
    art_timer_disarm(&ticker->rt->timers, &ticker->timer.timer);
}

static int wait_finish(asyncrt_op *op, lua_State *L) {
  lua_pushinteger(L, op->u.integer);
  return 1;
}

static void wait_describe(const asyncrt_op *op, char *text, size_t size) {
  const art_ticker *ticker = op->object;

  snprintf(text, size, "tick at %.3f",
           (double) ticker->next / ART_NS_PER_SECOND);
}

static const asyncrt_op_type wait_op = {
    "tick", wait_attempt, wait_arm, wait_disarm, wait_finish, wait_describe, 0,
};

/* --- Methods --- */

static art_ticker *check_ticker(lua_State *L) {
  return art_check_self(L, 1, "asyncrt.ticker");
}

static void prepare(asyncrt_op *op, art_ticker *ticker) {
  op->type = &wait_op;
  op->object = ticker;
}

static void prepare_wait(lua_State *L, int index, asyncrt_op *op) {
  prepare(op, lua_touserdata(L, index));
}

static void prepare_wait_evt(lua_State *L, int index, asyncrt_op *op) {
  lua_getiuservalue(L, index, 1);
  prepare(op, lua_touserdata(L, -1));
}

/* ticker:wait() -> integer
 *
 * Waits for a tick, unless there was one since the last wait; returns the
 * number of ticks that it stands for: more than 1 where the caller was late. A
 * tick wakes one task, in the order of the waits. A cancellation point. */
static int ticker_wait(lua_State *L) {
  art_ticker *ticker = check_ticker(L);
  asyncrt_op *op = asyncrt_prepare(L, &wait_op, ticker);

  prepare(op, ticker);
  return asyncrt_perform(L, op);
}

/* ticker:wait_evt() -> event: what wait does */
static int ticker_wait_evt(lua_State *L) {
  check_ticker(L);
  asyncrt_new_event(L, prepare_wait_evt, 0, 1);
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, -2, 1);
  return 1;
}

/* for count in ticker:iter() do … end: for ever */
static int ticker_iter(lua_State *L) {
  check_ticker(L);
  lua_getfield(L, 1, "wait");
  lua_pushvalue(L, 1);
  return 2;
}

static int ticker_tostring(lua_State *L) {
  const art_ticker *ticker = check_ticker(L);

  lua_pushfstring(L, "ticker %p (every %f s)", (const void *) ticker,
                  (LUAI_UACNUMBER) ticker->period / ART_NS_PER_SECOND);
  return 1;
}

/* ticker(seconds) -> ticker
 *
 * Ticks every `seconds` from now on, without drift: however late one tick is
 * taken, the next is due at its own time. Ticks that nobody took become one.
 * It is itself an event: to wait. Source: Go's ticker. */
static int ticker_new(lua_State *L) {
  lua_Number seconds = luaL_checknumber(L, 1);
  asyncrt *rt = asyncrt_of(L);
  art_ticker *ticker;

  if (!(seconds > 0 && seconds <= LONGEST_PERIOD))
    art_raise_argument(L, 1, "a period is a positive number of seconds");
  ticker = lua_newuserdatauv(L, sizeof(*ticker), 0);
  memset(ticker, 0, sizeof(*ticker));
  ticker->rt = rt;
  ticker->period = (uint64_t) ceil(seconds * ART_NS_PER_SECOND);
  ticker->next = asyncrt_now(rt) + ticker->period;
  ticker->timer.timer.kind = ART_TIMER_CALLBACK;
  ticker->timer.fire = tick;
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_setmetatable(L, -2);
  return 1;
}

static const luaL_Reg methods[] = {
    {"iter", ticker_iter},
    {"wait", ticker_wait},
    {"wait_evt", ticker_wait_evt},
    {NULL, NULL},
};

static const luaL_Reg metamethods[] = {
    {"__tostring", ticker_tostring},
    {NULL, NULL},
};

int art_open_ticker(lua_State *L) {
  lua_createtable(L, 0, 1);
  lua_newtable(L);
  lua_pushliteral(L, "asyncrt.ticker");
  lua_setfield(L, -2, "__name");
  art_set_methods(L, methods);
  lua_pushvalue(L, -1);
  luaL_setfuncs(L, metamethods, 1);
  asyncrt_set_event(L, prepare_wait);
  lua_pushcclosure(L, ticker_new, 1);
  lua_setfield(L, -2, "ticker");
  return 1;
}
