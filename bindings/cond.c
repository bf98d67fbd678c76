/* asyncrt.core.cond: the condition variable. */
#include "bindings.h"
#include "error.h"

#include <string.h>

typedef struct art_cond {
  const char *name; /* borrowed, from the user value; or NULL */
  asyncrt_queue waiters;
} art_cond;

/* A notification is for those who wait already: there is nothing to attempt. */
static int wait_attempt(asyncrt_op *op, lua_State *L) {
  (void) op;
  (void) L;
  return ASYNCRT_NOT_READY;
}

static void wait_arm(asyncrt_op *op) {
  art_cond *cond = op->object;

  asyncrt_queue_push(&cond->waiters, op);
}

static void wait_disarm(asyncrt_op *op) {
  art_cond *cond = op->object;

  asyncrt_queue_remove(&cond->waiters, op);
}

static int wait_finish(asyncrt_op *op, lua_State *L) {
  (void) op;
  (void) L;
  return 0;
}

static void wait_describe(const asyncrt_op *op, char *text, size_t size) {
  const art_cond *cond = op->object;

  art_describe_named(text, size, "cond", cond->name, cond);
}

static const asyncrt_op_type wait_op = {
    "cond", wait_attempt, wait_arm, wait_disarm, wait_finish, wait_describe, 0,
};

static art_cond *check_cond(lua_State *L) {
  return art_check_self(L, 1, "asyncrt.cond");
}

/* cond:wait()
 *
 * Waits for a notification. Look again at what is waited for afterwards:
 * `while not ready do cond:wait() end`. A cancellation point; whoever is
 * cancelled consumes no notification. */
static int cond_wait(lua_State *L) {
  return asyncrt_perform(L, asyncrt_prepare(L, &wait_op, check_cond(L)));
}

static void prepare_wait(lua_State *L, int index, asyncrt_op *op) {
  lua_getiuservalue(L, index, 1);
  op->type = &wait_op;
  op->object = lua_touserdata(L, -1);
}

/* cond:wait_evt() -> event: what wait does */
static int cond_wait_evt(lua_State *L) {
  check_cond(L);
  asyncrt_new_event(L, prepare_wait, 0, 1);
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, -2, 1);
  return 1;
}

/* Wakes at most `most` tasks; pushes how many. */
static int notify(lua_State *L, art_cond *cond, lua_Integer most) {
  lua_Integer count = 0;

  while (count < most && cond->waiters.first != NULL) {
    asyncrt_op_complete(cond->waiters.first);
    count++;
  }
  lua_pushinteger(L, count);
  return 1;
}

/* cond:notify([n = 1]) -> integer
 *
 * Wakes the `n` tasks that have waited longest, or as many as there are;
 * returns how many. Never waits. */
static int cond_notify(lua_State *L) {
  art_cond *cond = check_cond(L);
  lua_Integer most =
      lua_isnoneornil(L, 2) ? 1 : art_check_integer(L, 2, 0, INT32_MAX);

  return notify(L, cond, most);
}

/* cond:notify_all() -> integer: wakes all who wait; returns how many */
static int cond_notify_all(lua_State *L) {
  return notify(L, check_cond(L), LUA_MAXINTEGER);
}

static int cond_tostring(lua_State *L) {
  const art_cond *cond = check_cond(L);

  art_push_named(L, "cond", cond->name, cond);
  return 1;
}

/* cond([name]) -> cond
 *
 * Lets tasks wait until another says that something has changed. It needs no
 * mutex: between looking and waiting no other task runs. */
static int cond_new(lua_State *L) {
  const char *name = art_check_name(L, 1);
  art_cond *cond = lua_newuserdatauv(L, sizeof(*cond), name != NULL ? 1 : 0);

  memset(cond, 0, sizeof(*cond));
  cond->name = art_keep_name(L, name, 1, 1);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_setmetatable(L, -2);
  return 1;
}

static const luaL_Reg methods[] = {
    {"notify", cond_notify},
    {"notify_all", cond_notify_all},
    {"wait", cond_wait},
    {"wait_evt", cond_wait_evt},
    {NULL, NULL},
};

static const luaL_Reg metamethods[] = {
    {"__tostring", cond_tostring},
    {NULL, NULL},
};

int art_open_cond(lua_State *L) {
  lua_createtable(L, 0, 1);
  lua_newtable(L);
  lua_pushliteral(L, "asyncrt.cond");
  lua_setfield(L, -2, "__name");
  art_set_methods(L, methods);
  lua_pushvalue(L, -1);
  luaL_setfuncs(L, metamethods, 1);
  lua_pushcclosure(L, cond_new, 1);
  lua_setfield(L, -2, "cond");
  return 1;
}
