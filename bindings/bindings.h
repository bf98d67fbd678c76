/* The modules written in C, and what they share. */
#ifndef ART_BINDINGS_H
#define ART_BINDINGS_H

#include "asyncrt.h"

#include <lauxlib.h>

int art_open_arms(lua_State *L);
int art_open_broadcast(lua_State *L);
int art_open_bytes(lua_State *L);
int art_open_channel(lua_State *L);
int art_open_cond(lua_State *L);
int art_open_dns(lua_State *L);
int art_open_group(lua_State *L);
int art_open_inspect(lua_State *L);
int art_open_http_connection(lua_State *L);
int art_open_http_parser(lua_State *L);
int art_open_journal(lua_State *L);
int art_open_load(lua_State *L);
int art_open_local(lua_State *L);
int art_open_memory_stream(lua_State *L);
int art_open_net(lua_State *L);
int art_open_scope(lua_State *L);
int art_open_select(lua_State *L);
int art_open_semaphore(lua_State *L);
int art_open_signal(lua_State *L);
int art_open_stdio(lua_State *L);
int art_open_sync(lua_State *L);
int art_open_task(lua_State *L);
int art_open_test(lua_State *L);
int art_open_ticker(lua_State *L);
int art_open_time(lua_State *L);
int art_open_watch(lua_State *L);

/* The object at `arg` of a method whose first upvalue is its metatable; raises
 * for anything else, naming `type`. */
static inline void *art_check_self(lua_State *L, int arg, const char *type) {
  if (lua_type(L, arg) == LUA_TUSERDATA && lua_getmetatable(L, arg)) {
    const void *metatable = lua_topointer(L, -1);

    lua_pop(L, 1);
    if (metatable == lua_topointer(L, lua_upvalueindex(1)))
      return lua_touserdata(L, arg);
  }
  luaL_typeerror(L, arg, type);
  return NULL;
}

/* The same for a class whose objects take `size` bytes and begin with the
 * address of its `tag`, which no other userdata does: two calls of Lua in the
 * place of six. */
static inline void *art_check_tagged(lua_State *L, int arg, const void *tag,
                                     size_t size, const char *type) {
  void *object = lua_touserdata(L, arg);

  if (object != NULL && lua_rawlen(L, arg) == size &&
      *(const void **) object == tag)
    return object;
  luaL_typeerror(L, arg, type);
  return NULL;
}

/* Raises unless the value at `arg` can be called. */
void art_check_callable(lua_State *L, int arg);

/* The name at `arg`, a string that stays where it is, or NULL; raises for
 * anything else. */
const char *art_check_name(lua_State *L, int arg);

/* Keeps that name, if it is one, in the user value `value` of the object on the
 * top; returns it. */
const char *art_keep_name(lua_State *L, const char *name, int arg, int value);

/* `what "name"`, or with the address of an object that has none. */
void art_describe_named(char *text, size_t size, const char *what,
                        const char *name, const void *object);
void art_push_named(lua_State *L, const char *what, const char *name,
                    const void *object);

/* Sets the methods of a class: the metatable is on the top of the stack, is
 * the first upvalue of every method, and keeps them in __index. */
void art_set_methods(lua_State *L, const luaL_Reg *methods);

#endif
