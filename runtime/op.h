/* Waiting: how a task performs one op, or the first of several. */
#ifndef ART_OP_H
#define ART_OP_H

#include "asyncrt.h"

struct art_task;

typedef enum art_wait_state {
  ART_WAIT_IDLE,
  ART_WAIT_ARMED,
  ART_WAIT_COMMITTED, /* one op completed; the task is ready */
  ART_WAIT_ABANDONED, /* cancelled; no op had an effect */
  ART_WAIT_QUEUED     /* nothing is armed: the task only waits for its turn */
} art_wait_state;

/* A latch that is set when none of the arms in [first, last] is chosen. */
typedef struct art_nack {
  struct art_latch *latch; /* borrowed; its userdata is on the stack */
  uint32_t first, last;
} art_nack;

typedef struct art_nacks {
  uint32_t count;
  art_nack items[];
} art_nacks;

/* What a suspended task waits for; one in each task. */
struct asyncrt_wait {
  lua_State *L;    /* the thread that waits: the task's innermost coroutine */
  asyncrt_op *ops; /* borrowed: the task's own op, or a pooled array */
  art_nacks *nacks; /* borrowed; in a userdata on the stack of L, or NULL */
  uint32_t count;
  uint32_t chosen;
  uint8_t state; /* art_wait_state */
  bool no_cancel; /* the wait for a group's children cannot be abandoned */
};

/* Raises unless the running function may block; returns its task. */
struct art_task *art_check_blocking(lua_State *L);

/* As asyncrt_prepare, for a wait that a cancellation does not end. */
asyncrt_op *art_prepare_uncancellable(lua_State *L,
                                      const asyncrt_op_type *type,
                                      void *object);

/* As asyncrt_perform, going on in `k` with `context` once the op is done: `k`
 * finds its results on the stack and calls art_performed first if it was
 * called with LUA_YIELD. Where nothing had to wait, calls k(L, LUA_OK, ctx). */
int art_perform_k(lua_State *L, asyncrt_op *op, lua_KContext context,
                  lua_KFunction k);
int art_performed(lua_State *L);

/* Attempts `count` ops in an order drawn from the runtime's seed (those of type
 * ASYNCRT_OP_LAST after all others), else arms them all and suspends the task.
 * `k` is called as by art_perform_k; wait->chosen is the index of the op that
 * committed. `order` has room for `count` indexes and is scratch. */
int art_perform_any(lua_State *L, struct art_task *task, asyncrt_op *ops,
                    uint32_t count, lua_KContext context, lua_KFunction k);

/* One attempt of all, in drawn order: ASYNCRT_NOT_READY, or ASYNCRT_DONE(n)
 * with the index in *chosen. */
int art_attempt_any(lua_State *L, asyncrt *rt, asyncrt_op *ops, uint32_t count,
                    uint32_t *chosen);

/* Sets the latches of the nacks that `chosen` (UINT32_MAX: none) leaves out. */
void art_nacks_fire(asyncrt *rt, art_nacks *nacks, uint32_t chosen);

/* Puts the running task at the end of the run queue and calls `k` (with
 * LUA_YIELD) when its turn comes, cancelled or not. */
int art_reschedule(lua_State *L, struct art_task *task, lua_KContext context,
                   lua_KFunction k);

/* Abandons the wait of a waiting task, if it can be. Calls no Lua. */
void art_wait_abandon(struct art_task *task);

/* Pooled arrays of ops, zeroed. Raises without memory. */
asyncrt_op *art_ops_take(lua_State *L, asyncrt *rt, uint32_t count);
void art_ops_give(asyncrt *rt, asyncrt_op *ops, uint32_t count);

/* Raises the cancellation of the running task's scope. */
_Noreturn void art_raise_cancelled(lua_State *L);
/* Pushes the value that cancellation is raised with. */
void art_push_cancelled(lua_State *L);
/* True where the value at `index` is it. */
bool art_is_cancelled(lua_State *L, int index);

#endif
