/* The strings that heads have again and again: names of fields, what one
 * browser sends with every request. They are kept, and found by their bytes for
 * a fraction of what it takes Lua to make a string. */
#ifndef ART_HTTP_STRINGS_H
#define ART_HTTP_STRINGS_H

#include <lua.h>
#include <stddef.h>

typedef struct art_http_place art_http_place;

/* Those of a Lua state. */
typedef struct art_http_strings {
  art_http_place *places; /* borrowed; of the userdata behind the strings */
  int table;              /* where the table of the strings is in the stack */
} art_http_strings;

/* Pushes the table of the strings, which it makes where there is none. */
art_http_strings art_http_push_strings(lua_State *L);

/* The same where that table is at `table` already. */
art_http_strings art_http_strings_at(lua_State *L, int table);

/* Pushes the string of these bytes. Of those that are not kept, it keeps what
 * was asked for the last time too. */
void art_http_push_string(lua_State *L, const art_http_strings *strings,
                          const char *text, size_t size);

#endif
