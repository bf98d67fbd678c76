/* Kept arms: events that a task selects among again and again. */
#include "arms.h"

#include "error.h"
#include "replay.h"
#include "runtime.h"

#include <stdlib.h>
#include <string.h>

/* Where an op is that is not pending, in place of its place there. */
#define UNUSED UINT32_MAX
#define KEPT (UINT32_MAX - 1)
#define BRIEF (UINT32_MAX - 2)

#define FIRST_CAPACITY 8u
#define MOST_TRIES 100 /* to prepare arms that finalizers change */
#define MOST_ARMS ((uint32_t) INT32_MAX / sizeof(asyncrt_op))

/* The stack of a select: the arms, then the tables it needs. */
enum { STACK_ARMS = 1, STACK_EVENTS, STACK_KEYS };

/* --- Places --- */

static uint32_t place_of(const art_arms *arms, const asyncrt_op *op) {
  return (uint32_t) (op - arms->ops);
}

static void add_pending(art_arms *arms, uint32_t place) {
  arms->places[place] = arms->pending_count;
  arms->pending[arms->pending_count++] = place;
}

static void remove_pending(art_arms *arms, uint32_t place) {
  uint32_t hole = arms->places[place];
  uint32_t last = arms->pending[--arms->pending_count];

  arms->pending[hole] = last;
  arms->places[last] = hole;
}

static void add_brief(art_arms *arms, uint32_t place) {
  if (arms->places[place] == BRIEF) return;
  arms->places[place] = BRIEF;
  arms->brief[arms->brief_count++] = place;
}

static void unlink_to_pending(art_arms *arms, uint32_t place) {
  art_op_disarm(arms->rt, &arms->ops[place]);
  add_pending(arms, place);
}

void art_arms_eject(asyncrt_op *op) {
  art_arms *arms = op->wait->u.arms;

  unlink_to_pending(arms, place_of(arms, op));
}

void art_arms_meet(const asyncrt_queue *queue, asyncrt_op *op) {
  asyncrt_op *first = queue->first;
  bool kept = op->wait->kept;

  if (art_op_is_dormant(first)) {
    /* Two arms of the same select take turns; anybody else comes first. */
    if (op->wait != first->wait) {
      art_arms_eject(first);
      return;
    }
  } else if (first->wait->kept && first == queue->last) {
    add_brief(first->wait->u.arms, place_of(first->wait->u.arms, first));
  }
  if (kept) add_brief(op->wait->u.arms, place_of(op->wait->u.arms, op));
}

void art_arms_rest(art_arms *arms, uint8_t state) {
  uint32_t chosen = arms->task->wait.chosen, i;

  arms->wait.state = state; /* some look at it while they are disarmed */
  for (i = 0; i < arms->brief_count; i++)
    unlink_to_pending(arms, arms->brief[i]);
  arms->brief_count = 0;
  if (chosen != UINT32_MAX && arms->places[chosen] == KEPT)
    unlink_to_pending(arms, chosen);
}

/* --- Making and changing --- */

void art_arms_push(lua_State *L) {
  art_arms **userdata =
      lua_newuserdatauv(L, sizeof(art_arms *), ART_ARMS_VALUES);
  int index = lua_gettop(L), value;
  art_arms *arms;

  for (value = ART_ARMS_EVENTS; value <= ART_ARMS_PLACES; value++) {
    lua_newtable(L);
    lua_setiuservalue(L, index, value);
  }
  arms = calloc(1, sizeof(*arms));
  if (arms == NULL) art_raise(L, "not enough memory");
  arms->rt = art_runtime_of(L);
  arms->wait.kept = true;
  arms->wait.u.arms = arms;
  art_list_append(&arms->rt->arms, &arms->link);
  *userdata = arms;
}

art_arms *art_arms_at(lua_State *L, int index) {
  art_arms *arms = *(art_arms **) lua_touserdata(L, index);

  if (arms == NULL) art_raise(L, "the arms were collected");
  return arms;
}

static void free_arms(art_arms *arms) {
  free(arms->ops);
  free(arms);
}

void art_arms_drop(lua_State *L, int index) {
  art_arms **userdata = lua_touserdata(L, index), *arms = *userdata;
  uint32_t place;

  if (arms == NULL) return;
  *userdata = NULL;
  for (place = 0; place < arms->used; place++)
    if (arms->places[place] == KEPT || arms->places[place] == BRIEF)
      art_op_disarm(arms->rt, &arms->ops[place]);
  art_timers_release(&arms->rt->timers, arms->capacity);
  art_list_remove(&arms->link);
  free_arms(arms);
}

void art_arms_free(asyncrt *rt) {
  art_link *link = rt->arms.next;

  while (link != &rt->arms) {
    art_arms *arms = art_container_of(link, art_arms, link);

    link = link->next;
    free_arms(arms);
  }
}

/* The arrays of `arms` in a block for `capacity` arms. */
static void lay_out(art_arms *arms, void *block, uint32_t capacity) {
  arms->ops = block;
  arms->prepare = (asyncrt_prepare_fn *) (void *) (arms->ops + capacity);
  arms->places = (uint32_t *) (void *) (arms->prepare + capacity);
  arms->pending = arms->places + capacity;
  arms->brief = arms->pending + capacity;
  arms->capacity = capacity;
}

/* Moves the arrays to a block of twice the capacity. */
static void grow(lua_State *L, art_arms *arms) {
  uint32_t capacity = arms->capacity > 0 ? 2 * arms->capacity : FIRST_CAPACITY;
  size_t each =
      sizeof(*arms->ops) + sizeof(*arms->prepare) + 3 * sizeof(*arms->places);
  art_arms old = *arms;
  uint32_t place;
  void *block;

  if (capacity > MOST_ARMS) art_raise(L, "too many arms");
  block = malloc(capacity * each);
  if (block == NULL ||
      art_timers_hold(&arms->rt->timers, capacity - old.capacity) != 0) {
    free(block);
    art_raise(L, "not enough memory");
  }
  for (place = 0; place < arms->used; place++)
    if (arms->places[place] == KEPT) unlink_to_pending(arms, place);
  lay_out(arms, block, capacity);
  if (old.capacity > 0) {
    memcpy(arms->ops, old.ops, old.used * sizeof(*old.ops));
    memcpy(arms->prepare, old.prepare, old.used * sizeof(*old.prepare));
    memcpy(arms->places, old.places, old.used * sizeof(*old.places));
    memcpy(arms->pending, old.pending,
           arms->pending_count * sizeof(*old.pending));
  }
  free(old.ops);
}

/* The place that the next arm takes. */
static uint32_t next_place(const art_arms *arms) {
  return arms->free != 0 ? arms->free - 1 : arms->used;
}

/* Sets what stands at `place` in the table that is user value `value`. */
static void set_at(lua_State *L, int index, int value, uint32_t place,
                   int what) {
  lua_getiuservalue(L, index, value);
  if (what != 0)
    lua_pushvalue(L, what);
  else
    lua_pushboolean(L, 0);
  lua_rawseti(L, -2, (lua_Integer) place + 1);
  lua_pop(L, 1);
}

/* The same by the key at `key`; leaves the value on the top. */
static void set_by_key(lua_State *L, int index, int value, int key) {
  lua_getiuservalue(L, index, value);
  lua_pushvalue(L, key);
  lua_pushvalue(L, -3);
  lua_rawset(L, -3);
  lua_pop(L, 1);
}

static void take_place(art_arms *arms, uint32_t place,
                       asyncrt_prepare_fn prepare) {
  if (arms->free != 0)
    arms->free = arms->ops[place].status;
  else
    arms->used++;
  memset(&arms->ops[place], 0, sizeof(arms->ops[place]));
  arms->prepare[place] = prepare;
  add_pending(arms, place);
}

static void release_place(lua_State *L, art_arms *arms, int index,
                          uint32_t place) {
  if (arms->places[place] == KEPT) unlink_to_pending(arms, place);
  remove_pending(arms, place);
  arms->places[place] = UNUSED;
  arms->ops[place].type = NULL;
  arms->ops[place].status = arms->free;
  arms->free = place + 1;
  set_at(L, index, ART_ARMS_EVENTS, place, 0);
  set_at(L, index, ART_ARMS_KEYS, place, 0);
}

/* Removes the arm at the key `key`, if there is one. */
static void remove_arm(lua_State *L, art_arms *arms, int index, int key) {
  lua_getiuservalue(L, index, ART_ARMS_PLACES);
  lua_pushvalue(L, key);
  lua_rawget(L, -2);
  if (lua_isinteger(L, -1)) {
    release_place(L, arms, index, (uint32_t) lua_tointeger(L, -1));
  } else {
    lua_getiuservalue(L, index, ART_ARMS_TABLE);
    lua_pushvalue(L, key);
    if (lua_rawget(L, -2) == LUA_TNIL) {
      lua_pop(L, 4);
      return;
    }
    arms->composites--;
    lua_pop(L, 2);
  }
  arms->count--;
  lua_pop(L, 2);
  lua_pushnil(L);
  set_by_key(L, index, ART_ARMS_TABLE, key);
  set_by_key(L, index, ART_ARMS_PLACES, key);
  lua_pop(L, 1);
}

void art_arms_set(lua_State *L, int index, int key, int event,
                  art_event_kind kind, asyncrt_prepare_fn prepare) {
  art_arms *arms = art_arms_at(L, index);
  uint32_t place;

  /* No finalizer runs in here: what allocates, does so without the collector.
   */
  arms->changes++;
  remove_arm(L, arms, index, key);
  if (lua_isnil(L, event)) return;
  /* What needs memory comes first: then nothing can fail half-way. */
  if (arms->free == 0 && arms->used == arms->capacity) grow(L, arms);
  place = next_place(arms);
  set_at(L, index, ART_ARMS_EVENTS, place, event);
  set_at(L, index, ART_ARMS_KEYS, place, key);
  lua_pushboolean(L, 0);
  set_by_key(L, index, ART_ARMS_PLACES, key);
  lua_pop(L, 1);
  lua_pushvalue(L, event);
  set_by_key(L, index, ART_ARMS_TABLE, key);
  lua_pop(L, 1);
  arms->count++;
  if (kind == ART_EVENT_COMPOSITE) {
    arms->composites++;
    return;
  }
  take_place(arms, place, prepare);
  lua_pushinteger(L, place);
  set_by_key(L, index, ART_ARMS_PLACES, key);
  lua_pop(L, 1);
}

/* --- Attempting --- */

/* Draws the next of the pending arms, each as likely; it stands at `undrawn` in
 * `pending` afterwards. */
static uint32_t draw(art_arms *arms) {
  uint32_t other = art_random(arms->rt, arms->undrawn);
  uint32_t last = --arms->undrawn;
  uint32_t place = arms->pending[other], moved = arms->pending[last];

  arms->pending[other] = moved;
  arms->places[moved] = other;
  arms->pending[last] = place;
  arms->places[place] = last;
  return place;
}

/* Pushes what the op needs. May run finalizers, unless the op is of a type that
 * is kept. */
static void prepare(lua_State *L, art_arms *arms, uint32_t place,
                    asyncrt_op *op) {
  luaL_checkstack(L, LUA_MINSTACK, "too many arms");
  lua_rawgeti(L, STACK_EVENTS, (lua_Integer) place + 1);
  memset(op, 0, sizeof(*op));
  if (arms->prepare[place] != NULL)
    arms->prepare[place](L, lua_gettop(L), op);
  else
    art_timer_prepare(op,
                      art_deadline(asyncrt_now(arms->rt), lua_tonumber(L, -1)));
  op->wait = &arms->wait;
}

static bool is_kept(const asyncrt_op *op) {
  return op->type != NULL && (op->type->flags & ASYNCRT_OP_KEPT);
}

/* Prepares the pending arms that are not kept, for the attempts and for the
 * wait: before the first attempt, since a finalizer could make ready what was
 * attempted and is not yet queued up. False where one has changed the arms. */
static bool prepare_brief(lua_State *L, art_arms *arms) {
  uint32_t changes = arms->changes, place, i;
  asyncrt_op op;
  int top;

  for (i = 0; i < arms->pending_count; i++) {
    place = arms->pending[i];
    if (is_kept(&arms->ops[place])) continue;
    top = lua_gettop(L);
    prepare(L, arms, place, &op);
    if (arms->changes != changes) return false;
    arms->ops[place] = op;
    if (is_kept(&op)) lua_settop(L, top);
  }
  return true;
}

/* The results are on the top; puts the key at `key` below them. It was read
 * before they were made: a finalizer may have changed it since. */
static int insert_key(lua_State *L, int key, int results) {
  luaL_checkstack(L, 1, "too many values");
  lua_pushvalue(L, key);
  lua_insert(L, -results - 1);
  return results + 1;
}

/* Attempts the op of an arm; its results have the arm's key below them. The op
 * is a copy: to push results may run a finalizer that changes the arms. */
static int attempt_one(lua_State *L, art_arms *arms, uint32_t place,
                       asyncrt_op *op) {
  int key = lua_gettop(L) + 1, results;

  lua_rawgeti(L, STACK_KEYS, (lua_Integer) place + 1);
  results = op->type->attempt(op, L);
  if (results == ASYNCRT_NOT_READY) {
    lua_settop(L, key - 1);
    arms->ops[place] = *op;
    return results;
  }
  if (arms->rt->options.trace_hash) art_replay_arm(arms->rt, op, place);
  return ASYNCRT_DONE(insert_key(L, key, results - 1));
}

/* The drawn arm is not ready: it waits for the next select in its queue, where
 * it stands there alone. */
static void stay(art_arms *arms, uint32_t place) {
  uint32_t drawn = arms->places[place];
  asyncrt_op *op = &arms->ops[place];

  arms->places[place] = KEPT;
  art_op_arm(arms->rt, op);
  if (arms->places[place] == KEPT) {
    arms->places[place] = drawn;
    remove_pending(arms, place);
    arms->places[place] = KEPT;
  } else {
    art_op_disarm(arms->rt, op);
    arms->brief_count--;
    arms->places[place] = drawn;
  }
}

/* Attempts the arms that come after all others. */
static int attempt_late(lua_State *L, art_arms *arms) {
  uint32_t i;
  int results;

  for (i = arms->pending_count; i-- > 0;) {
    uint32_t place = arms->pending[i];
    asyncrt_op op = arms->ops[place];

    if (!(op.type->flags & ASYNCRT_OP_LAST)) continue;
    results = attempt_one(L, arms, place, &op);
    if (results != ASYNCRT_NOT_READY) return results;
  }
  return ASYNCRT_NOT_READY;
}

/* Attempts the pending arms. What those that are not kept need stays on the
 * stack. */
static int attempt(lua_State *L, art_arms *arms) {
  int base = lua_gettop(L), tries = 0, results, top;
  bool late = false;
  asyncrt_op op;

  arms->changes++; /* for one that a finalizer interrupts */
  while (!prepare_brief(L, arms)) {
    if (++tries == MOST_TRIES)
      art_raise(L, "finalizers change the arms again and again");
    lua_settop(L, base);
  }
  arms->undrawn = arms->pending_count;
  while (arms->undrawn > 0) {
    uint32_t place = draw(arms);
    bool kept = is_kept(&arms->ops[place]);

    top = lua_gettop(L);
    if (kept)
      prepare(L, arms, place, &op);
    else
      op = arms->ops[place];
    if (op.type->flags & ASYNCRT_OP_LAST) {
      late = true;
      continue;
    }
    results = attempt_one(L, arms, place, &op);
    if (results != ASYNCRT_NOT_READY) return results;
    if (!kept) continue;
    lua_settop(L, top);
    stay(arms, place);
  }
  return late ? attempt_late(L, arms) : ASYNCRT_NOT_READY;
}

static int attempt_at_once(lua_State *L, art_arms *arms) {
  lua_getiuservalue(L, STACK_ARMS, ART_ARMS_EVENTS);
  lua_getiuservalue(L, STACK_ARMS, ART_ARMS_KEYS);
  return attempt(L, arms);
}

int art_arms_attempt(lua_State *L) {
  return attempt_at_once(L, art_arms_at(L, STACK_ARMS));
}

/* --- Waiting --- */

static void leave(art_task *task, art_arms *arms) {
  asyncrt_wait *wait = &task->wait;

  wait->state = ART_WAIT_IDLE;
  wait->kept = false;
  wait->ops = NULL;
  wait->u.nacks = NULL;
  arms->wait.state = ART_WAIT_IDLE;
  arms->task = NULL;
}

static int selected(lua_State *L, int status, lua_KContext context) {
  art_task *task = art_task_of(L);
  art_arms *arms = art_arms_at(L, STACK_ARMS);
  uint32_t chosen = task->wait.chosen;
  asyncrt_op *op = &task->op;
  int i, key, top = lua_gettop(L);

  (void) status;
  (void) context;
  if (task->wait.state == ART_WAIT_ABANDONED) {
    leave(task, arms);
    art_raise_cancelled(L);
  }
  leave(task, arms);
  *op = arms->ops[chosen];
  if (is_kept(op)) { /* what it needs of the stack was taken off it */
    prepare(L, arms, chosen, op);
    op->status = arms->ops[chosen].status;
  }
  op->wait = &task->wait;
  lua_rawgeti(L, STACK_KEYS, (lua_Integer) chosen + 1);
  key = lua_gettop(L);
  /* What it was given must be on the top. */
  luaL_checkstack(L, top - arms->base + LUA_MINSTACK, "too many values");
  for (i = arms->base + 1; i <= top; i++) lua_pushvalue(L, i);
  return insert_key(L, key, op->type->finish(op, L));
}

static void arm_pending(art_arms *arms) {
  uint32_t i, place;

  /* In the order in which they were drawn. */
  for (i = arms->pending_count; i-- > 0;) {
    place = arms->pending[i];
    arms->places[place] = KEPT;
    if (!(arms->ops[place].type->flags & ASYNCRT_OP_KEPT))
      add_brief(arms, place);
    art_op_arm(arms->rt, &arms->ops[place]);
  }
  arms->pending_count = 0;
}

static int perform_now(lua_State *L, art_task *task, art_done as_table) {
  art_arms *arms = art_arms_at(L, STACK_ARMS);
  asyncrt_wait *wait = &task->wait;
  int results;

  if (art_arms_are_table(arms)) return as_table(L, 0);
  results = attempt_at_once(L, arms);
  if (results != ASYNCRT_NOT_READY) return results - 1;
  luaL_checkstack(L, LUA_MINSTACK, "too many arms");
  art_ops_give(task);
  arms->base = lua_gettop(L);
  arms->task = task;
  arms->wait.L = L;
  arms->wait.state = ART_WAIT_ARMED;
  wait->ops = arms->ops;
  wait->count = arms->used;
  wait->no_cancel = false;
  wait->kept = true;
  wait->u.arms = arms;
  wait->state = ART_WAIT_ARMED;
  task->state = ART_TASK_WAITING;
  arm_pending(arms);
  return art_wait_block(L, task, 0, selected);
}

static int perform_after_turn(lua_State *L, int status, lua_KContext context) {
  art_task *task = art_task_of(L);

  (void) status;
  task->wait.state = ART_WAIT_IDLE;
  if (task->scope->effective) art_raise_cancelled(L);
  return perform_now(L, task, (art_done) context);
}

int art_arms_perform(lua_State *L, art_task *task, art_done as_table) {
  task->wait.no_cancel = false;
  if (art_wait_gives_way(task))
    return art_wait_turn(L, task, (lua_KContext) as_table, perform_after_turn);
  return perform_now(L, task, as_table);
}
