/* asyncrt.core.net: stream sockets, IP and Unix. */
#include "net.h"

#include "bindings.h"
#include "error.h"
#include "runtime.h"
#include "stream.h"

#include <string.h>

static const char with_tls_key; /* its address is the key in the registry */

static bool ends_with(const char *text, const char *end) {
  size_t length = strlen(text), end_length = strlen(end);

  return length >= end_length && strcmp(text + length - end_length, end) == 0;
}

/* Whether a message is that of a failure of the connection with `peer` which
 * says only that the other side has gone, or is not the one to talk to. */
static bool is_loss(lua_State *L, const char *message, const char *peer) {
  static const char *const reasons[] = {
      "broken pipe", "connection reset by peer", "connection timed out",
      "cut off without close_notify"};
  const char *start;
  size_t i;

  for (i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
    lua_pushfstring(L, " %s: %s", peer, reasons[i]);
    if (ends_with(message, lua_tostring(L, -1))) return true;
    lua_pop(L, 1);
  }
  start = lua_pushfstring(L, "handshake %s: ", peer);
  return strncmp(message, start, strlen(start)) == 0;
}

/* net.report(error, task [, subject [, peer]])
 *
 * Writes the error that ended a handler to stderr, after a line of what it was
 * about, and with its traceback, unless it says only that the client, `peer`,
 * has gone: clients do so whenever they like. */
static int net_report(lua_State *L) {
  const char *subject = luaL_optstring(L, 3, NULL);
  const char *peer = luaL_optstring(L, 4, NULL);
  art_task *task;

  luaL_checkany(L, 1);
  luaL_checktype(L, 2, LUA_TUSERDATA);
  if (!lua_getmetatable(L, 2) ||
      lua_topointer(L, -1) != art_runtime_of(L)->task_metatable)
    luaL_typeerror(L, 2, "task");
  task = lua_touserdata(L, 2);
  if (peer != NULL && lua_type(L, 1) == LUA_TSTRING &&
      is_loss(L, lua_tostring(L, 1), peer)) {
    art_log("%s", lua_tostring(L, 1));
    return 0;
  }
  if (subject != NULL)
    art_log_text(lua_pushfstring(L, "asyncrt: %s has failed:\n", subject));
  art_task_report(L, task, 1);
  return 0;
}

bool art_net_wants_tls(lua_State *L) {
  bool wanted;

  if (lua_type(L, 2) != LUA_TTABLE) return false;
  lua_pushliteral(L, "tls");
  lua_rawget(L, 2);
  wanted = lua_toboolean(L, -1);
  lua_pop(L, 1);
  return wanted;
}

static int called(lua_State *L, int status, lua_KContext context) {
  (void) status;
  (void) context;
  return lua_gettop(L);
}

int art_net_call_tls(lua_State *L, const char *name) {
  lua_settop(L, 2);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &with_tls_key);
  lua_getfield(L, -1, name);
  lua_replace(L, -2);
  lua_insert(L, 1);
  lua_callk(L, 2, LUA_MULTRET, 0, called);
  return called(L, LUA_OK, 0);
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
  /* What a script does for connect, connect_evt and listen with TLS. */
  lua_newtable(L);
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &with_tls_key);
  lua_setfield(L, -2, "with_tls");
  return 1;
}
