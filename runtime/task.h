/* Tasks: a coroutine that the scheduler runs, owned by a group. */
#ifndef ART_TASK_H
#define ART_TASK_H

#include "coroutine.h"
#include "list.h"
#include "op.h"
#include "scope.h"

#include "asyncrt.h"

struct art_group;

typedef enum art_task_state {
  ART_TASK_READY, /* in the run queue, or new */
  ART_TASK_RUNNING,
  ART_TASK_WAITING,
  ART_TASK_DONE
} art_task_state;

/* The user values of a task's userdata. */
enum {
  ART_TASK_VALUE = 1,                /* the function; the result or error */
  ART_TASK_BINDINGS,                 /* what rt.with bound, or nil */
  ART_TASK_NAME,                     /* a string, or nil: only where has_name */
  ART_TASK_ARGUMENTS = ART_TASK_NAME /* from here on before it has a thread */
};

/* Where an error came from, for the reports: kept beside the error value, which
 * crosses task borders unchanged. */
typedef struct art_trace {
  char *origin; /* owned; "task t7 (spawned at f.lua:3)", or NULL */
  char *text;   /* owned; tracebacks, innermost first, or NULL */
} art_trace;

typedef struct art_task {
  asyncrt *rt;                 /* borrowed; outlives every task */
  struct art_task *ready_next; /* in the run queue */
  lua_State *root; /* the thread of its body, whose stack holds this userdata;
                      NULL before it has one */
  struct CallInfo *body; /* of its body there, as lua_getstack knows it; NULL
                            before its first step */
  art_frame frame;       /* of root */
  asyncrt_wait wait;
  asyncrt_op op;              /* for a direct call; idle otherwise */
  art_scope *scope;           /* innermost */
  art_scope base;             /* its own */
  struct art_group *group;    /* its owner; NULL for main, and when done */
  struct art_group *opened;   /* its innermost open group */
  struct art_group *implicit; /* of its plain spawns, or NULL */
  art_link sibling;           /* in group->tasks */
  asyncrt_queue joiners;
  const char *site; /* interned; where it was spawned */
  art_trace *trace; /* owned; of the error being raised or raised, or NULL */
  uint32_t id;      /* 0 is main */
  uint32_t anchor;  /* its thread's place in the runtime's anchors; its own
                       before it has one */
  int results;      /* of a yielded, ended or failed inner coroutine; then of
                       the task */
  int inner_status;
  uint16_t arguments; /* of its function */
  uint8_t budget;     /* ops left in this step */
  uint8_t state;      /* art_task_state */
  bool daemon : 1;
  bool has_name : 1;
  bool failed : 1;      /* ended by an error, cancelled or not */
  bool cancelled : 1;   /* ended by its cancellation */
  bool bound : 1;       /* ART_TASK_BINDINGS is in use */
  bool handled : 1;     /* the handler of its group was called */
  bool unhandled : 1;   /* the error is one of its group's handler */
  bool exposed : 1;     /* its thread was seen: never reused */
  bool propagating : 1; /* the error being raised came from another thread,
                           whose traceback is kept: the next one is added */
  bool kept : 1; /* the error being raised has its traceback kept already */
} art_task;

/* The task that runs `L`, or NULL. */
static inline art_task *art_task_of(lua_State *L) {
  return art_frame_of(L)->task;
}

/* Pushes a new ready task that will call the function at `function` with the
 * values above it, which are popped. `group` is NULL for main alone. A string
 * at `name`, if not 0, is its name. */
art_task *art_task_new(lua_State *L, struct art_group *group, int function,
                       int name, bool daemon);

/* Pushes the userdata of a task that has not ended. */
void art_task_push(lua_State *L, art_task *task);

/* The task that is anchored at `place`, or NULL. */
art_task *art_task_at(lua_State *L, const asyncrt *rt, uint32_t place);

/* Puts a task at the end of the run queue. */
void art_task_ready(art_task *task);

/* Runs one step of a task: until it waits, ends or yields its turn. */
void art_task_step(lua_State *L, art_task *task);

/* Fails a task whose thread cannot go on, with the error on the top of L,
 * which is popped. */
void art_task_abort(lua_State *L, art_task *task);

/* The kept traceback of an error on its way through a task. */
void art_trace_add(art_task *task, const char *text);
void art_trace_free(art_trace *trace);
/* A copy, whose origin is `task` if it has none; NULL without memory. */
art_trace *art_trace_copy(lua_State *L, art_task *task);

/* Makes the trace of the failed task at `failed` that of the error that `task`
 * is about to raise. */
void art_trace_inherit(lua_State *L, art_task *task, int failed);

/* Prints an error, the value at `index`, and its trace. */
void art_trace_print(lua_State *L, const art_trace *trace, int index);
/* Prints the error of a failed task. */
void art_task_report(lua_State *L, art_task *task, int index);

/* Writes `main`, `t7` or `t7 "name"`. */
void art_task_describe(lua_State *L, art_task *task, char *text, size_t size);

/* Pushes the results of a done task: true, values… or false, error. Returns
 * their number. `index` is its userdata. */
int art_task_push_outcome(lua_State *L, art_task *task, int index);

/* The op of join: object = the task; slot = its userdata. */
extern const asyncrt_op_type art_join_op;

#endif
