/* Watching: a step that takes too long is reported, or ended, while it runs. */
#include "watch.h"

#include "error.h"
#include "op.h"
#include "report.h"
#include "runtime.h"
#include "timer.h"

#include <errno.h>
#include <signal.h>
#include <time.h>

#define SHORTEST_PREEMPT_MS 10u  /* setting a hook may take a millisecond */
#define LIBRARY_INSTRUCTIONS 100 /* between two looks whether it is left */

enum { REQUEST_REPORT = 1, REQUEST_PREEMPT = 2, REQUEST_DUMP = 4 };

/* The runtime that runs in this thread. */
static _Thread_local asyncrt *watched;

/* --- In the step: the hook --- */

static void hook(lua_State *L, lua_Debug *ar);

/* report(runtime) */
static int report(lua_State *L) {
  asyncrt *rt = lua_touserdata(L, 1);
  uint64_t since = atomic_load(&rt->watch.late_since);
  char name[96];

  luaL_checkstack(L, LUA_MINSTACK, NULL);
  art_task_describe(L, rt->current, name, sizeof(name));
  art_push_task_traceback(L, rt->current);
  art_log("the loop is blocked: %s has run for %.1f s without waiting", name,
          (double) (uv_hrtime() - since) / ART_NS_PER_SECOND);
  art_log_text(lua_tostring(L, -1));
  art_log_text("\n");
  return 0;
}

/* dump(runtime) */
static int dump(lua_State *L) {
  asyncrt *rt = lua_touserdata(L, 1);

  art_report_tasks(L, rt, "tasks:");
  return 0;
}

/* A lack of memory for it is no failure of the code that is interrupted. */
static void call(lua_State *L, asyncrt *rt, lua_CFunction f) {
  if (!lua_checkstack(L, LUA_MINSTACK)) return;
  lua_pushcfunction(L, f);
  lua_pushlightuserdata(L, rt);
  if (lua_pcall(L, 1, 0, 0) != LUA_OK) lua_pop(L, 1);
}

/* The library counts on running undisturbed between two waits. */
static bool in_library(lua_State *L, lua_Debug *ar) {
  return lua_getinfo(L, "S", ar) != 0 && art_is_library(ar);
}

/* Puts the running task at the end of the run queue. */
static void preempt(lua_State *L, asyncrt *rt) {
  art_task *task = rt->current;

  task->wait.state = ART_WAIT_IDLE;
  task->wait.L = L;
  art_task_ready(task);
  rt->parking = true;
  lua_yield(L, 0);
}

static void unhook(lua_State *L, art_watch *watch) {
  if (watch->hooked == L)
    lua_sethook(L, watch->former, watch->former_mask, watch->former_count);
  else
    lua_sethook(L, NULL, 0, 0);
  watch->hooked = NULL;
}

static void hook(lua_State *L, lua_Debug *ar) {
  asyncrt *rt = art_runtime_of(L);
  art_watch *watch = &rt->watch;
  /* Without a task it is an old one: the scheduler answers the requests. */
  unsigned requests =
      rt->current != NULL ? atomic_exchange(&watch->requests, 0) : 0;

  if (atomic_load(&watch->late_beat) != atomic_load(&watch->beat))
    requests &= ~(unsigned) (REQUEST_REPORT | REQUEST_PREEMPT);
  if (requests & REQUEST_REPORT) call(L, rt, report);
  if (requests & REQUEST_DUMP) call(L, rt, dump);
  if (!(requests & REQUEST_PREEMPT) || L != watch->top || !art_can_block(L)) {
    unhook(L, watch);
  } else if (in_library(L, ar)) {
    atomic_fetch_or(&watch->requests, REQUEST_PREEMPT);
    lua_sethook(L, hook, LUA_MASKCOUNT, LIBRARY_INSTRUCTIONS);
  } else {
    unhook(L, watch);
    preempt(L, rt);
  }
}

/* Sets the hook on the running Lua thread; for the handler of a signal. */
static void set_hook(art_watch *watch) {
  lua_State *L = watch->top;

  if (L == NULL || lua_gethook(L) == hook) return;
  watch->former = lua_gethook(L);
  watch->former_mask = lua_gethookmask(L);
  watch->former_count = lua_gethookcount(L);
  watch->hooked = L;
  lua_sethook(L, hook, LUA_MASKCOUNT, 1);
}

void art_watch_answer(lua_State *L, asyncrt *rt) {
  if (atomic_exchange(&rt->watch.requests, 0) & REQUEST_DUMP) call(L, rt, dump);
}

void asyncrt_request_dump(asyncrt *rt) {
  int saved = errno;

  atomic_fetch_or(&rt->watch.requests, REQUEST_DUMP);
  if (watched == rt) set_hook(&rt->watch);
  uv_async_send(&rt->waker);
  errno = saved;
}

/* --- The thread that looks --- */

static void handle_late_step(int signal_number) {
  int saved = errno;

  (void) signal_number;
  if (watched != NULL) set_hook(&watched->watch);
  errno = saved;
}

/* A signal that nothing else uses, with the handler set; 0 without one. It
 * stays set: the last signal sent may arrive late. */
static int late_signal(void) {
  struct sigaction action = {.sa_handler = handle_late_step,
                             .sa_flags = SA_RESTART | SA_ONSTACK};
  struct sigaction former;
  int number;

  sigemptyset(&action.sa_mask);
  /* The last ones are used by valgrind and by other tools. */
  for (number = SIGRTMAX - 3; number >= SIGRTMIN; number--) {
    if (sigaction(number, NULL, &former) != 0) continue;
    if (former.sa_handler == handle_late_step) return number;
    if (former.sa_handler == SIG_DFL && sigaction(number, &action, NULL) == 0)
      return number;
  }
  return 0;
}

/* Waits until a time, or the end of the run: then false. */
static bool rest(art_watch *watch, uint64_t until) {
  struct timespec time = {.tv_sec = (time_t) (until / ART_NS_PER_SECOND),
                          .tv_nsec = (long) (until % ART_NS_PER_SECOND)};

  while (!watch->stopping && uv_hrtime() < until)
    pthread_cond_timedwait(&watch->stopped, &watch->mutex, &time);
  return !watch->stopping;
}

static void request(art_watch *watch, unsigned what, uint64_t beat,
                    uint64_t since) {
  atomic_store(&watch->late_beat, beat);
  atomic_store(&watch->late_since, since);
  atomic_fetch_or(&watch->requests, what);
  pthread_kill(watch->watched_thread, watch->signal_number);
}

static void *look(void *runtime) {
  asyncrt *rt = runtime;
  art_watch *watch = &rt->watch;
  uint64_t watch_ns = (uint64_t) rt->options.watch_ms * ART_NS_PER_MS;
  uint64_t preempt_ns = (uint64_t) rt->options.preempt_ms * ART_NS_PER_MS;
  uint64_t interval, now = uv_hrtime(), since = now, preempted = now;
  uint64_t beat = 0, latest;
  bool reported = false;

  if (preempt_ns > 0 && preempt_ns < SHORTEST_PREEMPT_MS * ART_NS_PER_MS)
    preempt_ns = SHORTEST_PREEMPT_MS * ART_NS_PER_MS;
  interval = watch_ns > 0 ? watch_ns / 4 : UINT64_MAX;
  if (preempt_ns > 0 && preempt_ns / 2 < interval) interval = preempt_ns / 2;

  pthread_mutex_lock(&watch->mutex);
  while (rest(watch, now + interval)) {
    now = uv_hrtime();
    latest = atomic_load_explicit(&watch->beat, memory_order_relaxed);
    if (latest != beat || latest % 2 == 0) {
      beat = latest;
      since = preempted = now;
      reported = false;
      continue;
    }
    if (watch_ns > 0 && !reported && now - since >= watch_ns) {
      reported = true;
      request(watch, REQUEST_REPORT, beat, since);
    }
    if (preempt_ns > 0 && now - preempted >= preempt_ns) {
      preempted = now;
      request(watch, REQUEST_PREEMPT, beat, since);
    }
  }
  pthread_mutex_unlock(&watch->mutex);
  return NULL;
}

/* The thread takes no signal: they are for the thread of the loop. */
static bool start_thread(asyncrt *rt) {
  sigset_t all, former;
  bool started;

  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &former);
  started = pthread_create(&rt->watch.thread, NULL, look, rt) == 0;
  sigdelset(&former, rt->watch.signal_number);
  pthread_sigmask(SIG_SETMASK, &former, NULL);
  return started;
}

void art_watch_start(asyncrt *rt) {
  art_watch *watch = &rt->watch;
  pthread_condattr_t attributes;

  watch->outer = watched;
  watched = rt;
  if (rt->options.watch_ms == 0 && rt->options.preempt_ms == 0) return;
  watch->signal_number = late_signal();
  if (watch->signal_number == 0) return;
  watch->watched_thread = pthread_self();
  watch->stopping = false;
  pthread_mutex_init(&watch->mutex, NULL);
  pthread_condattr_init(&attributes);
  pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
  pthread_cond_init(&watch->stopped, &attributes);
  pthread_condattr_destroy(&attributes);
  watch->running = start_thread(rt);
  if (!watch->running) {
    pthread_cond_destroy(&watch->stopped);
    pthread_mutex_destroy(&watch->mutex);
  }
}

void art_watch_stop(asyncrt *rt) {
  art_watch *watch = &rt->watch;

  watched = watch->outer;
  if (!watch->running) return;
  pthread_mutex_lock(&watch->mutex);
  watch->stopping = true;
  pthread_cond_signal(&watch->stopped);
  pthread_mutex_unlock(&watch->mutex);
  pthread_join(watch->thread, NULL);
  pthread_cond_destroy(&watch->stopped);
  pthread_mutex_destroy(&watch->mutex);
  watch->running = false;
}
