/* What the module asyncrt.core.net is made of. */
#ifndef ART_NET_H
#define ART_NET_H

#include "asyncrt.h"

#include <lauxlib.h>

extern const luaL_Reg art_listen_functions[];
extern const luaL_Reg art_connect_functions[];

/* Opens the metatable of listening sockets. */
void art_open_listen(lua_State *L);

/* Whether the checked options at 2 ask for TLS. */
bool art_net_wants_tls(lua_State *L);

/* Leaves a call to the script's function of this name, with the address and the
 * options: its results are those of the call. */
int art_net_call_tls(lua_State *L, const char *name);

#endif
