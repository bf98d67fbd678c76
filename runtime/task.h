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
  ART_TASK_VALUE = 1, /* the function; the thread; the result or error */
  ART_TASK_BINDINGS,  /* what rt.with bound, or nil */
  ART_TASK_NAME,      /* a string, or nil: only where has_name */
  ART_TASK_ARGUMENTS = ART_TASK_NAME /* from here on before the first step */
};

typedef struct art_task {
  asyncrt *rt;                 /* borrowed; outlives every task */
  struct art_task *ready_next; /* in the run queue */
  lua_State *root;    /* the thread of its body; NULL before its first step */
  art_frame frame;    /* of root */
  asyncrt_wait wait;
  asyncrt_op op;      /* for a direct call; idle otherwise */
  art_scope *scope;   /* innermost */
  art_scope base;     /* its own */
  struct art_group *group;    /* its owner; NULL for main, and when done */
  struct art_group *opened;   /* its innermost open group */
  struct art_group *implicit; /* of its plain spawns, or NULL */
  art_link sibling;           /* in group->tasks */
  asyncrt_queue joiners;
  const char *site; /* interned; where it was spawned */
  char *trace;      /* owned; tracebacks of its failure, or NULL */
  uint32_t id;      /* 0 is main */
  int anchor;       /* its place in the runtime's anchors */
  int results;      /* of a yielded, ended or failed inner coroutine; then of
                       the task */
  int inner_status;
  uint16_t arguments; /* user values that hold arguments */
  uint8_t budget;     /* ops left in this step */
  uint8_t state;      /* art_task_state */
  bool daemon : 1;
  bool has_name : 1;
  bool failed : 1;    /* ended by an error, cancelled or not */
  bool cancelled : 1; /* ended by its cancellation */
  bool exposed : 1;   /* its thread was seen: never reused */
  bool propagating : 1; /* the error being raised has its traceback kept */
} art_task;

/* The task that runs `L`, or NULL. */
static inline art_task *art_task_of(lua_State *L) {
  return art_frame_of(L)->task;
}

/* Pushes a new ready task that will call the function at `function` with the
 * values above it, which are popped. `group` is NULL for main alone. */
art_task *art_task_new(lua_State *L, struct art_group *group, int function,
                       const char *site);

/* Pushes the userdata of a task that has not ended. */
void art_task_push(lua_State *L, art_task *task);

/* Puts a task at the end of the run queue. */
void art_task_ready(art_task *task);

/* Runs one step of a task: until it waits, ends or yields its turn. */
void art_task_step(lua_State *L, art_task *task);

/* Fails a task whose thread cannot go on, with the error on the top of L. */
void art_task_abort(lua_State *L, art_task *task);

/* Writes `main`, `t7` or `t7 "name"`. */
void art_task_describe(lua_State *L, art_task *task, char *text, size_t size);

/* Pushes the results of a done task: true, values… or false, error. Returns
 * their number. `index` is its userdata. */
int art_task_push_outcome(lua_State *L, art_task *task, int index);

/* The op of join: object = the task; slot = its userdata. */
extern const asyncrt_op_type art_join_op;

#endif
