/* The timer heap: every deadline of a runtime, in one 4-ary heap. */
#include "timer.h"

#include "error.h"
#include "op.h"
#include "runtime.h"
#include "scope.h"

#include <math.h>
#include <stdlib.h>

#define ARITY 4u

int art_timers_reserve(art_timers *timers, uint32_t extra) {
  uint32_t needed = timers->count + timers->held + extra;
  uint32_t capacity = timers->capacity > 0 ? timers->capacity : 64;
  art_timer_entry *heap;

  if (needed <= timers->capacity) return 0;
  while (capacity < needed) capacity *= 2;
  heap = realloc(timers->heap, capacity * sizeof(*heap));
  if (heap == NULL) return UV_ENOMEM;
  timers->heap = heap;
  timers->capacity = capacity;
  return 0;
}

int art_timers_hold(art_timers *timers, uint32_t places) {
  int error = art_timers_reserve(timers, places);

  if (error == 0) timers->held += places;
  return error;
}

void art_timers_release(art_timers *timers, uint32_t places) {
  timers->held -= places;
}

void art_timers_free(art_timers *timers) {
  free(timers->heap);
  timers->heap = NULL;
  timers->count = timers->capacity = 0;
}

static bool earlier(const art_timer_entry *a, const art_timer_entry *b) {
  return a->at < b->at || (a->at == b->at && a->sequence < b->sequence);
}

static void place(art_timers *timers, uint32_t index, art_timer_entry entry) {
  timers->heap[index] = entry;
  entry.timer->heap_index = index + 1;
}

static void sift_up(art_timers *timers, uint32_t index, art_timer_entry entry) {
  while (index > 0) {
    uint32_t parent = (index - 1) / ARITY;

    if (!earlier(&entry, &timers->heap[parent])) break;
    place(timers, index, timers->heap[parent]);
    index = parent;
  }
  place(timers, index, entry);
}

static void sift_down(art_timers *timers, uint32_t index,
                      art_timer_entry entry) {
  for (;;) {
    uint32_t first = index * ARITY + 1, least = first, child;

    if (first >= timers->count) break;
    for (child = first + 1; child < first + ARITY && child < timers->count;
         child++)
      if (earlier(&timers->heap[child], &timers->heap[least])) least = child;
    if (!earlier(&timers->heap[least], &entry)) break;
    place(timers, index, timers->heap[least]);
    index = least;
  }
  place(timers, index, entry);
}

void art_timer_arm(art_timers *timers, asyncrt_timer *timer) {
  art_timer_entry entry = {timer->at, timers->sequence++, timer};

  if (timer->at == UINT64_MAX) return;
  sift_up(timers, timers->count++, entry);
}

void art_timer_disarm(art_timers *timers, asyncrt_timer *timer) {
  uint32_t index;
  art_timer_entry last;

  if (timer->heap_index == 0) return;
  index = timer->heap_index - 1;
  timer->heap_index = 0;
  last = timers->heap[--timers->count];
  if (last.timer == timer) return;
  if (index > 0 && earlier(&last, &timers->heap[(index - 1) / ARITY]))
    sift_up(timers, index, last);
  else
    sift_down(timers, index, last);
}

void art_timers_fire(asyncrt *rt) {
  art_timers *timers = &rt->timers;

  while (timers->count > 0 && timers->heap[0].at <= rt->tick_now) {
    asyncrt_timer *timer = timers->heap[0].timer;

    art_timer_disarm(timers, timer);
    switch (timer->kind) {
      case ART_TIMER_OP:
        asyncrt_op_complete(art_container_of(timer, asyncrt_op, u.timer));
        break;
      case ART_TIMER_SCOPE:
        art_scope_cancel(
            &art_container_of(timer, art_timed_scope, timer)->scope, "timeout");
        break;
      default: {
        art_callback_timer *callback =
            art_container_of(timer, art_callback_timer, timer);
        callback->fire(callback);
      }
    }
  }
}

uint64_t art_deadline(uint64_t now, double seconds) {
  double ns = ceil(seconds * ART_NS_PER_SECOND);

  if (ns <= 0) return 0;
  if (ns >= (double) (UINT64_MAX / 2)) return UINT64_MAX;
  if ((uint64_t) ns > UINT64_MAX - now) return UINT64_MAX;
  return now + (uint64_t) ns;
}

uint64_t art_check_deadline(lua_State *L, int arg, bool negative_allowed) {
  lua_Number seconds = luaL_checknumber(L, arg);

  if (isnan(seconds)) art_raise_argument(L, arg, "a time cannot be NaN");
  if (seconds < 0 && !negative_allowed)
    art_raise_argument(L, arg, "non-negative number expected");
  return art_deadline(asyncrt_now(art_runtime_of(L)), seconds);
}

static int timer_attempt(asyncrt_op *op, lua_State *L) {
  asyncrt *rt = art_runtime_of(L);

  /* Only a deadline that lies in the past is ready: a wait of any length lets
   * the other tasks run first. */
  return op->u.timer.at <= rt->tick_now ? ASYNCRT_DONE(0) : ASYNCRT_NOT_READY;
}

static void timer_arm(asyncrt_op *op) {
  art_timer_arm(&asyncrt_op_runtime(op)->timers, &op->u.timer);
}

static void timer_disarm(asyncrt_op *op) {
  art_timer_disarm(&asyncrt_op_runtime(op)->timers, &op->u.timer);
}

static int timer_finish(asyncrt_op *op, lua_State *L) {
  (void) op;
  (void) L;
  return 0;
}

static void timer_describe(const asyncrt_op *op, char *text, size_t size) {
  if (op->u.timer.at == UINT64_MAX)
    snprintf(text, size, "sleep for ever");
  else
    snprintf(text, size, "sleep until %.3f",
             (double) op->u.timer.at / ART_NS_PER_SECOND);
}

const asyncrt_op_type art_timer_op = {
    "sleep",      timer_attempt,  timer_arm,       timer_disarm,
    timer_finish, timer_describe, ASYNCRT_OP_LAST,
};

const asyncrt_op_type art_time_limit_op = {
    "time limit", timer_attempt,  timer_arm,       timer_disarm,
    timer_finish, timer_describe, ASYNCRT_OP_LAST,
};

void art_timer_prepare(asyncrt_op *op, uint64_t at) {
  op->type = &art_timer_op;
  op->object = NULL;
  op->u.timer.at = at;
  op->u.timer.heap_index = 0;
  op->u.timer.kind = ART_TIMER_OP;
}
