/* asyncrt.core.select: waiting for the first of several events. */
#include "arm.h"
#include "arms.h"
#include "bindings.h"
#include "error.h"
#include "op.h"
#include "runtime.h"
#include "timer.h"

#include <stdlib.h>
#include <string.h>

/* A poll of at most this many arms needs no memory. */
#define POLL_INLINE 8

/* --- select --- */

/* The results are on the top; puts the chosen key below them. */
static int push_key(lua_State *L, uint32_t chosen, int results) {
  luaL_checkstack(L, 1, "too many values");
  lua_pushvalue(L, 2 + 2 * (int) chosen);
  lua_insert(L, -results - 1);
  return results + 1;
}

static int selected(lua_State *L, int results) {
  return push_key(L, art_task_of(L)->wait.chosen, results);
}

/* Puts the Lua function `name` of upvalue 1 below the arguments. */
static void insert_composite(lua_State *L, const char *name, int arguments) {
  lua_settop(L, arguments);
  lua_getfield(L, lua_upvalueindex(1), name);
  lua_insert(L, 1);
}

static int returned(lua_State *L, int status, lua_KContext context) {
  (void) status;
  (void) context;
  return lua_gettop(L);
}

/* The kept arms at 1, or NULL for a table. Raises where they were collected. */
static art_arms *kept_arms(lua_State *L) {
  if (lua_type(L, 1) != LUA_TUSERDATA || !lua_getmetatable(L, 1)) return NULL;
  if (lua_topointer(L, -1) != art_runtime_of(L)->arms_metatable) return NULL;
  lua_settop(L, 1);
  return art_arms_at(L, 1);
}

/* Puts the table of kept arms in their place. */
static void to_table(lua_State *L) {
  lua_settop(L, 1);
  lua_getiuservalue(L, 1, ART_ARMS_TABLE);
  lua_replace(L, 1);
}

static int select_composite_table(lua_State *L) {
  insert_composite(L, "select", 1);
  lua_callk(L, 1, LUA_MULTRET, 0, returned);
  return returned(L, LUA_OK, 0);
}

static int select_table(lua_State *L) {
  art_task *task = art_task_of(L);
  int count = art_push_arms(L), i;
  asyncrt_op *ops;

  luaL_checkstack(L, 2 * count + LUA_MINSTACK, "too many arms");
  ops = art_ops_take(L, task, (uint32_t) count);
  for (i = 0; i < count; i++)
    if (art_arm_prepare(L, 2 + 2 * i, 3 + 2 * i, &ops[i]) ==
        ART_EVENT_COMPOSITE)
      return select_composite_table(L);
  return art_perform_any(L, task, selected);
}

static int select_kept_as_table(lua_State *L, int results) {
  (void) results;
  to_table(L);
  return select_table(L);
}

/* select(arms) -> key, values...
 *
 * Waits for the first event of the table `arms` and returns its key and what it
 * yields; of several that are ready, one by chance, each as likely. The others
 * have no effect. A number is a time limit in seconds; false is no arm; an
 * empty table waits for ever. A cancellation point. Source: CML and Racket's
 * sync; the keys in place of handlers, so that code can break and return. */
static int select_select(lua_State *L) {
  art_task *task = art_check_blocking(L);

  if (kept_arms(L) != NULL)
    return art_arms_perform(L, task, select_kept_as_table);
  return select_table(L);
}

/* --- poll --- */

#define COMPOSITE (-1)

/* Attempts the `count` events at first, first + step, … once; below each is its
 * key. Returns as art_attempt_any, or COMPOSITE where one of them is. */
static int attempt_once(lua_State *L, int first, int step, int count,
                        uint32_t *chosen) {
  asyncrt_op few[POLL_INLINE] = {0}, *ops = few;
  uint32_t few_places[POLL_INLINE], *order = few_places;
  art_task *task = art_task_of(L);
  int i;

  if (task == NULL) art_raise(L, "not inside a task");
  luaL_checkstack(L, 2 * count + LUA_MINSTACK, "too many arms");
  if (count > POLL_INLINE) {
    ops = lua_newuserdatauv(L, (size_t) count * (sizeof(*ops) + sizeof(*order)),
                            0);
    memset(ops, 0, (size_t) count * sizeof(*ops));
    order = (uint32_t *) (void *) (ops + count);
  }
  for (i = 0; i < count; i++) {
    int arm = first + i * step;

    ops[i].wait = &task->wait;
    if (art_arm_prepare(L, arm - 1, arm, &ops[i]) == ART_EVENT_COMPOSITE)
      return COMPOSITE;
  }
  return art_attempt_any(L, task->rt, ops, (uint32_t) count, order, chosen);
}

static int poll_kept(lua_State *L) {
  int results;

  if (art_task_of(L) == NULL) art_raise(L, "not inside a task");
  results = art_arms_attempt(L);
  if (results != ASYNCRT_NOT_READY) return results - 1;
  lua_pushnil(L);
  return 1;
}

/* poll(arms) -> key, values... | nil
 *
 * As select, but where nothing is ready it returns nil at once. Never waits,
 * never gives way, is no cancellation point: a loop of polls needs a yield().
 */
static int select_poll(lua_State *L) {
  const art_arms *arms = kept_arms(L);
  int count, results;
  uint32_t chosen = 0;

  if (arms != NULL) {
    if (!art_arms_are_table(arms)) return poll_kept(L);
    to_table(L);
  }
  count = art_push_arms(L);
  results = attempt_once(L, 3, 2, count, &chosen);
  if (results == COMPOSITE) {
    insert_composite(L, "poll", 1);
    lua_call(L, 1, LUA_MULTRET);
    return lua_gettop(L);
  }
  if (results == ASYNCRT_NOT_READY) {
    lua_pushnil(L);
    return 1;
  }
  return push_key(L, chosen, results - 1);
}

/* --- sync --- */

/* Raises unless the value at `arg` is an event. */
static art_event_kind check_event(lua_State *L, int arg) {
  asyncrt_prepare_fn prepare;
  art_event_kind kind = art_arm_kind(L, arg, &prepare);

  if (art_is_nan(L, arg)) art_raise_argument(L, arg, "a time cannot be NaN");
  if (kind == ART_EVENT_NONE) luaL_typeerror(L, arg, "event");
  return kind;
}

/* sync(event) -> values...
 *
 * Waits for the event and returns what it yields. A cancellation point. */
static int select_sync(lua_State *L) {
  asyncrt_op *op;

  lua_settop(L, 1);
  if (check_event(L, 1) == ART_EVENT_COMPOSITE) {
    art_check_blocking(L);
    insert_composite(L, "sync", 1);
    lua_callk(L, 1, LUA_MULTRET, 0, returned);
    return returned(L, LUA_OK, 0);
  }
  op = asyncrt_prepare(L, NULL, NULL);
  art_arm_prepare(L, 1, 1, op);
  return asyncrt_perform(L, op);
}

static int limited(lua_State *L, int results) {
  if (art_task_of(L)->wait.chosen == 0) return results;
  lua_pushnil(L);
  lua_pushliteral(L, "timeout");
  return 2;
}

/* sync_timeout(seconds, event) -> values... | nil, "timeout"
 *
 * As sync, for at most `seconds`. Zero or less: one attempt, which never waits
 * and is no cancellation point. */
static int select_sync_timeout(lua_State *L) {
  uint64_t at = art_check_deadline(L, 1, true);
  art_event_kind kind = check_event(L, 2);
  art_task *task;
  asyncrt_op *ops;

  lua_settop(L, 2);
  if (at != 0) art_check_blocking(L);
  if (kind == ART_EVENT_COMPOSITE) {
    lua_pushnumber(L, lua_tonumber(L, 1)); /* it may have been a string */
    lua_replace(L, 1);
    insert_composite(L, "sync_timeout", 2);
    lua_callk(L, 2, LUA_MULTRET, 0, returned);
    return returned(L, LUA_OK, 0);
  }
  if (at == 0) {
    uint32_t chosen;
    int results = attempt_once(L, 2, 1, 1, &chosen);

    if (results != ASYNCRT_NOT_READY) return results - 1;
    lua_pushnil(L);
    lua_pushliteral(L, "timeout");
    return 2;
  }
  task = art_task_of(L);
  ops = art_ops_take(L, task, 2);
  art_arm_prepare(L, 2, 2, &ops[0]);
  art_timer_prepare(&ops[1], at);
  ops[1].type = &art_time_limit_op;
  return art_perform_any(L, task, limited);
}

/* --- always, never --- */

/* The values of always() are user values of the event. */
static int always_attempt(asyncrt_op *op, lua_State *L) {
  int count = (int) op->u.size, i;

  luaL_checkstack(L, count, "too many values");
  for (i = 1; i <= count; i++) lua_getiuservalue(L, op->slot, i);
  return ASYNCRT_DONE(count);
}

static int never_attempt(asyncrt_op *op, lua_State *L) {
  (void) op;
  (void) L;
  return ASYNCRT_NOT_READY;
}

static void never_arm(asyncrt_op *op) {
  (void) op;
}

static int never_finish(asyncrt_op *op, lua_State *L) {
  (void) op;
  (void) L;
  return 0;
}

static void never_describe(const asyncrt_op *op, char *text, size_t size) {
  strncpy(text, op->type->name, size);
}

static const asyncrt_op_type always_op = {
    "always",     always_attempt, never_arm, never_arm,
    never_finish, never_describe, 0,
};

static const asyncrt_op_type never_op = {
    "never",      never_attempt,  never_arm, never_arm,
    never_finish, never_describe, 0,
};

static void prepare_always(lua_State *L, int index, asyncrt_op *op) {
  op->type = &always_op;
  op->slot = index;
  op->u.size = *(size_t *) asyncrt_event_data(L, index);
}

static void prepare_never(lua_State *L, int index, asyncrt_op *op) {
  (void) L;
  (void) index;
  op->type = &never_op;
}

/* always(...) -> event: ready at once, yields its arguments */
static int select_always(lua_State *L) {
  int count = lua_gettop(L), i;
  size_t *data;

  if (count >= UINT16_MAX) art_raise(L, "too many values"); /* a userdata's */
  data = asyncrt_new_event(L, prepare_always, sizeof(*data), count);
  *data = (size_t) count;
  for (i = 1; i <= count; i++) {
    lua_pushvalue(L, i);
    lua_setiuservalue(L, -2, i);
  }
  return 1;
}

/* --- For the composites, which are written in Lua --- */

/* composite(node) -> event: node is what the Lua side needs to expand it */
static int select_composite(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  asyncrt_new_event(L, NULL, 0, 1);
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, -2, 1);
  return 1;
}

/* node(event) -> the node of a composite, true for a base event, else false */
static int select_node(lua_State *L) {
  asyncrt_prepare_fn prepare;
  art_event_kind kind = art_arm_kind(L, 1, &prepare);

  if (kind == ART_EVENT_COMPOSITE)
    lua_getiuservalue(L, 1, 1);
  else
    lua_pushboolean(L, kind == ART_EVENT_BASE);
  return 1;
}

/* arms(table) -> {key, event, key, event, ...} in order */
static int select_arms(lua_State *L) {
  asyncrt_prepare_fn prepare;
  int count = 2 * art_push_arms(L), i;

  for (i = 2; i < count + 2; i += 2) art_check_arm(L, i, i + 1, &prepare);
  lua_createtable(L, count, 0);
  lua_insert(L, 2);
  for (i = count; i >= 1; i--) lua_rawseti(L, 2, i);
  return 1;
}

/* Pushes the nacks at `list`, {latch, first, last, ...}, and their latches. */
static art_nacks *push_nacks(lua_State *L, int list) {
  uint32_t count = (uint32_t) lua_rawlen(L, list) / 3, i;
  lua_Integer first, last;
  art_nacks *nacks;

  luaL_checkstack(L, 8, NULL);
  nacks = lua_newuserdatauv(L, sizeof(*nacks) + count * sizeof(art_nack), 0);
  nacks->count = count;
  nacks->fired = false;
  for (i = 0; i < count; i++) {
    art_nack *nack = &nacks->items[i];

    lua_rawgeti(L, list, 3 * (lua_Integer) i + 1);
    nack->latch = lua_touserdata(L, -1); /* `list` stays on the stack */
    lua_rawgeti(L, list, 3 * (lua_Integer) i + 2);
    lua_rawgeti(L, list, 3 * (lua_Integer) i + 3);
    first = lua_tointeger(L, -2);
    last = lua_tointeger(L, -1);
    if (first > last || first == 0) { /* holds no arm: every outcome fires it */
      first = 2;
      last = 1;
    }
    nack->first = (uint32_t) first - 1;
    nack->last = (uint32_t) last - 1;
    lua_pop(L, 3);
  }
  return nacks;
}

/* Puts the number of the chosen event, from 1, below the results. */
static int push_number(lua_State *L, uint32_t chosen, int results) {
  lua_pushinteger(L, (lua_Integer) chosen + 1);
  lua_insert(L, -results - 1);
  return results + 1;
}

static int performed_flat(lua_State *L, int results) {
  return push_number(L, art_task_of(L)->wait.chosen, results);
}

/* As push_nacks, kept in the field `armed` of the expansion at `index`: should
 * an error leave them unfired, fire() finds them there. */
static art_nacks *push_kept_nacks(lua_State *L, int list, int index) {
  art_nacks *nacks = push_nacks(L, list);

  lua_pushvalue(L, -1);
  lua_setfield(L, index, "armed");
  return nacks;
}

/* perform(events, nacks, expansion, limited) -> number, values...
 *
 * As select for a sequence of base events, the last of which is a time limit
 * where `limited`; fires the nacks. */
static int select_perform(lua_State *L) {
  art_task *task = art_check_blocking(L);
  int count = (int) lua_rawlen(L, 1), i, first;
  bool with_limit = lua_toboolean(L, 4);
  art_nacks *nacks = push_kept_nacks(L, 2, 3);
  asyncrt_op *ops;

  first = lua_gettop(L) + 1;
  luaL_checkstack(L, 3 * count + LUA_MINSTACK, "too many arms");
  for (i = 1; i <= count; i++) lua_rawgeti(L, 1, i);
  ops = art_ops_take(L, task, (uint32_t) count);
  for (i = 0; i < count; i++) art_arm_prepare(L, first + i, first + i, &ops[i]);
  if (with_limit) ops[count - 1].type = &art_time_limit_op;
  if (nacks->count > 0) task->wait.u.nacks = nacks;
  return art_perform_any(L, task, performed_flat);
}

/* attempt(events, nacks, expansion) -> number, values... | nil
 *
 * As poll for a sequence of base events; fires the nacks. */
static int select_attempt(lua_State *L) {
  int count = (int) lua_rawlen(L, 1), i, first, results;
  art_nacks *nacks = push_kept_nacks(L, 2, 3);
  uint32_t chosen = UINT32_MAX;

  first = lua_gettop(L) + 1;
  luaL_checkstack(L, count + LUA_MINSTACK, "too many arms");
  for (i = 1; i <= count; i++) lua_rawgeti(L, 1, i);
  results = attempt_once(L, first, 1, count, &chosen);
  art_nacks_fire(nacks, chosen);
  if (results != ASYNCRT_NOT_READY) return push_number(L, chosen, results - 1);
  lua_pushnil(L);
  return 1;
}

/* fire(nacks, armed)
 *
 * Sets every latch of the list, unless `armed`, if not nil, were fired. */
static int select_fire(lua_State *L) {
  art_nacks *nacks = lua_touserdata(L, 2);

  if (nacks == NULL) {
    lua_settop(L, 1);
    nacks = push_nacks(L, 1);
  }
  if (!nacks->fired) art_nacks_fire(nacks, UINT32_MAX);
  return 0;
}

static int checked(lua_State *L, int results) {
  (void) results;
  if (art_task_of(L)->scope->effective) art_raise_cancelled(L);
  return 0;
}

/* checkpoint(): raises in a cancelled scope, after one pass of the scheduler */
static int select_checkpoint(lua_State *L) {
  art_task *task = art_check_blocking(L);

  return task->scope->effective ? art_reschedule(L, task, checked) : 0;
}

/* call(f, ...) -> results...: f cannot wait */
static int select_call(lua_State *L) {
  lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
  return lua_gettop(L);
}

/* set_methods(table): the methods of everything that is an event */
static int select_set_methods(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  art_set_event_methods(L);
  return 0;
}

static const luaL_Reg functions[] = {
    {"always", select_always},
    {"arms", select_arms},
    {"attempt", select_attempt},
    {"call", select_call},
    {"checkpoint", select_checkpoint},
    {"composite", select_composite},
    {"fire", select_fire},
    {"node", select_node},
    {"perform", select_perform},
    {"set_methods", select_set_methods},
    {NULL, NULL},
};

/* Their upvalue is the table whose functions handle composites. */
static const luaL_Reg selectors[] = {
    {"poll", select_poll}, {"select", select_select},
    {"sync", select_sync}, {"sync_timeout", select_sync_timeout},
    {NULL, NULL},
};

int art_open_select(lua_State *L) {
  luaL_newlib(L, functions);
  lua_newtable(L);
  lua_pushvalue(L, -1);
  lua_setfield(L, -3, "composites");
  luaL_setfuncs(L, selectors, 1);
  asyncrt_new_event(L, prepare_never, 0, 0);
  lua_setfield(L, -2, "never");
  return 1;
}
