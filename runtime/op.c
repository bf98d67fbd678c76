/* Waiting: how a task performs one op, or the first of several. */
#include "op.h"

#include "arms.h"
#include "error.h"
#include "replay.h"
#include "runtime.h"

#include <stdlib.h>
#include <string.h>

static art_task *task_of_wait(const asyncrt_wait *wait) {
  return wait->kept ? wait->u.arms->task
                    : art_container_of(wait, art_task, wait);
}

asyncrt *asyncrt_op_runtime(const asyncrt_op *op) {
  const asyncrt_wait *wait = op->wait;

  return wait->kept ? wait->u.arms->rt
                    : art_container_of(wait, art_task, wait)->rt;
}

lua_State *asyncrt_op_thread(const asyncrt_op *op) {
  return op->wait->L;
}

void asyncrt_queue_push(asyncrt_queue *queue, asyncrt_op *op) {
  if (queue->first != NULL && (queue->first->wait->kept || op->wait->kept))
    art_arms_meet(queue, op);
  op->next = NULL;
  op->prev = queue->last;
  if (queue->last != NULL)
    queue->last->next = op;
  else
    queue->first = op;
  queue->last = op;
}

void asyncrt_queue_remove(asyncrt_queue *queue, asyncrt_op *op) {
  if (op->prev != NULL)
    op->prev->next = op->next;
  else
    queue->first = op->next;
  if (op->next != NULL)
    op->next->prev = op->prev;
  else
    queue->last = op->prev;
  op->prev = op->next = NULL;
}

asyncrt_op *asyncrt_queue_first(asyncrt_queue *queue) {
  asyncrt_op *op = queue->first;

  if (op == NULL || !art_op_is_dormant(op)) return op;
  art_arms_eject(op); /* it stood there alone */
  return NULL;
}

void art_push_cancelled(lua_State *L) {
  lua_rawgeti(L, LUA_REGISTRYINDEX, art_runtime_of(L)->cancelled);
}

bool art_is_cancelled(lua_State *L, int index) {
  bool equal;

  if (lua_type(L, index) != LUA_TUSERDATA) return false;
  index = lua_absindex(L, index);
  art_push_cancelled(L);
  equal = lua_rawequal(L, -1, index);
  lua_pop(L, 1);
  return equal;
}

void art_raise_cancelled(lua_State *L) {
  art_push_cancelled(L);
  lua_error(L);
  abort(); /* lua_error does not return, but is not declared so */
}

#define REFUSAL "cannot block here: "

bool art_is_refusal(const char *message) {
  return strncmp(message, REFUSAL, sizeof(REFUSAL) - 1) == 0;
}

/* Whether a task runs, other than its end. */
static bool is_in_task(const asyncrt *rt) {
  const art_task *task = rt->current;

  return task != NULL && task->root != NULL && art_task_of(task->root) != NULL;
}

static const char *blocking_refusal(lua_State *L) {
  art_frame *frame = art_frame_of(L);

  if (frame->task == NULL)
    return is_in_task(frame->u.rt) ? REFUSAL "coroutine resumed by foreign code"
                                   : REFUSAL "not inside a task";
  if (frame->unyieldable)
    return REFUSAL "inside a coroutine resumed from a "
                   "non-yieldable C call";
  if (!lua_isyieldable(L))
    return REFUSAL "attempt to yield across a C-call boundary";
  return NULL;
}

/* Whether a finalizer is among the calls of the thread. */
static bool is_in_finalizer(lua_State *L) {
  lua_Debug ar;
  int level;

  for (level = 1; lua_getstack(L, level, &ar); level++) {
    lua_getinfo(L, "n", &ar);
    if (strcmp(ar.namewhat, "metamethod") == 0 && ar.name != NULL &&
        strcmp(ar.name, "__gc") == 0)
      return true;
  }
  return false;
}

art_task *art_check_blocking(lua_State *L) {
  art_frame *frame = art_frame_of(L);

  if (frame->task == NULL || frame->unyieldable || !lua_isyieldable(L)) {
    /* The warning of an error in a finalizer has no traceback. */
    if (is_in_finalizer(L)) art_raise(L, "%s", blocking_refusal(L));
    lua_pushstring(L, blocking_refusal(L));
    lua_error(L);
  }
  return frame->task;
}

bool art_can_block(lua_State *L) {
  return blocking_refusal(L) == NULL;
}

asyncrt_op *asyncrt_prepare(lua_State *L, const asyncrt_op_type *type,
                            void *object) {
  art_task *task = art_check_blocking(L);
  asyncrt_op *op = &task->op;

  op->wait = &task->wait;
  op->type = type;
  op->object = object;
  task->wait.no_cancel = false;
  return op;
}

asyncrt_op *art_prepare_uncancellable(lua_State *L, const asyncrt_op_type *type,
                                      void *object) {
  asyncrt_op *op = asyncrt_prepare(L, type, object);

  op->wait->no_cancel = true;
  return op;
}

static void count_external(asyncrt *rt, const asyncrt_op *op, int change) {
  rt->external += (uint32_t) change;
  if (op->type->flags & ASYNCRT_OP_UNPROMPTED)
    rt->unprompted += (uint32_t) change;
}

void art_op_arm(asyncrt *rt, asyncrt_op *op) {
  if (op->type->flags & ASYNCRT_OP_EXTERNAL) count_external(rt, op, 1);
  op->type->arm(op);
}

void art_op_disarm(asyncrt *rt, asyncrt_op *op) {
  if (op->type->flags & ASYNCRT_OP_EXTERNAL) count_external(rt, op, -1);
  op->type->disarm(op);
}

static void disarm_all(asyncrt *rt, asyncrt_wait *wait) {
  uint32_t i;

  if (wait->kept) {
    art_arms_rest(wait->u.arms, wait->state);
    return;
  }
  for (i = 0; i < wait->count; i++) art_op_disarm(rt, &wait->ops[i]);
}

static void woken(art_task *task) {
  asyncrt *rt = task->rt;

  art_task_ready(task);
  if (rt->notes.wanted != 0) art_notes_add(rt, ART_NOTE_WOKEN, task);
}

/* Kept arms have no nacks. */
static void fire_nacks(asyncrt_wait *wait) {
  if (!wait->kept && wait->u.nacks != NULL)
    art_nacks_fire(wait->u.nacks, wait->chosen);
}

void asyncrt_op_complete(asyncrt_op *op) {
  art_task *task;
  asyncrt_wait *wait;

  if (art_op_is_dormant(op)) {
    art_arms_eject(op);
    return;
  }
  task = task_of_wait(op->wait);
  wait = &task->wait;
  wait->state = ART_WAIT_COMMITTED;
  wait->chosen = (uint32_t) (op - wait->ops);
  disarm_all(task->rt, wait);
  woken(task);
  fire_nacks(wait);
}

void art_wait_abandon(art_task *task) {
  asyncrt_wait *wait = &task->wait;

  if (wait->state != ART_WAIT_ARMED || wait->no_cancel) return;
  wait->state = ART_WAIT_ABANDONED;
  wait->chosen = UINT32_MAX;
  disarm_all(task->rt, wait);
  woken(task);
  fire_nacks(wait);
}

/* Waking a task may fire its nacks, which wakes others in turn: one after the
 * other, for such a chain may be longer than the C stack is deep. */
void art_latch_set(art_latch *latch) {
  asyncrt *rt;
  asyncrt_op *op;

  latch->set = true;
  if (latch->waiters.first == NULL) return;
  rt = asyncrt_op_runtime(latch->waiters.first);
  latch->next = NULL;
  if (rt->last_latch != NULL) {
    rt->last_latch->next = latch;
    rt->last_latch = latch;
    return;
  }
  for (rt->last_latch = latch; latch != NULL; latch = latch->next)
    while ((op = latch->waiters.first) != NULL) asyncrt_op_complete(op);
  rt->last_latch = NULL;
}

void art_nacks_fire(art_nacks *nacks, uint32_t chosen) {
  uint32_t i;

  nacks->fired = true;
  for (i = 0; i < nacks->count; i++) {
    art_nack *nack = &nacks->items[i];

    if (chosen < nack->first || chosen > nack->last) {
      if (!nack->latch->set) art_latch_set(nack->latch);
    }
  }
}

/* Suspends the running task; its wait says for what. */
static int suspend(lua_State *L, art_task *task, lua_KContext context,
                   lua_KFunction k) {
  task->wait.L = L;
  task->rt->parking = true;
  return lua_yieldk(L, 0, context, k);
}

int art_wait_block(lua_State *L, art_task *task, lua_KContext context,
                   lua_KFunction k) {
  asyncrt *rt = task->rt;

  if (rt->notes.wanted != 0) art_notes_add(rt, ART_NOTE_BLOCKED, task);
  return suspend(L, task, context, k);
}

int art_wait_turn(lua_State *L, art_task *task, lua_KContext context,
                  lua_KFunction k) {
  task->wait.state = ART_WAIT_QUEUED;
  art_task_ready(task);
  return suspend(L, task, context, k);
}

static int rescheduled(lua_State *L, int status, lua_KContext context) {
  art_task *task = art_task_of(L);
  art_done done = (art_done) context;

  (void) status;
  task->wait.state = ART_WAIT_IDLE;
  return done(L, 0);
}

int art_reschedule(lua_State *L, art_task *task, art_done done) {
  return art_wait_turn(L, task, (lua_KContext) done, rescheduled);
}

bool art_wait_gives_way(art_task *task) {
  if ((task->scope->effective && !task->wait.no_cancel) || task->budget == 0)
    return true;
  task->budget--;
  return false;
}

static void check_cancelled(lua_State *L, art_task *task) {
  if (task->scope->effective && !task->wait.no_cancel) art_raise_cancelled(L);
}

static int perform_now(lua_State *L, asyncrt_op *op, art_done done);

static int performed(lua_State *L, int status, lua_KContext context) {
  art_task *task = art_task_of(L);
  art_done done = (art_done) context;
  uint8_t state = task->wait.state;
  int results;

  (void) status;
  task->wait.state = ART_WAIT_IDLE;
  if (state == ART_WAIT_ABANDONED) art_raise_cancelled(L);
  results = task->op.type->finish(&task->op, L);
  if (results == ASYNCRT_AGAIN) {
    check_cancelled(L, task);
    return perform_now(L, &task->op, done);
  }
  return done != NULL ? done(L, results) : results;
}

static int perform_now(lua_State *L, asyncrt_op *op, art_done done) {
  art_task *task = task_of_wait(op->wait);
  int results = op->type->attempt(op, L);

  if (results != ASYNCRT_NOT_READY)
    return done != NULL ? done(L, results - 1) : results - 1;
  if (task->wait.ops != op) art_ops_give(task);
  task->wait.ops = op;
  task->wait.count = 1;
  task->wait.u.nacks = NULL;
  task->wait.state = ART_WAIT_ARMED;
  task->state = ART_TASK_WAITING;
  art_op_arm(task->rt, op);
  return art_wait_block(L, task, (lua_KContext) done, performed);
}

static int perform_after_turn(lua_State *L, int status, lua_KContext context) {
  art_task *task = art_task_of(L);

  (void) status;
  task->wait.state = ART_WAIT_IDLE;
  check_cancelled(L, task);
  return perform_now(L, &task->op, (art_done) context);
}

int art_perform_then(lua_State *L, asyncrt_op *op, art_done done) {
  art_task *task = task_of_wait(op->wait);

  if (art_wait_gives_way(task))
    return art_wait_turn(L, task, (lua_KContext) done, perform_after_turn);
  return perform_now(L, op, done);
}

int asyncrt_perform(lua_State *L, asyncrt_op *op) {
  return art_perform_then(L, op, NULL);
}

bool art_op_is_direct(const asyncrt_op *op) {
  return op == &task_of_wait(op->wait)->op;
}

/* --- Several ops --- */

static unsigned class_of(uint32_t count) {
  unsigned class = 0;

  while ((4u << class) < count) class ++;
  return class;
}

/* Behind the ops of a class there is room to draw their order. */
static size_t size_of_class(unsigned class) {
  return (4u << class) * (sizeof(asyncrt_op) + sizeof(uint32_t));
}

static uint32_t *order_of(const asyncrt_wait *wait) {
  return (uint32_t *) (void *) (wait->ops + (4u << class_of(wait->count)));
}

void art_ops_give(art_task *task) {
  asyncrt *rt = task->rt;
  asyncrt_op *ops = task->wait.ops;
  unsigned class = class_of(task->wait.count);

  task->wait.ops = NULL;
  if (ops == NULL || ops == &task->op) return;
  art_timers_release(&rt->timers, task->wait.count);
  if (class >= ART_OPS_CLASSES) {
    free(ops);
  } else {
    *(void **) (void *) ops = rt->free_ops[class];
    rt->free_ops[class] = ops;
  }
}

asyncrt_op *art_ops_take(lua_State *L, art_task *task, uint32_t count) {
  asyncrt *rt = task->rt;
  unsigned class = class_of(count);
  asyncrt_op *ops;
  uint32_t i;

  art_ops_give(task);
  if (class < ART_OPS_CLASSES && rt->free_ops[class] != NULL) {
    ops = rt->free_ops[class];
    rt->free_ops[class] = *(void **) (void *) ops;
  } else {
    ops = malloc(size_of_class(class));
    if (ops == NULL) art_raise(L, "not enough memory");
  }
  if (art_timers_hold(&rt->timers, count) != 0) {
    free(ops);
    art_raise(L, "not enough memory");
  }
  memset(ops, 0, count * sizeof(*ops));
  for (i = 0; i < count; i++) ops[i].wait = &task->wait;
  task->wait.ops = ops;
  task->wait.count = count;
  task->wait.no_cancel = false;
  task->wait.u.nacks = NULL;
  return ops;
}

/* Draws the next arm: one step of a Fisher-Yates shuffle of `order`, so that
 * the first ready arm is found without shuffling the rest. */
static uint32_t draw(asyncrt *rt, uint32_t *order, uint32_t place,
                     uint32_t count) {
  uint32_t other = place + art_random(rt, count - place);
  uint32_t index = order[other];

  order[other] = order[place];
  order[place] = index;
  return index;
}

/* The arm `chosen` was ready at once. */
static int found(asyncrt *rt, const asyncrt_op *op, int results,
                 uint32_t chosen) {
  if (rt->options.trace_hash) art_replay_arm(rt, op, chosen);
  return results;
}

int art_attempt_any(lua_State *L, asyncrt *rt, asyncrt_op *ops, uint32_t count,
                    uint32_t *order, uint32_t *chosen) {
  uint32_t i, late = 0;
  int results;

  for (i = 0; i < count; i++) order[i] = i;
  for (i = 0; i < count; i++) {
    asyncrt_op *op = &ops[draw(rt, order, i, count)];

    if (op->type->flags & ASYNCRT_OP_LAST) {
      late++;
      continue;
    }
    results = op->type->attempt(op, L);
    if (results != ASYNCRT_NOT_READY)
      return found(rt, op, results, *chosen = (uint32_t) (op - ops));
  }
  for (i = 0; i < count && late > 0; i++) {
    asyncrt_op *op = &ops[order[i]];

    if (!(op->type->flags & ASYNCRT_OP_LAST)) continue;
    late--;
    results = op->type->attempt(op, L);
    if (results != ASYNCRT_NOT_READY)
      return found(rt, op, results, *chosen = (uint32_t) (op - ops));
  }
  return ASYNCRT_NOT_READY;
}

static int performed_any(lua_State *L, int status, lua_KContext context) {
  art_task *task = art_task_of(L);
  art_done done = (art_done) context;
  uint8_t state = task->wait.state;

  (void) status;
  task->wait.state = ART_WAIT_IDLE;
  task->wait.u.nacks = NULL;
  if (state == ART_WAIT_ABANDONED) {
    art_ops_give(task);
    art_raise_cancelled(L);
  }
  /* finish may raise; the array is back in its pool by then. */
  task->op = task->wait.ops[task->wait.chosen];
  art_ops_give(task);
  return done(L, task->op.type->finish(&task->op, L));
}

static int perform_any_now(lua_State *L, art_task *task, art_done done) {
  asyncrt *rt = task->rt;
  asyncrt_wait *wait = &task->wait;
  asyncrt_op *limit = NULL;
  uint32_t *order = order_of(wait), i;
  int results =
      art_attempt_any(L, rt, wait->ops, wait->count, order, &wait->chosen);

  if (results != ASYNCRT_NOT_READY) {
    art_ops_give(task);
    if (wait->u.nacks != NULL) art_nacks_fire(wait->u.nacks, wait->chosen);
    wait->u.nacks = NULL;
    return done(L, results - 1);
  }
  wait->state = ART_WAIT_ARMED;
  task->state = ART_TASK_WAITING;
  for (i = 0; i < wait->count; i++) {
    asyncrt_op *op = &wait->ops[order[i]];

    if (op->type == &art_time_limit_op)
      limit = op;
    else
      art_op_arm(rt, op);
  }
  if (limit != NULL) art_op_arm(rt, limit);
  return art_wait_block(L, task, (lua_KContext) done, performed_any);
}

static int any_after_turn(lua_State *L, int status, lua_KContext context) {
  art_task *task = art_task_of(L);

  (void) status;
  task->wait.state = ART_WAIT_IDLE;
  if (task->scope->effective) {
    if (task->wait.u.nacks != NULL)
      art_nacks_fire(task->wait.u.nacks, UINT32_MAX);
    task->wait.u.nacks = NULL;
    art_ops_give(task);
    art_raise_cancelled(L);
  }
  return perform_any_now(L, task, (art_done) context);
}

int art_perform_any(lua_State *L, art_task *task, art_done done) {
  if (art_wait_gives_way(task))
    return art_wait_turn(L, task, (lua_KContext) done, any_after_turn);
  return perform_any_now(L, task, done);
}
