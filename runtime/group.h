/* Groups: who owns a task, and what its failure does. */
#ifndef ART_GROUP_H
#define ART_GROUP_H

#include "list.h"
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
  ART_GROUP_ERROR = 1, /* the first failure */
  ART_GROUP_HANDLER,   /* the function of on_error */
  ART_GROUP_SUPPRESSED, /* a table: the later failures */
  ART_GROUP_COMPLETED, /* a table: ended tasks for completed(), or nil */
  ART_GROUP_VALUES = ART_GROUP_COMPLETED
};

/* Lives in a userdata, anchored from its opening to its close. */
typedef struct art_group {
  asyncrt *rt;           /* borrowed */
  struct art_task *task; /* borrowed; who opened it and closes it */
  struct art_group *outer; /* the group that was innermost before it */
  art_scope body;        /* the opener's code; unused by an implicit group */
  art_scope children;    /* the tasks */
  art_link tasks;        /* of art_task.sibling: the running ones */
  uint32_t count, daemons; /* running tasks; how many of them are daemons */
  uint32_t limit;        /* running tasks at once; 0: no limit */
  asyncrt_queue waiters; /* for all children, for a place, for a completion */
  char *trace;           /* owned; traceback of the first failure, or NULL */
  const char *site;      /* interned; where it was opened */
  int anchor;            /* its place in the runtime's anchors */
  uint8_t on_error;      /* art_on_error */
  bool implicit, function_form;
  bool failed;  /* ART_GROUP_ERROR is set */
  bool ending;  /* its body has ended; it waits for its tasks */
  bool closed;  /* takes no more tasks */
  bool daemons_cancelled;
} art_group;

/* Pushes a new open group of `task`. An implicit one stands beside the task's
 * code, any other becomes its innermost scope. */
art_group *art_group_open(lua_State *L, struct art_task *task, bool implicit);

/* The group a plain spawn joins: the innermost open one, or the implicit one,
 * made here if needed. */
art_group *art_group_current(lua_State *L, struct art_task *task);

/* Cancels the tasks and, for the function form, the body. */
void art_group_cancel(art_group *group, const char *reason);

/* A task of the group ended; its error, if it failed, is on the top of the
 * stack of L. Runs in the ending task. */
void art_group_failed(lua_State *L, art_group *group, struct art_task *task);
void art_group_left(art_group *group, struct art_task *task);

/* Waits until all tasks have ended. The op for it: object = group. */
extern const asyncrt_op_type art_group_op;

/* After the wait: unlinks the group from its task; it is closed. */
void art_group_close(lua_State *L, art_group *group);

/* Where the innermost scope of `task` is not `scope`, something inside was
 * never closed. Closes it, cancelling and awaiting its tasks, and returns
 * true when done; else returns false with a wait begun, whose result the
 * caller returns and whose continuation calls this again. */
bool art_scope_unwind(lua_State *L, struct art_task *task, art_scope *scope,
                      lua_KContext context, lua_KFunction k, int *result);

void art_open_group(lua_State *L);

#endif
