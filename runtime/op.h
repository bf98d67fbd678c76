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
  bool fired; /* it is known which arm was chosen, or that none was */
  art_nack items[];
} art_nacks;

/* What a suspended task waits for; one in each task. */
struct asyncrt_wait {
  lua_State *L;    /* the thread that waits: the task's innermost coroutine */
  asyncrt_op *ops; /* the task's own op, a pooled array, owned, or kept arms */
  union {
    art_nacks *nacks; /* borrowed; in a userdata on the stack of L, or NULL */
    struct art_arms *arms; /* where `kept`: borrowed; as nacks */
  } u;
  uint32_t count;
  uint32_t chosen; /* UINT32_MAX: none */
  uint8_t state;   /* art_wait_state */
  bool no_cancel;  /* the wait for a group's children cannot be abandoned */
  bool kept;       /* the ops are kept arms: see arms.h */
};

/* True for a kept arm whose task does not wait: nothing may be given to it. */
static inline bool art_op_is_dormant(const asyncrt_op *op) {
  return op->wait->kept && op->wait->state != ART_WAIT_ARMED;
}

/* Raises unless the running function may block; returns its task. */
struct art_task *art_check_blocking(lua_State *L);

/* Whether `message` is what art_check_blocking raises: the same wherever the
 * error is met, so that wrap adds no position to it. */
bool art_is_refusal(const char *message);

/* Whether art_check_blocking would return. */
bool art_can_block(lua_State *L);

/* As asyncrt_prepare, for a wait that a cancellation does not end. */
asyncrt_op *art_prepare_uncancellable(lua_State *L, const asyncrt_op_type *type,
                                      void *object);

/* What a call goes on with once its op is done: the `results` of the op are on
 * the top of the stack; returns the number of results of the call. */
typedef int (*art_done)(lua_State *L, int results);

/* True for an op that is waited for alone, whose finish may therefore return
 * ASYNCRT_AGAIN. */
bool art_op_is_direct(const asyncrt_op *op);

/* As asyncrt_perform, going on in `done`. */
int art_perform_then(lua_State *L, asyncrt_op *op, art_done done);

/* Attempts `count` ops in an order drawn from the runtime's seed (those of type
 * ASYNCRT_OP_LAST after all others), else arms them all and suspends the task.
 * The ops are of art_ops_take and are given back; wait.chosen tells which one
 * committed, to `done`. A cancellation point. */
int art_perform_any(lua_State *L, struct art_task *task, art_done done);

/* One attempt of all, in an order drawn into `order`: ASYNCRT_NOT_READY, or
 * ASYNCRT_DONE(n) with the index in *chosen. */
int art_attempt_any(lua_State *L, asyncrt *rt, asyncrt_op *ops, uint32_t count,
                    uint32_t *order, uint32_t *chosen);

/* A one-shot fact that wakes all who wait for it, FIFO. */
typedef struct art_latch {
  asyncrt_queue waiters;
  struct art_latch *next; /* among those being set */
  bool set;
  bool read_only; /* a nack: only the runtime sets it */
} art_latch;

void art_latch_set(art_latch *latch);

/* Sets the latches of the nacks that `chosen` (UINT32_MAX: none) leaves out. */
void art_nacks_fire(art_nacks *nacks, uint32_t chosen);

/* Puts the running task at the end of the run queue; goes on in `done`, with 0
 * results, when its turn comes, cancelled or not. */
int art_reschedule(lua_State *L, struct art_task *task, art_done done);

/* What waits are made of, for op.c and arms.c. Arming and disarming one op: */
void art_op_arm(asyncrt *rt, asyncrt_op *op);
void art_op_disarm(asyncrt *rt, asyncrt_op *op);

/* True where the task must give way first: its scope is cancelled (so that
 * code which catches everything cannot spin) or its step used up its ops. */
bool art_wait_gives_way(struct art_task *task);

/* Suspend the running task: until its turn comes; until an op of its wait,
 * which are armed, completes. */
int art_wait_turn(lua_State *L, struct art_task *task, lua_KContext context,
                  lua_KFunction k);
int art_wait_block(lua_State *L, struct art_task *task, lua_KContext context,
                   lua_KFunction k);

/* Abandons the wait of a waiting task, if it can be. Calls no Lua. */
void art_wait_abandon(struct art_task *task);

/* Gives the task a pooled array of `count` zeroed ops as its wait's. Raises
 * without memory. An array that an error left with the task is given back. */
asyncrt_op *art_ops_take(lua_State *L, struct art_task *task, uint32_t count);
void art_ops_give(struct art_task *task);

/* Raises the cancellation of the running task's scope. */
_Noreturn void art_raise_cancelled(lua_State *L);
/* Pushes the value that cancellation is raised with. */
void art_push_cancelled(lua_State *L);
/* True where the value at `index` is it. */
bool art_is_cancelled(lua_State *L, int index);

#endif
