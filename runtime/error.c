/* Errors: how failures of the world and of the caller are told. */
#include "error.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void art_raise(lua_State *L, const char *format, ...) {
  va_list arguments;

  luaL_where(L, 1);
  va_start(arguments, format);
  lua_pushvfstring(L, format, arguments);
  va_end(arguments);
  lua_concat(L, 2);
  lua_error(L);
  abort(); /* lua_error does not return, but is not declared so */
}

void art_raise_argument(lua_State *L, int arg, const char *message) {
  luaL_argerror(L, arg, message);
  abort(); /* as above */
}

lua_Integer art_check_integer(lua_State *L, int arg, lua_Integer low,
                              lua_Integer high) {
  int is_integer;
  lua_Integer value;

  if (lua_type(L, arg) != LUA_TNUMBER) luaL_checktype(L, arg, LUA_TNUMBER);
  value = lua_tointegerx(L, arg, &is_integer);
  if (!is_integer)
    art_raise_argument(L, arg, "number has no integer representation");
  if (value < low || value > high)
    art_raise_argument(L, arg,
                       lua_pushfstring(L,
                                       "integer from %I to %I expected, got %I",
                                       (LUAI_UACINT) low, (LUAI_UACINT) high,
                                       (LUAI_UACINT) value));
  return value;
}

const char *art_check_cstring(lua_State *L, int arg) {
  size_t length;
  const char *text;

  if (lua_type(L, arg) != LUA_TSTRING) luaL_checktype(L, arg, LUA_TSTRING);
  text = lua_tolstring(L, arg, &length);
  if (strlen(text) != length) art_raise_argument(L, arg, "embedded NUL");
  return text;
}

bool art_try(lua_State *L, lua_CFunction function, int count) {
  lua_pushcfunction(L, function);
  lua_insert(L, -count - 1);
  if (lua_pcall(L, count, 0, 0) == LUA_OK) return true;
  lua_pop(L, 1);
  return false;
}

static int error_tostring(lua_State *L) {
  luaL_tolstring(L, 1, NULL);
  return 1;
}

const char *art_push_error_text(lua_State *L, int index) {
  index = lua_absindex(L, index);
  if (lua_type(L, index) == LUA_TSTRING) {
    lua_pushvalue(L, index);
  } else if (luaL_getmetafield(L, index, "__tostring") != LUA_TNIL) {
    lua_pop(L, 1);
    lua_pushcfunction(L, error_tostring);
    lua_pushvalue(L, index);
    if (lua_pcall(L, 1, 1, 0) != LUA_OK) {
      lua_pop(L, 1);
      lua_pushfstring(L, "(error object is a %s value whose __tostring fails)",
                      luaL_typename(L, index));
    }
  } else if (lua_type(L, index) == LUA_TNUMBER) {
    lua_pushvalue(L, index); /* lua_tostring converts in place */
    lua_tostring(L, -1);
  } else {
    lua_pushfstring(L, "(error object is a %s value)", luaL_typename(L, index));
  }
  return lua_tostring(L, -1);
}

void art_log_text(const char *text) {
  char shown[1024];
  size_t used = 0;

  for (; *text != '\0'; text++) {
    unsigned char c = (unsigned char) *text;

    if (c == '\n' || c == '\t' || (c >= 0x20 && c != 0x7f))
      shown[used++] = (char) c;
    else
      used += (size_t) sprintf(shown + used, "\\x%02X", c);
    if (used + sizeof("\\x00") > sizeof(shown)) {
      fwrite(shown, 1, used, stderr);
      used = 0;
    }
  }
  fwrite(shown, 1, used, stderr);
  fflush(stderr);
}

void art_log(const char *format, ...) {
  char line[1024];
  va_list arguments;

  va_start(arguments, format);
  vsnprintf(line, sizeof(line), format, arguments);
  va_end(arguments);
  art_log_text("asyncrt: ");
  art_log_text(line);
  art_log_text("\n");
}

int art_push_failure(lua_State *L, const char *message, const char *code) {
  lua_pushnil(L);
  lua_pushstring(L, message);
  lua_pushstring(L, code);
  return 3;
}

int asyncrt_push_error(lua_State *L, const char *operation, const char *object,
                       int uv_error) {
  char code[32];

  lua_pushnil(L);
  if (object != NULL)
    lua_pushfstring(L, "%s %s: %s", operation, object, uv_strerror(uv_error));
  else
    lua_pushfstring(L, "%s: %s", operation, uv_strerror(uv_error));
  uv_err_name_r(uv_error, code, sizeof(code));
  lua_pushstring(L, code);
  return 3;
}
