/* load, loadfile, dofile and require without foreign binary chunks: one that
 * was tampered with crashes the interpreter. What string.dump made in this very
 * process is known, and loads. */
#include "bindings.h"

#include <lauxlib.h>
#include <lualib.h>
#include <string.h>

static const char dumps_key; /* its address: registry key of a set of dumps */

static bool is_binary(lua_State *L, int index) {
  return lua_type(L, index) == LUA_TSTRING &&
         *lua_tostring(L, index) == *LUA_SIGNATURE;
}

static int refuse_binary(lua_State *L) {
  lua_pushnil(L);
  lua_pushliteral(L,
                  "attempt to load a binary chunk that is foreign, truncated "
                  "or changed");
  return 2;
}

/* Runs the function that this one has replaced, upvalue 1, in this one's frame:
 * its errors name this one and the line of the caller. */
static int original(lua_State *L) {
  return lua_tocfunction(L, lua_upvalueindex(1))(L);
}

/* string.dump(f [, strip]) -> string
 *
 * As Lua's. `load` takes the result, unchanged, in this process. */
static int dump(lua_State *L) {
  original(L);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &dumps_key);
  lua_pushvalue(L, -2);
  lua_pushboolean(L, 1);
  lua_rawset(L, -3);
  lua_pop(L, 1);
  return 1;
}

static bool is_own_dump(lua_State *L, int index) {
  bool own;

  lua_rawgetp(L, LUA_REGISTRYINDEX, &dumps_key);
  lua_pushvalue(L, index);
  own = lua_rawget(L, -2) != LUA_TNIL;
  lua_pop(L, 2);
  return own;
}

/* Calls the reader, upvalue 1, and pushes what it gives; false at the end. */
static bool read_piece(lua_State *L) {
  size_t length;

  lua_pushvalue(L, lua_upvalueindex(1));
  lua_call(L, 0, 1);
  if (lua_isnil(L, -1)) return false;
  if (!lua_isstring(L, -1)) {
    luaL_where(L, 2); /* below load */
    lua_pushliteral(L, "reader function must return a string");
    lua_concat(L, 2);
    lua_error(L);
  }
  lua_tolstring(L, -1, &length);
  return length > 0;
}

/* Stands before the reader, upvalue 1; upvalue 2 is whether there was a piece.
 * A binary chunk is given whole. */
static int read_checked(lua_State *L) {
  bool begun = lua_toboolean(L, lua_upvalueindex(2));

  lua_settop(L, 0);
  if (!read_piece(L) || begun) return 1;
  lua_pushboolean(L, 1);
  lua_replace(L, lua_upvalueindex(2));
  if (!is_binary(L, 1)) return 1;
  while (read_piece(L)) lua_concat(L, 2);
  lua_settop(L, 1);
  if (is_own_dump(L, 1)) return 1;
  refuse_binary(L);
  return lua_error(L);
}

/* load(chunk [, name [, mode [, env]]]) -> function | nil, message */
static int load_chunk(lua_State *L) {
  if (!lua_isstring(L, 1)) {
    luaL_checktype(L, 1, LUA_TFUNCTION);
    lua_pushvalue(L, 1);
    lua_pushboolean(L, 0);
    lua_pushcclosure(L, read_checked, 2);
    lua_replace(L, 1);
  }
  luaL_optstring(L, 2, NULL);
  luaL_optstring(L, 3, NULL);
  if (is_binary(L, 1) && !is_own_dump(L, 1)) return refuse_binary(L);
  return original(L);
}

/* Replaces the mode at stack index `arg` by one that no binary chunk passes. */
static int load_text(lua_State *L, int arg) {
  const char *mode = luaL_optstring(L, arg, "t");

  if (lua_gettop(L) < arg) lua_settop(L, arg);
  lua_pushstring(L, strchr(mode, 't') != NULL ? "t" : "");
  lua_replace(L, arg);
  return original(L);
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
  lua_newtable(L);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &dumps_key);
  lua_getglobal(L, LUA_STRLIBNAME);
  lua_getfield(L, -1, "dump");
  lua_pushcclosure(L, dump, 1);
  lua_setfield(L, -2, "dump");
  lua_pop(L, 1);
  lua_getglobal(L, LUA_LOADLIBNAME);
  lua_getfield(L, -1, "searchers");
  lua_pushvalue(L, -2);
  lua_pushcclosure(L, search_source, 1);
  lua_rawseti(L, -2, 2);
  lua_pop(L, 2);
  return 0;
}
