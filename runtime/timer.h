/* The timer heap: every deadline of a runtime, in one 4-ary heap. */
#ifndef ART_TIMER_H
#define ART_TIMER_H

#include "asyncrt.h"

#define ART_NS_PER_SECOND 1000000000u
#define ART_NS_PER_MS 1000000u

/* What a timer is embedded in. */
enum { ART_TIMER_OP, ART_TIMER_SCOPE, ART_TIMER_CALLBACK };

/* A timer that calls C, for a binding's own deadlines. It runs no Lua. */
typedef struct art_callback_timer {
  asyncrt_timer timer; /* kind = ART_TIMER_CALLBACK */
  void (*fire)(struct art_callback_timer *callback);
} art_callback_timer;

/* A place in the heap keeps the keys, so that sifting touches one array. */
typedef struct art_timer_entry {
  uint64_t at;
  uint64_t sequence; /* equal deadlines fire in arming order */
  asyncrt_timer *timer;
} art_timer_entry;

typedef struct art_timers {
  art_timer_entry *heap; /* owned */
  uint32_t count, capacity;
  uint32_t held; /* places kept free for timers that arm at any time */
  uint64_t sequence;
} art_timers;

/* Makes room for `extra` timers that are armed at once, so that arming cannot
 * fail. Returns UV_ENOMEM without memory. */
int art_timers_reserve(art_timers *timers, uint32_t extra);

/* The same for timers that may be armed at any time, until their places are
 * given back: each task holds one for what it waits for, more where it selects
 * among several. */
int art_timers_hold(art_timers *timers, uint32_t places);
void art_timers_release(art_timers *timers, uint32_t places);
void art_timers_free(art_timers *timers);

/* There must be room. A timer at UINT64_MAX never fires and takes no place. */
void art_timer_arm(art_timers *timers, asyncrt_timer *timer);
void art_timer_disarm(art_timers *timers, asyncrt_timer *timer);

/* The earliest deadline, or UINT64_MAX. */
static inline uint64_t art_timers_next(const art_timers *timers) {
  return timers->count > 0 ? timers->heap[0].at : UINT64_MAX;
}

/* Fires every timer due at `rt->tick_now`, in (deadline, arming order). */
void art_timers_fire(asyncrt *rt);

/* `seconds` from `now`, rounded up to a nanosecond; UINT64_MAX (never) for what
 * is beyond the clock, 0 (already due) for nothing or less. Not for NaN. */
uint64_t art_deadline(uint64_t now, double seconds);

/* Checks the argument `arg` as a time in seconds (raises for NaN, or for a
 * negative number unless `negative_allowed`) and returns its deadline. */
uint64_t art_check_deadline(lua_State *L, int arg, bool negative_allowed);

/* The op of sleep, after and of a select's number arms: prepared by setting
 * u.timer.at. */
extern const asyncrt_op_type art_timer_op;

/* The time limit of a wait: armed after all other arms, so that they win a
 * tie. */
extern const asyncrt_op_type art_time_limit_op;

/* Prepares `op` as a timer that is due at `at`. */
void art_timer_prepare(asyncrt_op *op, uint64_t at);

#endif
