/* Errors: how failures of the world and of the caller are told. */
#ifndef ART_ERROR_H
#define ART_ERROR_H

#include "asyncrt.h"

#include <lauxlib.h>

/* Raises luaL_error's message at the caller's line. */
_Noreturn void art_raise(lua_State *L, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* As luaL_argerror and luaL_typeerror, known not to return. */
_Noreturn void art_raise_argument(lua_State *L, int arg, const char *message);

/* Argument checks that raise at the caller's line. */
lua_Integer art_check_integer(lua_State *L, int arg, lua_Integer low,
                              lua_Integer high);
const char *art_check_cstring(lua_State *L, int arg);

/* Calls `function` with the `count` values on the top, which are popped, where
 * the end of a task or a report must not fail: an error, which only the lack of
 * memory makes, is dropped. Returns whether there was none. */
bool art_try(lua_State *L, lua_CFunction function, int count);

/* Pushes text for any error value, never raising: what to print for it. */
const char *art_push_error_text(lua_State *L, int index);

/* Writes a line to stderr, with control characters escaped. */
void art_log(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Writes lines as they are, but for control characters other than newline and
 * tab. */
void art_log_text(const char *text);

/* Pushes nil, message, code and returns 3. */
int art_push_failure(lua_State *L, const char *message, const char *code);

#endif
