/* Watching: a step that takes too long is reported, or ended, while it runs.
 *
 * A thread looks now and then whether the same step still runs, and then sends
 * a signal to the runtime's thread. Its handler sets a hook on the running Lua
 * thread, the one thing that Lua allows there; the hook does the rest at the
 * next instruction. A step that is short enough pays for two counts. */
#ifndef ART_WATCH_H
#define ART_WATCH_H

#include "asyncrt.h"

#include <pthread.h>
#include <stdatomic.h>

typedef struct art_watch {
  _Atomic uint64_t beat;     /* odd while a step runs */
  lua_State *volatile top;   /* the running Lua thread; NULL between steps */
  _Atomic unsigned requests; /* what the hook is to do */
  _Atomic uint64_t late_beat, late_since; /* the step that takes too long */

  /* The hook that another one replaced, to be put back. */
  lua_State *hooked;
  lua_Hook former;
  int former_mask, former_count;

  bool measured;                /* the time of every step is taken */
  uint64_t began, longest_step; /* ns; 0: not taken */

  pthread_t thread, watched_thread;
  int signal_number; /* that the thread sends */
  pthread_mutex_t mutex;
  pthread_cond_t stopped;
  bool running, stopping;
  asyncrt *outer; /* the runtime that was watched before, in this thread */
} art_watch;

static inline void art_watch_beat(art_watch *watch) {
  uint64_t beat = atomic_load_explicit(&watch->beat, memory_order_relaxed);

  atomic_store_explicit(&watch->beat, beat + 1, memory_order_relaxed);
}

/* Around every step. */
static inline void art_watch_enter(art_watch *watch) {
  art_watch_beat(watch);
  if (watch->measured) watch->began = uv_hrtime();
}

static inline void art_watch_leave(art_watch *watch) {
  watch->top = NULL;
  art_watch_beat(watch);
  if (watch->began != 0) {
    uint64_t length = uv_hrtime() - watch->began;

    if (length > watch->longest_step) watch->longest_step = length;
    watch->began = 0;
  }
}

/* The number of steps begun. */
static inline uint64_t art_watch_steps(const art_watch *watch) {
  return (atomic_load_explicit(&watch->beat, memory_order_relaxed) + 1) / 2;
}

/* Around a run, in the thread that it runs in. Without a thread the run is not
 * watched. */
void art_watch_start(asyncrt *rt);
void art_watch_stop(asyncrt *rt);

/* Between steps, where watch.requests is not 0. */
void art_watch_answer(lua_State *L, asyncrt *rt);

#endif
