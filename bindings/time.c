/* asyncrt.core.time: the clock and sleeping. */
#include "bindings.h"
#include "error.h"
#include "op.h"
#include "runtime.h"
#include "timer.h"

#include <math.h>

static lua_Number in_seconds(uint64_t ns) {
  return (lua_Number) ns / ART_NS_PER_SECOND;
}

/* now() -> number
 *
 * Seconds on a monotonic clock whose start is arbitrary: compare two readings,
 * never a reading with a date. Under --virtual-time it starts at 0.0 and stands
 * still while code runs. Source: uv_hrtime(). */
static int time_now(lua_State *L) {
  lua_pushnumber(L, in_seconds(asyncrt_now(art_runtime_of(L))));
  return 1;
}

static int yielded(lua_State *L, int results) {
  (void) results;
  if (art_task_of(L)->scope->effective) art_raise_cancelled(L);
  return 0;
}

/* yield()
 *
 * Lets every other ready task run first. A cancellation point. */
static int time_yield(lua_State *L) {
  return art_reschedule(L, art_check_blocking(L), yielded);
}

/* sleep(seconds)
 *
 * Suspends the task for at least `seconds`, never less; math.huge sleeps until
 * the task is cancelled. 0 or less is yield(). Raises for NaN and outside a
 * task. A cancellation point. */
static int time_sleep(lua_State *L) {
  uint64_t at = art_check_deadline(L, 1, true);
  asyncrt_op *op;

  if (at == 0) return time_yield(L);
  op = asyncrt_prepare(L, &art_timer_op, NULL);
  art_timer_prepare(op, at);
  return asyncrt_perform(L, op);
}

static void prepare_after(lua_State *L, int index, asyncrt_op *op) {
  const double *seconds = asyncrt_event_data(L, index);

  art_timer_prepare(op, art_deadline(asyncrt_now(art_runtime_of(L)), *seconds));
}

/* after(seconds) -> event
 *
 * Commits `seconds` after each sync begins; yields no values. */
static int time_after(lua_State *L) {
  lua_Number seconds = luaL_checknumber(L, 1);
  double *data;

  if (isnan(seconds)) art_raise_argument(L, 1, "a time cannot be NaN");
  if (seconds < 0) art_raise_argument(L, 1, "non-negative number expected");
  data = asyncrt_new_event(L, prepare_after, sizeof(*data), 0);
  *data = seconds;
  return 1;
}

static void prepare_at(lua_State *L, int index, asyncrt_op *op) {
  const double *when = asyncrt_event_data(L, index);
  uint64_t at = art_deadline(0, *when);

  /* The first nanosecond at which now() gives no less: seconds are rounded. */
  if (at != UINT64_MAX) {
    while (at > 0 && in_seconds(at - 1) >= *when) at--;
    while (in_seconds(at) < *when) at++;
  }
  art_timer_prepare(op, at);
}

/* at(time) -> event
 *
 * Commits once now() >= `time`; yields no values. */
static int time_at(lua_State *L) {
  lua_Number when = luaL_checknumber(L, 1);
  double *data;

  if (isnan(when)) art_raise_argument(L, 1, "a time cannot be NaN");
  data = asyncrt_new_event(L, prepare_at, sizeof(*data), 0);
  *data = when;
  return 1;
}

static const luaL_Reg functions[] = {
    {"after", time_after}, {"at", time_at},       {"now", time_now},
    {"sleep", time_sleep}, {"yield", time_yield}, {NULL, NULL},
};

int art_open_time(lua_State *L) {
  luaL_newlib(L, functions);
  return 1;
}
