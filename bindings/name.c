/* Names that objects are given for reports. */
#include "bindings.h"

#include <stdio.h>

const char *art_check_name(lua_State *L, int arg) {
  if (lua_isnoneornil(L, arg)) return NULL;
  luaL_checktype(L, arg, LUA_TSTRING);
  return lua_tostring(L, arg);
}

const char *art_keep_name(lua_State *L, const char *name, int arg, int value) {
  if (name == NULL) return NULL;
  lua_pushvalue(L, arg);
  lua_setiuservalue(L, -2, value);
  return name;
}

void art_describe_named(char *text, size_t size, const char *what,
                        const char *name, const void *object) {
  if (name != NULL)
    snprintf(text, size, "%s \"%s\"", what, name);
  else
    snprintf(text, size, "%s %p", what, object);
}

void art_push_named(lua_State *L, const char *what, const char *name,
                    const void *object) {
  if (name != NULL)
    lua_pushfstring(L, "%s \"%s\"", what, name);
  else
    lua_pushfstring(L, "%s %p", what, object);
}
