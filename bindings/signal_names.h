/* The names of signals. */
#ifndef ART_SIGNAL_NAMES_H
#define ART_SIGNAL_NAMES_H

#include "asyncrt.h"

/* The signal at `arg`: "TERM", "SIGTERM" or a number; raises for another. */
int art_check_signal(lua_State *L, int arg);

/* "TERM", or NULL for a signal without a name. */
const char *art_signal_name(int number);

#endif
