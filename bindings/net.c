/* asyncrt.core.net: stream sockets, IP and Unix. */
#include "net.h"

#include "bindings.h"
#include "error.h"
#include "runtime.h"
#include "stream.h"

#include <string.h>

static bool ends_with(const char *text, const char *end) {
  size_t length = strlen(text), end_length = strlen(end);

  return length >= end_length && strcmp(text + length - end_length, end) == 0;
}

/* Whether an error says only that the other side has gone. */
static bool is_loss(lua_State *L, int index) {
  const char *text;

  if (lua_type(L, index) != LUA_TSTRING) return false;
  text = lua_tostring(L, index);
  return ends_with(text, ": connection reset by peer") ||
         ends_with(text, ": broken pipe") ||
         ends_with(text, ": connection timed out");
}

/* net.report(error, task)
 *
 * Writes the error that ended a handler to stderr, with its traceback unless it
 * says only that the client has gone: clients do so whenever they like. */
static int net_report(lua_State *L) {
  art_task *task;

  luaL_checkany(L, 1);
  luaL_checktype(L, 2, LUA_TUSERDATA);
  if (!lua_getmetatable(L, 2) ||
      lua_topointer(L, -1) != art_runtime_of(L)->task_metatable)
    luaL_typeerror(L, 2, "task");
  task = lua_touserdata(L, 2);
  if (is_loss(L, 1))
    art_log("%s", lua_tostring(L, 1));
  else
    art_task_report(L, task, 1);
  return 0;
}

static const luaL_Reg functions[] = {
    {"report", net_report},
    {NULL, NULL},
};

int art_open_net(lua_State *L) {
  art_open_stream(L);
  art_open_listen(L);
  luaL_newlib(L, functions);
  luaL_setfuncs(L, art_listen_functions, 0);
  luaL_setfuncs(L, art_connect_functions, 0);
  return 1;
}
