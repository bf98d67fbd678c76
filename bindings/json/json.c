/* asyncrt.json: the module. */
#include "json.h"

#include "bindings.h"
#include "error.h"

int luaopen_asyncrt_core_json(lua_State *L);

/* json.array([table]) -> table
 *
 * Marks a table, a new one if there is none, as an array. Raises where it has
 * another metatable. */
static int json_array_mark(lua_State *L) {
  if (lua_isnone(L, 1)) lua_newtable(L);
  luaL_checktype(L, 1, LUA_TTABLE);
  if (lua_getmetatable(L, 1) && !lua_rawequal(L, -1, ART_JSON_ARRAY))
    art_raise_argument(L, 1, "the table has a metatable");
  lua_pushvalue(L, ART_JSON_ARRAY);
  lua_setmetatable(L, 1);
  lua_settop(L, 1);
  return 1;
}

static int null_tostring(lua_State *L) {
  lua_pushliteral(L, "null");
  return 1;
}

static void push_null(lua_State *L) {
  lua_newuserdatauv(L, 0, 0);
  lua_createtable(L, 0, 2);
  lua_pushliteral(L, "json.null");
  lua_setfield(L, -2, "__name");
  lua_pushcfunction(L, null_tostring);
  lua_setfield(L, -2, "__tostring");
  lua_setmetatable(L, -2);
}

static const luaL_Reg functions[] = {
    {"array", json_array_mark},
    {"decode", art_json_decode},
    {"encode", art_json_encode},
    {NULL, NULL},
};

int luaopen_asyncrt_core_json(lua_State *L) {
  luaL_newlibtable(L, functions);
  push_null(L);
  lua_pushvalue(L, -1);
  lua_setfield(L, -3, "null");
  lua_createtable(L, 0, 1);
  lua_pushliteral(L, "json.array");
  lua_setfield(L, -2, "__name");
  art_json_push_tree_metatable(L);
  art_json_push_encoder(L);
  luaL_setfuncs(L, functions, 4);
  return 1;
}
