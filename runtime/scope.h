/* Cancel scopes: the tree along which cancellation travels.
 *
 * Source: Trio's cancel scopes. A task, a group, a timeout and a shield each
 * have one. A scope is effectively cancelled when it is cancelled itself, or
 * when its parent is and it is no shield; then every cancellation point of the
 * task that stands in it raises, again and again, until the scope is left. */
#ifndef ART_SCOPE_H
#define ART_SCOPE_H

#include "asyncrt.h"

struct art_task;

typedef enum art_scope_kind {
  ART_SCOPE_TASK,     /* a task's own; the root of what it opens */
  ART_SCOPE_CHILDREN, /* above the tasks of a group */
  ART_SCOPE_BODY,     /* around the code that opened a group */
  ART_SCOPE_TIMEOUT,  /* rt.timeout: a function's */
  ART_SCOPE_SHIELD,   /* rt.shield: a function's */
  ART_SCOPE_DEADLINE  /* rt.deadline: a block's */
} art_scope_kind;

typedef struct art_scope {
  struct art_scope *parent;      /* borrowed; NULL above main */
  struct art_scope *child;       /* first child */
  struct art_scope *prev, *next; /* siblings, in the order of opening */
  struct art_task *task; /* whose code stands in it; NULL for CHILDREN */
  const char *reason;    /* literal; of its own cancellation */
  uint8_t kind;
  bool cancelled; /* itself */
  bool effective; /* itself or from above */
} art_scope;

/* A scope with a deadline: timeout, shield, deadline. */
typedef struct art_timed_scope {
  art_scope scope;
  asyncrt_timer timer;
  asyncrt *rt;                  /* borrowed */
  struct art_timed_scope *next; /* in the runtime's free list */
  const char *site;             /* interned; where a block's scope was opened */
  void *box;                    /* shared; of a block's scope, or NULL */
  bool failed;                  /* its function ended by an error */
} art_timed_scope;

/* Links `scope` below `parent`; it starts cancelled where its parent is. */
void art_scope_open(art_scope *scope, art_scope *parent, art_scope_kind kind,
                    struct art_task *task);

/* Links a closed scope, with its state, below its `parent`, which may have
 * changed. */
void art_scope_relink(art_scope *scope);

/* Unlinks `scope`; the ones below it stay with it. */
void art_scope_close(art_scope *scope);

/* Cancels `scope`: wakes every task that waits in it or below, except below a
 * shield. Idempotent: the first reason stays. Calls no Lua. */
void art_scope_cancel(art_scope *scope, const char *reason);

/* True where a cancel that reached `scope` ends here: no scope above, short of
 * a shield, is cancelled too. */
bool art_scope_absorbs(const art_scope *scope);

/* The reason of the outermost cancelled scope that reaches `scope`, or NULL. */
const char *art_scope_reason(const art_scope *scope);

/* Opens a scope of `task` that is cancelled at `at` (0: now); raises without
 * memory. */
art_timed_scope *art_timed_scope_open(lua_State *L, struct art_task *task,
                                      art_scope_kind kind, uint64_t at);
/* Closes the innermost scope of its task and takes it back. */
void art_timed_scope_close(art_timed_scope *timed);

#endif
