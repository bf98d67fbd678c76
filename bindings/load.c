/* load, loadfile, dofile and require for source text alone: a binary chunk that
 * was tampered with crashes the interpreter. */
#include "bindings.h"

#include <lauxlib.h>
#include <lualib.h>
#include <string.h>

/* Replaces the mode at stack index `arg` by one that no binary chunk passes,
 * and calls the original in the upvalue. */
static int load_text(lua_State *L, int arg) {
  const char *mode = luaL_optstring(L, arg, "t");

  if (lua_gettop(L) < arg) lua_settop(L, arg);
  lua_pushstring(L, strchr(mode, 't') != NULL ? "t" : "");
  lua_replace(L, arg);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
  return lua_gettop(L);
}

/* load(chunk [, name [, mode [, env]]]) -> function | nil, message */
static int load_chunk(lua_State *L) {
  if (!lua_isstring(L, 1)) luaL_checktype(L, 1, LUA_TFUNCTION);
  luaL_optstring(L, 2, NULL);
  return load_text(L, 3);
}

/* loadfile([path [, mode [, env]]]) -> function | nil, message */
static int load_file(lua_State *L) {
  luaL_optstring(L, 1, NULL);
  return load_text(L, 2);
}

static int do_file_k(lua_State *L, int status, lua_KContext context) {
  (void) status;
  (void) context;
  return lua_gettop(L) - 1;
}

/* dofile([path]) -> the results of the chunk, which may wait */
static int do_file(lua_State *L) {
  const char *path = luaL_optstring(L, 1, NULL);

  lua_settop(L, 1);
  if (luaL_loadfilex(L, path, "t") != LUA_OK) return lua_error(L);
  lua_callk(L, 0, LUA_MULTRET, 0, do_file_k);
  return do_file_k(L, LUA_OK, 0);
}

/* The searcher for source files, as in Lua's package library. The upvalue is
 * `package`. */
static int search_source(lua_State *L) {
  const char *name = luaL_checkstring(L, 1);
  const char *path;

  lua_getfield(L, lua_upvalueindex(1), "searchpath");
  lua_pushvalue(L, 1);
  if (lua_getfield(L, lua_upvalueindex(1), "path") != LUA_TSTRING)
    return luaL_error(L, "'package.path' must be a string");
  lua_call(L, 2, 2);
  if (lua_isnil(L, -2)) return 1; /* where it was looked for */
  lua_pop(L, 1);
  path = lua_tostring(L, -1);
  if (luaL_loadfilex(L, path, "t") != LUA_OK)
    return luaL_error(L, "error loading module '%s' from file '%s':\n\t%s",
                      name, path, lua_tostring(L, -1));
  lua_insert(L, -2);
  return 2;
}

static void wrap(lua_State *L, const char *name, lua_CFunction function) {
  lua_getglobal(L, name);
  lua_pushcclosure(L, function, 1);
  lua_setglobal(L, name);
}

/* Replaces the global functions and the searcher; returns nothing. */
int art_open_load(lua_State *L) {
  wrap(L, "load", load_chunk);
  wrap(L, "loadfile", load_file);
  wrap(L, "dofile", do_file);
  lua_getglobal(L, LUA_LOADLIBNAME);
  lua_getfield(L, -1, "searchers");
  lua_pushvalue(L, -2);
  lua_pushcclosure(L, search_source, 1);
  lua_rawseti(L, -2, 2);
  lua_pop(L, 2);
  return 0;
}
