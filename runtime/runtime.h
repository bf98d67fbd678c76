/* The runtime: its state, and the loop that runs ready tasks. */
#ifndef ART_RUNTIME_H
#define ART_RUNTIME_H

#include "allocator.h"
#include "box.h"
#include "coroutine.h"
#include "instrument.h"
#include "list.h"
#include "poller.h"
#include "scope.h"
#include "task.h"
#include "timer.h"
#include "watch.h"

#include "asyncrt.h"

#define ART_TICK_STEPS 61         /* task steps between two polls */
#define ART_STEP_OPS 128          /* ops that need not wait in one step */
#define ART_IDLE_THREADS 256      /* kept for tasks to come */
#define ART_TICK_NS 2000000u      /* a tick that took longer ends early */
#define ART_IDLE_POLL_NS 1000000u /* between polls for nothing to come */
#define ART_BUFFER 65536          /* bytes of the buffer that all reads share */
#define ART_OPS_CLASSES 16 /* arrays of 4, 8, … 131,072 ops are pooled */

/* The clock is one of two; nothing else reads time. */
typedef struct art_clock {
  uint64_t (*now)(asyncrt *rt);
} art_clock;

/* A handle that the collector closed: nobody else had. */
typedef struct art_forgotten {
  struct art_forgotten *next;
  const char *kind, *site; /* literal; interned */
} art_forgotten;

typedef struct art_site {
  struct art_site *next;
  char text[];
} art_site;

/* A site found by its line and its chunk's name. */
typedef struct art_known_site {
  const char *text; /* interned */
  size_t length;    /* of the chunk's name in it */
  int line;         /* 0: none */
  char form;        /* of the chunk's source: '@' for a file */
  bool library;     /* see art_is_library */
} art_known_site;

#define ART_KNOWN_SITES 64

#define ART_ANCHORS_EACH 256u /* in one table */
#define ART_MOST_ANCHORS ((uint32_t) INT32_MAX / 2)

/* A thread whose task has ended, and its place among the anchors. */
typedef struct art_idle_thread {
  lua_State *L;
  uint32_t anchor;
} art_idle_thread;

/* A class of events, found by the address of its metatable, which stays. */
typedef struct art_event_class {
  const void *metatable;
  asyncrt_prepare_fn prepare;
} art_event_class;

#define ART_KNOWN_CLASSES 32

struct asyncrt {
  lua_State *L;            /* the main state; owned */
  art_allocator allocator; /* of the Lua state */
  uv_loop_t *loop;         /* borrowed; outlives the runtime */
  asyncrt_options options;
  const art_clock *clock; /* borrowed; static */
  uint64_t virtual_now;
  uint64_t tick_now;  /* the clock when timers were last fired */
  uint64_t polled_at; /* the clock after the last poll */
  uint64_t random[4];

  art_task *current;
  art_task *ready_first, *ready_last;
  art_task **drawn; /* owned; in random order the other ready tasks */
  uint32_t drawn_count, drawn_capacity;
  uint64_t trace_hash;
  art_latch *last_latch; /* of those being set, or NULL */
  bool parking;          /* the thread that yields waits for an op */
  bool ending;           /* main has ended; handles are being closed */
  bool warnings;         /* are printed: what warn("@on") sets */
  bool in_warning;       /* whose last piece has not come yet */
  bool interrupted;      /* by the host: main may end cancelled */
  bool returned;         /* main's function, before that */
  bool cut_off;          /* the interruption has ended main before its end */

  art_timers timers;
  uint32_t external;   /* armed external ops, and holds */
  uint32_t unprompted; /* of these, ops that may never be completed */
  uint32_t tasks;      /* that have not ended */
  uint32_t next_id;
  art_task *main; /* while it runs */
  int exit_status;
  int requested_status; /* of rt.exit, or -1 */
  unsigned deadlocks;
  int interrupt_status; /* of the run then */

  int *anchor_tables;    /* owned; registry references of tables of anchors */
  uint32_t *anchor_next; /* owned; of a free place: the next one */
  uint32_t anchor_room;  /* tables that the arrays have room for */
  uint32_t anchor_free;  /* the first free place; 0: none */
  uint32_t anchor_count; /* places ever used, from 1 on */
  uint32_t anchor_made;  /* tables */
  int cancelled;         /* registry reference of the cancellation value */
  /* For comparison; their addresses are registry keys of the metatables. */
  const void *event_metatable, *task_metatable, *group_metatable;
  const void *arms_metatable;
  /* The same metatables in the registry, where it takes less to find them. */
  int event_reference, task_reference, group_reference;
  art_event_class known_classes[ART_KNOWN_CLASSES];
  char suppressed; /* its address: registry key of the table of rt.suppressed */
  lua_CFunction traceback_function;       /* debug.traceback, to know it by */
  art_idle_thread idle[ART_IDLE_THREADS]; /* of tasks that have ended */
  int idle_count;
  uint32_t threads; /* of tasks, idle ones too */

  art_frame base_frame;
  art_frame *free_frames;
  art_timed_scope *free_scopes;
  struct art_boxes *boxes; /* owned; blocks of them */
  art_box *free_boxes;
  art_link arms; /* kept arms that were not collected */
  void *free_ops[ART_OPS_CLASSES];
  art_site *sites[256];
  art_known_site known_sites[ART_KNOWN_SITES];

  asyncrt_handle *first_handle, *last_handle;
  asyncrt_handle *next_to_close; /* while all are being closed */
  uint32_t handle_count;
  bool closed;              /* nothing more can be opened */
  bool record_sites;        /* of handles, to tell who left them open */
  art_forgotten *forgotten; /* owned; while sites are recorded, last first */
  art_task *guarded; /* borrowed; a deadlock cancels it in main's place */

#ifdef ART_POLLER_UV
  uv_timer_t poll_timer; /* its data: NULL if it was never opened */
#else
  int poll_fd;
#endif
  uv_async_t waker; /* wakes the loop; unreferenced; its data: NULL if closed */
  bool loop_changed;
  uint32_t watched;
  art_watcher *to_free;
  char *buffer; /* owned; ART_BUFFER bytes that every read may use */

  uint64_t ticks;
  art_watch watch;
  art_notes notes;                           /* for rt.instrument */
  void (*restore_signal)(int signal_number); /* or NULL */
};

/* The runtime of a Lua thread. */
static inline asyncrt *art_runtime_of(lua_State *L) {
  art_frame *frame = art_frame_of(L);

  return frame->task != NULL ? frame->task->rt : frame->u.rt;
}

/* A number in [0, bound), from the seed. */
uint32_t art_random(asyncrt *rt, uint32_t bound);

/* Keeps the value on the top of L, which is popped, from being collected;
 * returns its place. */
uint32_t art_anchor(lua_State *L, asyncrt *rt);
void art_anchor_push(lua_State *L, const asyncrt *rt, uint32_t place);
void art_unanchor(lua_State *L, asyncrt *rt, uint32_t place);
/* Puts the value on the top, which is popped, in the place of another one. */
void art_anchor_set(lua_State *L, const asyncrt *rt, uint32_t place);

/* A copy of `text`, one for equal texts, that lives as long as the runtime. */
const char *art_intern(asyncrt *rt, const char *text);

/* Whether a function, of which "S" is known, belongs to the library in Lua. */
bool art_is_library(const lua_Debug *where);

/* An interned "file:line" of the Lua function at `level`, or of what called it
 * where that is the library's; never freed before the runtime. */
const char *art_site_at(lua_State *L, int level);
/* The same for what is made now: in a task of the library, where that was
 * spawned. */
const char *art_origin(lua_State *L);

/* The same for what the running task does, from its main function on; "?"
 * outside a task. */
const char *art_running_site(asyncrt *rt);

/* Lua code that runs in L gets the handle: it is what has opened it. */
void art_handle_taken(lua_State *L, asyncrt_handle *handle);

/* The collector is about to close an open handle. */
void art_handle_collected(asyncrt *rt, const asyncrt_handle *handle);
void art_handles_forget(asyncrt *rt);

/* What the value at `index` is to select and sync; `*prepare` is set for a base
 * event. A composite is built of others by choose, wrap, guard, with_nack. */
typedef enum art_event_kind {
  ART_EVENT_NONE,
  ART_EVENT_BASE,
  ART_EVENT_COMPOSITE
} art_event_kind;

/* Makes the table on the top of L, which is popped, the methods of all event
 * objects, and adds them to those of every class of events. */
void art_set_event_methods(lua_State *L);

art_event_kind art_event_of(lua_State *L, int index,
                            asyncrt_prepare_fn *prepare);

/* Main ended, with its result or error on the top of L: decides the exit
 * status and reports the error. */
void art_main_ended(lua_State *L, asyncrt *rt, art_task *main);

#endif
