/* Option tables, the last argument of many functions. */
#ifndef ART_OPTIONS_H
#define ART_OPTIONS_H

#include "asyncrt.h"

/* Checks the table of options at `arg`, which may be absent: a key that is not
 * in `names` (NULL at the end) raises. Leaves a table or nil at `arg`. */
void art_check_options(lua_State *L, int arg, const char *const *names);

/* Pushes what the table has at `name`, raw; returns its type. Runs no finalizer
 * meanwhile, unless the table has a metatable. */
int art_raw_field(lua_State *L, int table, const char *name);

/* Reads one option of a checked table; `otherwise` where it is absent. A value
 * of another kind raises, naming the option. */
lua_Integer art_option_integer(lua_State *L, int arg, const char *name,
                               lua_Integer low, lua_Integer high,
                               lua_Integer otherwise);
bool art_option_boolean(lua_State *L, int arg, const char *name,
                        bool otherwise);
/* Text without NUL, which the table keeps alive. */
const char *art_option_string(lua_State *L, int arg, const char *name,
                              const char *otherwise);
/* Seconds, not negative and not NaN; may be infinite. */
double art_option_seconds(lua_State *L, int arg, const char *name,
                          double otherwise);
/* A number of bytes, at least `low`; SIZE_MAX for math.huge: no limit. */
size_t art_option_size(lua_State *L, int arg, const char *name, size_t low,
                       size_t otherwise);

#endif
