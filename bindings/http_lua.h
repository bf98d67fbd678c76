/* HTTP between C and Lua: limits in, fields and failures out. */
#ifndef ART_HTTP_LUA_H
#define ART_HTTP_LUA_H

#include "http_parser.h"
#include "http_strings.h"

#include <lua.h>

/* Reads the limits in the table at `arg`, which may be absent. Raises for an
 * unknown one, or a wrong value. */
art_http_limits art_http_check_limits(lua_State *L, int arg);

void art_http_push_slice(lua_State *L, const art_http_parser *parser,
                         art_http_slice slice);

/* Set a field of the table on the top of the stack: to a slice; to true, where
 * it is. */
void art_http_set_slice(lua_State *L, const art_http_parser *parser,
                        const char *name, art_http_slice slice);
void art_http_set_flag(lua_State *L, const char *name, bool value);

/* Sets what a head says besides its start line and fields: how its target is
 * written, where that is of a request; how its body is framed, where it has
 * one, and what else it asks for. Not keep_alive, which nearly every head has.
 */
void art_http_set_form(lua_State *L, const art_http_parser *parser);
void art_http_set_framing(lua_State *L, const art_http_parser *parser);

/* Pushes a table of `count` fields from `first` on: names to values. Those of a
 * repeated field are joined, but set-cookie is always a list. */
void art_http_push_fields(lua_State *L, const art_http_parser *parser,
                          const art_http_strings *strings, uint32_t first,
                          uint32_t count);

/* Pushes nil, message, name, status of an error and returns 4. */
int art_http_push_failure(lua_State *L, art_http_error error);

#endif
