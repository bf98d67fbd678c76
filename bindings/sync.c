/* asyncrt.core.sync: the manually triggered event. */
#include "bindings.h"
#include "error.h"
#include "op.h"
#include "runtime.h"

#include <string.h>

/* The user values; there is a place for a name only where there is one. */
enum { LATCH_VALUES = 1, LATCH_NAME };

typedef struct latch_object {
  art_latch latch;  /* first: a nack points at it */
  const char *name; /* borrowed, from the user value; or NULL */
  int count;        /* values; one is LATCH_VALUES, more are in a table there */
} latch_object;

static latch_object *check_latch(lua_State *L) {
  return art_check_self(L, 1, "asyncrt.event");
}

static int push_values(lua_State *L, const latch_object *object, int index) {
  int i;

  if (object->count == 0) return 0;
  luaL_checkstack(L, object->count + 1, "too many values");
  lua_getiuservalue(L, index, LATCH_VALUES);
  if (object->count == 1) return 1;
  for (i = 1; i <= object->count; i++) lua_rawgeti(L, -i, i);
  return object->count;
}

static int wait_attempt(asyncrt_op *op, lua_State *L) {
  latch_object *object = op->object;

  if (!object->latch.set) return ASYNCRT_NOT_READY;
  return ASYNCRT_DONE(push_values(L, object, op->slot));
}

static void wait_arm(asyncrt_op *op) {
  latch_object *object = op->object;

  asyncrt_queue_push(&object->latch.waiters, op);
}

static void wait_disarm(asyncrt_op *op) {
  latch_object *object = op->object;

  asyncrt_queue_remove(&object->latch.waiters, op);
}

static int wait_finish(asyncrt_op *op, lua_State *L) {
  return push_values(L, op->object, op->slot);
}

static void wait_describe(const asyncrt_op *op, char *text, size_t size) {
  const latch_object *object = op->object;

  art_describe_named(text, size, "event", object->name, object);
}

static const asyncrt_op_type wait_op = {
    "wait",      wait_attempt,  wait_arm,        wait_disarm,
    wait_finish, wait_describe, ASYNCRT_OP_KEPT,
};

static void prepare_wait(lua_State *L, int index, asyncrt_op *op) {
  op->type = &wait_op;
  op->object = lua_touserdata(L, index);
  op->slot = index;
}

/* event:wait() -> values...
 *
 * Waits until the event is set; returns the values it was set with. A
 * cancellation point. The event is itself an event for select that does the
 * same. */
static int latch_wait(lua_State *L) {
  asyncrt_op *op = asyncrt_prepare(L, &wait_op, check_latch(L));

  op->slot = 1;
  return asyncrt_perform(L, op);
}

/* event:set(...) -> boolean
 *
 * Wakes all who wait, in the order of their waits. True the first time; later
 * calls change nothing: the first values stay. Never waits. */
static int latch_set(lua_State *L) {
  latch_object *object = check_latch(L);
  int count = lua_gettop(L) - 1, i;

  if (object->latch.read_only)
    art_raise(L, "a nack cannot be set: it tells that its arm was not chosen");
  if (count > 1 && !object->latch.set) {
    lua_createtable(L, count, 0);
    lua_insert(L, 2);
    for (i = count; i >= 1; i--) lua_rawseti(L, 2, i);
  }
  if (object->latch.set) { /* by a finalizer, maybe */
    lua_pushboolean(L, 0);
    return 1;
  }
  if (count > 0) lua_setiuservalue(L, 1, LATCH_VALUES);
  object->count = count;
  art_latch_set(&object->latch);
  lua_pushboolean(L, 1);
  return 1;
}

/* event:is_set() -> boolean */
static int latch_is_set(lua_State *L) {
  lua_pushboolean(L, check_latch(L)->latch.set);
  return 1;
}

/* `name` is the string at 1, or NULL. */
static int new_latch(lua_State *L, bool read_only, const char *name) {
  latch_object *object = lua_newuserdatauv(
      L, sizeof(*object), name != NULL ? LATCH_NAME : LATCH_VALUES);

  memset(object, 0, sizeof(*object));
  object->latch.read_only = read_only;
  object->name = art_keep_name(L, name, 1, LATCH_NAME);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_setmetatable(L, -2);
  return 1;
}

/* event([name]) -> event
 *
 * A fact that becomes true once, by set(...), and stays so. Source: Racket's
 * and CML's one-shot events. */
static int sync_event(lua_State *L) {
  return new_latch(L, false, art_check_name(L, 1));
}

/* nack() -> event: what with_nack hands to its function */
static int sync_nack(lua_State *L) {
  return new_latch(L, true, NULL);
}

static int latch_tostring(lua_State *L) {
  const latch_object *object = check_latch(L);

  art_push_named(L, "event", object->name, object);
  lua_pushstring(L, object->latch.set ? " (set)" : " (not set)");
  lua_concat(L, 2);
  return 1;
}

static const luaL_Reg functions[] = {
    {"event", sync_event},
    {"nack", sync_nack},
    {NULL, NULL},
};

static const luaL_Reg methods[] = {
    {"is_set", latch_is_set},
    {"set", latch_set},
    {"wait", latch_wait},
    {NULL, NULL},
};

static const luaL_Reg metamethods[] = {
    {"__tostring", latch_tostring},
    {NULL, NULL},
};

int art_open_sync(lua_State *L) {
  luaL_newlibtable(L, functions);
  lua_newtable(L);
  lua_pushliteral(L, "asyncrt.event");
  lua_setfield(L, -2, "__name");
  art_set_methods(L, methods);
  lua_pushvalue(L, -1);
  luaL_setfuncs(L, metamethods, 1);
  asyncrt_set_event(L, prepare_wait);
  luaL_setfuncs(L, functions, 1);
  return 1;
}
