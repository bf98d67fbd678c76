/* asyncrt.core.arms: arms that are kept from one select to the next. */
#include "arms.h"
#include "arm.h"
#include "bindings.h"
#include "error.h"

/* The object at 1; __index and its like are called with nothing else. */
static art_arms *check_arms(lua_State *L) {
  art_check_self(L, 1, "asyncrt.arms");
  return art_arms_at(L, 1);
}

/* arms[key] -> event | nil */
static int arms_index(lua_State *L) {
  check_arms(L);
  lua_getiuservalue(L, 1, ART_ARMS_TABLE);
  lua_pushvalue(L, 2);
  lua_rawget(L, -2);
  return 1;
}

/* arms[key] = event | false | nil
 *
 * Adds, changes or removes an arm. Raises while a task waits with the arms. */
static int arms_newindex(lua_State *L) {
  const art_arms *arms = check_arms(L);
  asyncrt_prepare_fn prepare = NULL;
  art_event_kind kind = ART_EVENT_BASE;

  if (lua_isnil(L, 2) || art_is_nan(L, 2))
    art_raise(L, "the key of an arm cannot be %s",
              lua_isnil(L, 2) ? "nil" : "NaN");
  if (arms->task != NULL)
    art_raise(L, "cannot change the arms: a task waits with them");
  if (lua_isboolean(L, 3) && !lua_toboolean(L, 3)) {
    lua_pushnil(L); /* false, like nil, is no arm */
    lua_replace(L, 3);
  }
  if (!lua_isnil(L, 3)) kind = art_check_arm(L, 2, 3, &prepare);
  art_arms_set(L, 1, 2, 3, kind, prepare);
  return 0;
}

/* #arms -> integer: how many there are */
static int arms_len(lua_State *L) {
  lua_pushinteger(L, check_arms(L)->count);
  return 1;
}

/* for key, event in pairs(arms) do … end: over a copy */
static int arms_pairs(lua_State *L) {
  check_arms(L);
  lua_getglobal(L, "next");
  lua_newtable(L);
  lua_getiuservalue(L, 1, ART_ARMS_TABLE);
  lua_pushnil(L);
  while (lua_next(L, -2) != 0) {
    lua_pushvalue(L, -2);
    lua_insert(L, -2);
    lua_rawset(L, -5);
  }
  lua_pop(L, 1);
  return 2;
}

static int arms_tostring(lua_State *L) {
  const art_arms *arms = check_arms(L);

  lua_pushfstring(L, "arms %p (%d)", lua_topointer(L, 1), (int) arms->count);
  return 1;
}

static int arms_gc(lua_State *L) {
  art_check_self(L, 1, "asyncrt.arms");
  art_arms_drop(L, 1);
  return 0;
}

/* arms([table]) -> arms
 *
 * The arms of the table, for select and poll, which then take no longer among
 * many than among few, where the same arms are selected among again and again:
 * an arm that lost stays where it waits. Reads and is changed like a table. The
 * task that waits with them keeps them to itself: another one that selects
 * meanwhile waits with a copy. */
static int arms_new(lua_State *L) {
  asyncrt_prepare_fn prepare;
  art_event_kind kind;
  int top, key;

  if (lua_isnoneornil(L, 1)) {
    lua_settop(L, 0);
    lua_newtable(L);
  }
  art_push_arms(L);
  art_arms_push(L);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_setmetatable(L, -2);
  top = lua_gettop(L);
  for (key = 2; key < top; key += 2) {
    prepare = NULL;
    kind = art_check_arm(L, key, key + 1, &prepare);
    art_arms_set(L, top, key, key + 1, kind, prepare);
  }
  return 1;
}

static const luaL_Reg metamethods[] = {
    {"__gc", arms_gc},
    {"__index", arms_index},
    {"__len", arms_len},
    {"__newindex", arms_newindex},
    {"__pairs", arms_pairs},
    {"__tostring", arms_tostring},
    {NULL, NULL},
};

int art_open_arms(lua_State *L) {
  lua_createtable(L, 0, 1);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &art_runtime_of(L)->arms_metatable);
  lua_pushvalue(L, -1);
  luaL_setfuncs(L, metamethods, 1);
  lua_pushcclosure(L, arms_new, 1);
  lua_setfield(L, -2, "arms");
  return 1;
}
