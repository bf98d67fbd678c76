/* What the module asyncrt.core.net is made of. */
#ifndef ART_NET_H
#define ART_NET_H

#include "asyncrt.h"

#include <lauxlib.h>

extern const luaL_Reg art_listen_functions[];
extern const luaL_Reg art_connect_functions[];

/* Opens the metatable of listening sockets. */
void art_open_listen(lua_State *L);

#endif
