/* What a script sees of time, chance and the order of tables under virtual
 * time. */
#ifndef ART_VIRTUAL_H
#define ART_VIRTUAL_H

#include "asyncrt.h"

#include <time.h>

/* Replaces os.time, os.date, os.clock and pairs in the global tables of L. */
void art_open_virtual(lua_State *L);

/* The date, in seconds since 1970. */
time_t art_date(asyncrt *rt);

/* Seeds math.random. */
void art_seed_math(lua_State *L, uint64_t seed);

#endif
