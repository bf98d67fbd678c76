/* asyncrt.core.watch: a value and its changes. */
#include "bindings.h"
#include "error.h"

#include <stdio.h>
#include <string.h>

/* Its user value is the value. */
typedef struct art_watch_value {
  asyncrt_queue waiters;
  lua_Integer version; /* counts the changes */
} art_watch_value;

static int push_value(lua_State *L, const art_watch_value *watch, int index) {
  lua_getiuservalue(L, index, 1);
  lua_pushinteger(L, watch->version);
  return 2;
}

/* --- changed: u.integer = the version seen; slot = the watch --- */

static int changed_attempt(asyncrt_op *op, lua_State *L) {
  const art_watch_value *watch = op->object;

  if (watch->version == op->u.integer) return ASYNCRT_NOT_READY;
  return ASYNCRT_DONE(push_value(L, watch, op->slot));
}

static void changed_arm(asyncrt_op *op) {
  art_watch_value *watch = op->object;

  asyncrt_queue_push(&watch->waiters, op);
}

static void changed_disarm(asyncrt_op *op) {
  art_watch_value *watch = op->object;

  asyncrt_queue_remove(&watch->waiters, op);
}

/* The latest value: there may have been another change since the wake-up. */
static int changed_finish(asyncrt_op *op, lua_State *L) {
  return push_value(L, op->object, op->slot);
}

static void changed_describe(const asyncrt_op *op, char *text, size_t size) {
  snprintf(text, size, "a change of watch %p", op->object);
}

static const asyncrt_op_type changed_op = {
    "changed",      changed_attempt,  changed_arm, changed_disarm,
    changed_finish, changed_describe, 0,
};

/* --- Methods --- */

static art_watch_value *check_watch(lua_State *L) {
  return art_check_self(L, 1, "asyncrt.watch");
}

/* The version at `arg`; none is the present one. */
static lua_Integer check_seen(lua_State *L, const art_watch_value *watch,
                              int arg) {
  return lua_isnoneornil(L, arg) ? watch->version
                                 : art_check_integer(L, arg, 0, watch->version);
}

/* watch:get() -> value, version */
static int watch_get(lua_State *L) {
  return push_value(L, check_watch(L), 1);
}

/* watch:set(value)
 *
 * Sets the value, which may be nil or the same as before, and wakes all who
 * wait for a change, in the order of their waits. Never waits. */
static int watch_set(lua_State *L) {
  art_watch_value *watch = check_watch(L);

  luaL_checkany(L, 2);
  lua_settop(L, 2);
  lua_setiuservalue(L, 1, 1);
  watch->version++;
  while (watch->waiters.first != NULL)
    asyncrt_op_complete(watch->waiters.first);
  return 0;
}

/* watch:changed([seen]) -> value, version
 *
 * Waits until the version is another than `seen`, or than now; returns the
 * latest value, whatever it was in between. A cancellation point. */
static int watch_changed(lua_State *L) {
  art_watch_value *watch = check_watch(L);
  lua_Integer seen = check_seen(L, watch, 2);
  asyncrt_op *op = asyncrt_prepare(L, &changed_op, watch);

  op->slot = 1;
  op->u.integer = seen;
  return asyncrt_perform(L, op);
}

/* The data of the event: the version seen, or -1 for that of each sync. */
static void prepare_changed(lua_State *L, int index, asyncrt_op *op) {
  const lua_Integer *seen = asyncrt_event_data(L, index);
  const art_watch_value *watch;

  lua_getiuservalue(L, index, 1);
  watch = lua_touserdata(L, -1);
  op->type = &changed_op;
  op->object = lua_touserdata(L, -1);
  op->slot = lua_gettop(L);
  op->u.integer = *seen >= 0 ? *seen : watch->version;
}

/* watch:changed_evt([seen]) -> event: what changed does; without `seen`, a
 * change after each sync began */
static int watch_changed_evt(lua_State *L) {
  const art_watch_value *watch = check_watch(L);
  lua_Integer seen = lua_isnoneornil(L, 2) ? -1 : check_seen(L, watch, 2);
  lua_Integer *data = asyncrt_new_event(L, prepare_changed, sizeof(*data), 1);

  *data = seen;
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, -2, 1);
  return 1;
}

/* watch:version() -> integer: how often it was set */
static int watch_version(lua_State *L) {
  lua_pushinteger(L, check_watch(L)->version);
  return 1;
}

static int watch_tostring(lua_State *L) {
  const art_watch_value *watch = check_watch(L);

  lua_pushfstring(L, "watch %p (version %I)", (const void *) watch,
                  (LUAI_UACINT) watch->version);
  return 1;
}

/* watch([value]) -> watch
 *
 * Holds one value; those who wait for its changes get the latest and may miss
 * what it was in between. Source: Tokio's watch channel. */
static int watch_new(lua_State *L) {
  art_watch_value *watch;

  lua_settop(L, 1);
  watch = lua_newuserdatauv(L, sizeof(*watch), 1);
  memset(watch, 0, sizeof(*watch));
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, -2, 1);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_setmetatable(L, -2);
  return 1;
}

static const luaL_Reg methods[] = {
    {"changed", watch_changed}, {"changed_evt", watch_changed_evt},
    {"get", watch_get},         {"set", watch_set},
    {"version", watch_version}, {NULL, NULL},
};

static const luaL_Reg metamethods[] = {
    {"__tostring", watch_tostring},
    {NULL, NULL},
};

int art_open_watch(lua_State *L) {
  lua_createtable(L, 0, 1);
  lua_newtable(L);
  lua_pushliteral(L, "asyncrt.watch");
  lua_setfield(L, -2, "__name");
  art_set_methods(L, methods);
  lua_pushvalue(L, -1);
  luaL_setfuncs(L, metamethods, 1);
  lua_pushcclosure(L, watch_new, 1);
  lua_setfield(L, -2, "watch");
  return 1;
}
