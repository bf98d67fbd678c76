/* Groups: who owns a task, and what its failure does. */
#ifndef ART_GROUP_H
#define ART_GROUP_H

#include "list.h"
#include "op.h"
#include "scope.h"

#include "asyncrt.h"

struct art_task;

typedef enum art_on_error {
  ART_ON_ERROR_FAIL,
  ART_ON_ERROR_LOG,
  ART_ON_ERROR_COLLECT,
  ART_ON_ERROR_CALL
} art_on_error;

/* The user values of a group's userdata. */
enum {
  ART_GROUP_ERROR = 1,  /* the first failure */
  ART_GROUP_HANDLER,    /* the function of on_error */
  ART_GROUP_SUPPRESSED, /* a table: the later failures */
  ART_GROUP_COMPLETED,  /* a table: ended tasks for completed(), or nil */
  ART_GROUP_VALUES = ART_GROUP_COMPLETED
};

/* Lives in a userdata, anchored from its opening to its close. */
typedef struct art_group {
  const char *tag;         /* first, and &art_group_tag: see art_check_tagged */
  asyncrt *rt;             /* borrowed */
  struct art_task *task;   /* borrowed; who opened it and closes it */
  struct art_group *outer; /* the group that was innermost before it */
  art_scope body;          /* the opener's code; unused by an implicit group */
  art_scope children;      /* the tasks */
  art_link tasks;          /* of art_task.sibling: the running ones */
  uint32_t count, daemons; /* tasks; how many of them are daemons */
  uint32_t running;        /* tasks that were started */
  uint32_t completed_taken; /* of ART_GROUP_COMPLETED */
  uint32_t limit;           /* tasks that run at once; UINT32_MAX: any number */
  struct art_task *pending_first, *pending_last; /* beyond the limit */
  asyncrt_queue waiters;   /* for all children, for a place, for a completion */
  struct art_trace *trace; /* owned; of the first failure, or NULL */
  const char *site;        /* interned; where it was opened */
  uint32_t anchor;         /* its place in the runtime's anchors */
  uint8_t on_error;        /* art_on_error */
  bool implicit, function_form;
  bool failed;           /* ART_GROUP_ERROR is set: a task failed first */
  bool body_failed;      /* the body failed first */
  bool body_raised;      /* the function form's body ended by an error */
  bool waited;           /* leaving it took a wait */
  bool tracks_completed; /* ART_GROUP_COMPLETED is a table */
  bool ending;           /* its body has ended; it waits for its tasks */
  bool closed;           /* takes no more tasks */
  bool daemons_cancelled;
} art_group;

extern const char art_group_tag;

/* Pushes a new open group of `task`. An implicit one stands beside the task's
 * code, any other becomes its innermost scope. */
art_group *art_group_open(lua_State *L, struct art_task *task, bool implicit);

/* The group a plain spawn joins: the innermost open one, or the implicit one,
 * made here if needed. */
art_group *art_group_current(lua_State *L, struct art_task *task);

/* Cancels the tasks and, for the function form, the body. */
void art_group_cancel(art_group *group, const char *reason);

/* A new task: counts it and makes it ready, unless the limit is reached. */
void art_group_joined(art_group *group, struct art_task *task);

/* A task of the group failed with the error on the top of L, which stays. Runs
 * in the ending task, before art_group_left. */
void art_group_failed(lua_State *L, art_group *group, struct art_task *task);
/* The task at `index` ended. */
void art_group_left(lua_State *L, art_group *group, struct art_task *task,
                    int index);

/* The body ended with the error on the top of L. */
void art_group_body_failed(lua_State *L, art_group *group, bool cancelled);

/* True once all tasks have ended; cancels the daemons when only they are left.
 * Otherwise wait with art_group_op: object = group. */
bool art_group_finished(art_group *group);
extern const asyncrt_op_type art_group_op;

/* As a wait in the code of its body: daemons do not count. */
extern const asyncrt_op_type art_group_idle_op;

/* Waits for the next task that ends: object = group; slot = the group. */
extern const asyncrt_op_type art_group_completed_op;

/* Unlinks a finished group from its task: it is closed. */
void art_group_close(lua_State *L, art_group *group);

/* Pushes the first failure. */
void art_group_push_error(lua_State *L, art_group *group);
void art_group_push_handler(lua_State *L, art_group *group);
/* Adds the error on the top of L, which is popped, to the suppressed ones. */
void art_group_suppress(lua_State *L, art_group *group);

/* __close(group, err): the end of the block form. */
int art_group_leave(lua_State *L);

/* The function form: group at 1, function at 2. */
int art_group_call(lua_State *L);

/* Gives the tasks of every scope that is open in a task, whose code cannot go
 * on, to the group that owns it, cancelled. */
void art_scope_hand_over(lua_State *L, struct art_task *task);

/* Whether the running code may close a block's scope: it is open, and nothing
 * but blocks was opened around the code since. */
bool art_scope_may_close(lua_State *L, const art_scope *scope);

/* Closes what code inside `scope` opened in `task` and never closed, cancelling
 * its tasks and, with `report`, saying so on stderr. Returns false where it
 * must wait for tasks first: then return art_scope_wait(L, task, done), whose
 * `done` calls this again. */
bool art_scope_unwound(lua_State *L, struct art_task *task, art_scope *scope,
                       bool report);
int art_scope_wait(lua_State *L, struct art_task *task, art_done done);

#endif
