/* asyncrt.core.net: stream sockets, IP and Unix. */
#include "net.h"

#include "bindings.h"
#include "stream.h"

int art_open_net(lua_State *L) {
  art_open_stream(L);
  art_open_listen(L);
  lua_newtable(L);
  luaL_setfuncs(L, art_listen_functions, 0);
  luaL_setfuncs(L, art_connect_functions, 0);
  return 1;
}
