/* Option tables, the last argument of many functions. */
#include "options.h"

#include "error.h"

#include <math.h>
#include <string.h>

#define LARGEST_SIZE ((lua_Integer) 1 << 53)

static bool is_known(const char *key, const char *const *names) {
  for (; *names != NULL; names++)
    if (strcmp(key, *names) == 0) return true;
  return false;
}

/* The first name in their order that comes after `last`, or NULL. */
static const char *name_after(const char *const *names, const char *last) {
  const char *first = NULL;

  for (; *names != NULL; names++)
    if (strcmp(*names, last) > 0 &&
        (first == NULL || strcmp(*names, first) < 0))
      first = *names;
  return first;
}

static _Noreturn void raise_unknown(lua_State *L, int arg, const char *key,
                                    const char *const *names) {
  const char *name = name_after(names, "");
  luaL_Buffer text;

  luaL_buffinit(L, &text);
  luaL_addstring(&text, "unknown option '");
  luaL_addstring(&text, key);
  luaL_addstring(&text, "'; there are ");
  while (name != NULL) {
    luaL_addstring(&text, name);
    name = name_after(names, name);
    if (name != NULL) luaL_addstring(&text, ", ");
  }
  luaL_pushresult(&text);
  art_raise_argument(L, arg, lua_tostring(L, -1));
}

void art_check_options(lua_State *L, int arg, const char *const *names) {
  if (lua_isnoneornil(L, arg)) {
    if (lua_isnone(L, arg)) lua_settop(L, arg);
    return;
  }
  luaL_checktype(L, arg, LUA_TTABLE);
  lua_pushnil(L);
  while (lua_next(L, arg) != 0) {
    lua_pop(L, 1);
    if (lua_type(L, -1) != LUA_TSTRING)
      art_raise_argument(L, arg,
                         lua_pushfstring(L, "unknown option [%s]",
                                         luaL_tolstring(L, -1, NULL)));
    if (!is_known(lua_tostring(L, -1), names))
      raise_unknown(L, arg, lua_tostring(L, -1), names);
  }
}

int art_raw_field(lua_State *L, int table, const char *name) {
  if (!lua_getmetatable(L, table)) return lua_getfield(L, table, name);
  lua_pop(L, 1);
  lua_pushstring(L, name);
  return lua_rawget(L, table);
}

/* Pushes the option; false, with nothing pushed, where it is absent. */
static bool push_option(lua_State *L, int arg, const char *name) {
  if (lua_type(L, arg) != LUA_TTABLE) return false;
  if (art_raw_field(L, arg, name) != LUA_TNIL) return true;
  lua_pop(L, 1);
  return false;
}

/* The option on the top of the stack is not what was expected. */
static _Noreturn void raise_option(lua_State *L, int arg, const char *name,
                                   const char *expected) {
  const char *got = lua_type(L, -1) == LUA_TNUMBER ? luaL_tolstring(L, -1, NULL)
                                                   : luaL_typename(L, -1);

  art_raise_argument(L, arg,
                     lua_pushfstring(L, "option '%s': %s expected, got %s",
                                     name, expected, got));
}

lua_Integer art_option_integer(lua_State *L, int arg, const char *name,
                               lua_Integer low, lua_Integer high,
                               lua_Integer otherwise) {
  int is_integer;
  lua_Integer value;

  if (!push_option(L, arg, name)) return otherwise;
  value = lua_tointegerx(L, -1, &is_integer);
  if (lua_type(L, -1) != LUA_TNUMBER || !is_integer || value < low ||
      value > high) {
    const char *expected = lua_pushfstring(
        L, "integer from %I to %I", (LUAI_UACINT) low, (LUAI_UACINT) high);
    lua_insert(L, -2);
    raise_option(L, arg, name, expected);
  }
  lua_pop(L, 1);
  return value;
}

bool art_option_boolean(lua_State *L, int arg, const char *name,
                        bool otherwise) {
  bool value;

  if (!push_option(L, arg, name)) return otherwise;
  if (!lua_isboolean(L, -1)) raise_option(L, arg, name, "boolean");
  value = lua_toboolean(L, -1);
  lua_pop(L, 1);
  return value;
}

const char *art_option_string(lua_State *L, int arg, const char *name,
                              const char *otherwise) {
  const char *value;

  if (!push_option(L, arg, name)) return otherwise;
  value = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : NULL;
  if (value == NULL || strlen(value) != lua_rawlen(L, -1))
    raise_option(L, arg, name, "string without NUL");
  lua_pop(L, 1);
  return value;
}

double art_option_seconds(lua_State *L, int arg, const char *name,
                          double otherwise) {
  double value;

  if (!push_option(L, arg, name)) return otherwise;
  value = lua_tonumber(L, -1);
  if (lua_type(L, -1) != LUA_TNUMBER || isnan(value) || value < 0)
    raise_option(L, arg, name, "non-negative number of seconds");
  lua_pop(L, 1);
  return value;
}

size_t art_option_size(lua_State *L, int arg, const char *name, size_t low,
                       size_t otherwise) {
  int is_integer;
  lua_Integer value;

  if (!push_option(L, arg, name)) return otherwise;
  if (lua_type(L, -1) == LUA_TNUMBER && lua_tonumber(L, -1) == HUGE_VAL) {
    lua_pop(L, 1);
    return SIZE_MAX;
  }
  value = lua_tointegerx(L, -1, &is_integer);
  if (lua_type(L, -1) != LUA_TNUMBER || !is_integer ||
      value < (lua_Integer) low || value > LARGEST_SIZE)
    raise_option(L, arg, name, "number of bytes");
  lua_pop(L, 1);
  return (size_t) value;
}
