/* Coroutines inside a task: as under plain Lua, with waits passing through. */
#ifndef ART_COROUTINE_H
#define ART_COROUTINE_H

#include "asyncrt.h"

#include <lauxlib.h>

struct art_scope;
struct art_task;

/* One running or suspended-by-a-wait thread of a task. A thread's extra space
 * points at its frame; one that is not part of a task (new, dead, suspended by
 * coroutine.yield, or run by foreign code) points at the runtime's base frame,
 * which Lua copies into every new thread. */
typedef struct art_frame {
  struct art_task *task;   /* borrowed; NULL in the base frame */
  struct art_scope *scope; /* the task's innermost scope at its entry */
  union {
    lua_State *parent;      /* the thread that resumed it; NULL for a root */
    asyncrt *rt;            /* of the base frame */
    struct art_frame *next; /* in the runtime's free list */
  } u;
  bool unyieldable;  /* some resumer cannot yield */
  uint16_t bindings; /* calls of rt.with in it that have not returned */
} art_frame;

static inline art_frame *art_frame_of(lua_State *L) {
  return *(art_frame **) lua_getextraspace(L);
}

static inline void art_frame_set(lua_State *L, art_frame *frame) {
  *(art_frame **) lua_getextraspace(L) = frame;
}

/* The thread that resumed `L` within its task, or NULL. */
static inline lua_State *art_resumer_of(lua_State *L) {
  const art_frame *frame = art_frame_of(L);

  return frame->task != NULL ? frame->u.parent : NULL;
}

/* Replaces pcall, xpcall, coroutine.* in the global table of L. */
void art_open_coroutine(lua_State *L);

/* pcall_all(f, ...) -> true, results... | false, err
 *
 * As Lua's own pcall: it catches a cancellation too. For adapters around
 * foreign code, which must raise it again. */
int art_pcall_all(lua_State *L);

/* A message handler that keeps the traceback of the running thread in its task
 * and leaves the error value alone. */
int art_keep_traceback(lua_State *L);

/* Raises the error on the top again, its traceback being kept. */
_Noreturn void art_raise_again(lua_State *L);

/* Pushes text: the traceback of every thread of a waiting or running task. */
void art_push_task_traceback(lua_State *L, struct art_task *task);

#endif
