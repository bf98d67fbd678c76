/* asyncrt.core.curl: what the HTTP client is made of. */
#include "bindings.h"
#include "client.h"
#include "error.h"
#include "options.h"
#include "public.h"
#include "request.h"
#include "response.h"
#include "runtime.h"
#include "transfer.h"

#define CLIENT "asyncrt.http.Client"
#define MOST_OPTIONS 24 /* and what the script keeps with them */

static art_client **check_client(lua_State *L) {
  return art_box_in(art_check_self(L, 1, CLIENT));
}

/* client:start(request) -> transfer
 *
 * Starts a request, of which the script has checked all; never waits. The
 * transfer is a stream. Whatever fails, `head` tells. */
static int client_start(lua_State *L) {
  art_client **client = check_client(L);

  if (*client == NULL) art_raise(L, "the client is closed");
  return art_request_start(L, client);
}

/* client:close() -> true
 *
 * Ends its transfers and closes its connections; waits for nothing. */
static int client_close(lua_State *L) {
  art_client **box = check_client(L);

  if (*box != NULL) art_client_close(*box);
  lua_pushboolean(L, true);
  return 1;
}

static int client_gc(lua_State *L) {
  art_client *client = *(art_client **) art_box_at(L, 1);

  if (client != NULL) {
    art_handle_collected(client->rt, &client->handle);
    art_client_close(client);
  }
  art_box_drop(L, 1);
  return 0;
}

/* client:stats() -> number of requests under way, number of connections */
static int client_stats(lua_State *L) {
  const art_client *client = *check_client(L);

  lua_pushinteger(L, client != NULL ? client->count : 0);
  lua_pushinteger(L, client != NULL ? client->sockets.count : 0);
  return 2;
}

static const luaL_Reg of_client[] = {
    {"start", client_start},
    {"close", client_close},
    {"stats", client_stats},
    {NULL, NULL},
};

static void push_metatable(lua_State *L) {
  if (!luaL_newmetatable(L, CLIENT)) return;
  lua_pushcfunction(L, client_gc);
  lua_setfield(L, -2, "__gc");
  art_set_methods(L, of_client);
  lua_pushboolean(L, false);
  lua_setfield(L, -2, "__metatable");
}

/* client(options) -> client
 *
 * `is_shared` is for the one that nobody closes. */
static int new_client(lua_State *L) {
  art_client_options options = {0};
  art_client **box;

  options.connections =
      (long) art_option_integer(L, 1, "max_connections", 0, INT32_MAX, 0);
  options.per_host =
      (long) art_option_integer(L, 1, "max_per_host", 0, INT32_MAX, 0);
  lua_getfield(L, 1, "cookies");
  options.cookies = lua_toboolean(L, -1);
  options.cookie_file = lua_tostring(L, -1);
  box = art_box_push(L, 0);
  push_metatable(L);
  lua_setmetatable(L, -2);
  *box = art_client_new(L, &options);
  if (*box == NULL) art_raise(L, "not enough memory");
  (*box)->box = box;
  art_box_share(box);
  art_handle_taken(L, &(*box)->handle);
  if (art_option_boolean(L, 1, "is_shared", false)) (*box)->handle.site = NULL;
  return 1;
}

/* is_public(address) -> boolean
 *
 * Whether an IP address is one of the public internet. */
static int is_public(lua_State *L) {
  art_address address;

  lua_pushboolean(L,
                  art_address_parse_ip(luaL_checkstring(L, 1), 0, &address) &&
                      art_is_public(&address.socket.any));
  return 1;
}

/* copy(options) -> table
 *
 * A copy that has room for what a request has besides: to grow field by field
 * takes longer than all of the rest. */
static int copy(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  lua_createtable(L, 0, MOST_OPTIONS);
  lua_pushnil(L);
  while (lua_next(L, 1) != 0) {
    lua_pushvalue(L, -2);
    lua_insert(L, -2);
    lua_rawset(L, 2);
  }
  return 1;
}

static const luaL_Reg functions[] = {
    {"client", new_client},
    {"copy", copy},
    {"head", art_response_head},
    {"is_public", is_public},
    {"origin", art_request_origin},
    {"resolve", art_request_resolve},
    {"sent", art_response_sent},
    {"trailers", art_response_trailers},
    {NULL, NULL},
};

int luaopen_asyncrt_core_curl(lua_State *L);

int luaopen_asyncrt_core_curl(lua_State *L) {
  if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
    return luaL_error(L, "libcurl cannot be initialised");
  luaL_newlib(L, functions);
  return 1;
}
