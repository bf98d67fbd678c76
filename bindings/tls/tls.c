/* asyncrt.core.tls: TLS over any stream, by libssl. */
#include "tls.h"

#include "error.h"
#include "listener.h"
#include "runtime.h"

#include <stdlib.h>

int luaopen_asyncrt_core_tls(lua_State *L);

/* The buffers that the streams of a Lua state share, upvalue 1 of functions. */
static tls_scratch *scratch_of(lua_State *L) {
  return lua_touserdata(L, lua_upvalueindex(1));
}

/* state(value) -> "open" | "busy" | "shut" | "closed" | nil
 *
 * What can be done with a stream; nil for anything else. Busy is one that a
 * task waits for, shut one whose sending side has ended. */
static int state(lua_State *L) {
  const char *text = NULL;

  if (art_is_stream(L, 1)) {
    const art_stream *stream = *(art_stream **) art_box_at(L, 1);

    text = stream == NULL              ? "closed"
           : stream->shut              ? "shut"
           : art_stream_in_use(stream) ? "busy"
                                       : "open";
  }
  lua_pushstring(L, text);
  return 1;
}

/* listener_state(value) -> "open" | "secure" | "closed" | nil
 *
 * The same for a listener; secure is one with TLS. */
static int listener_state(lua_State *L) {
  const char *text = NULL;

  if (art_is_listener(L, 1)) {
    const art_listener *listener = *(art_listener **) art_box_at(L, 1);

    text = listener == NULL            ? "closed"
           : listener->upgrade != NULL ? "secure"
                                       : "open";
  }
  lua_pushstring(L, text);
  return 1;
}

/* about(value) -> {server =, verify =} | nil
 *
 * What a context can be used for: whether it has a certificate, and whether a
 * client verifies the server; nil for anything else. */
static int about(lua_State *L) {
  const tls_context *context = tls_to_context(L, 1);

  if (context == NULL) {
    lua_pushnil(L);
    return 1;
  }
  lua_createtable(L, 0, 2);
  lua_pushboolean(L, context->config->server != NULL);
  lua_setfield(L, -2, "server");
  lua_pushboolean(L, context->config->verify);
  lua_setfield(L, -2, "verify");
  return 1;
}

/* start(stream, context, server, name, limit) -> stream | nil, message, code
 *
 * Makes a stream one with TLS, in its place, and begins the handshake. `name`
 * is the server's, for a client; `limit` in seconds is for the handshake. */
static int start(lua_State *L) {
  art_stream **box = art_stream_at(L, 1);
  tls_config *config = tls_check_context(L, 2)->config;
  bool server = lua_toboolean(L, 3);
  const char *name = luaL_optstring(L, 4, NULL);
  double limit = luaL_optnumber(L, 5, config->limit);
  tls_stream *stream;
  int error;

  if (*box == NULL) return art_stream_push_closed(L);
  if (art_stream_in_use(*box) || (server && config->server == NULL))
    art_raise_argument(L, 1, "not to be used so");
  error = tls_open(&stream, *box, scratch_of(L), config, server, name,
                   limit < config->limit ? limit : config->limit);
  if (error != 0) return art_stream_push_error(L, *box, "handshake", error);
  lua_pushvalue(L, 1);
  return 1;
}

/* renew(stream, [ask]) -> boolean
 *
 * Renews this side's key, and asks the other side to do so too: for tests,
 * since libssl does it by itself when it is time. False where it cannot be
 * done. */
static int renew(lua_State *L) {
  art_stream *stream = art_check_stream(L, 1);
  tls_stream *self = tls_of(stream);
  int done = 0;

  if (self != NULL && self->established) {
    tls_enter(self, TLS_TALK);
    done = SSL_key_update(self->ssl, lua_toboolean(L, 2)
                                         ? SSL_KEY_UPDATE_REQUESTED
                                         : SSL_KEY_UPDATE_NOT_REQUESTED) == 1 &&
           SSL_do_handshake(self->ssl) == 1;
    tls_leave(self);
  }
  lua_pushboolean(L, done);
  return 1;
}

/* --- Listeners --- */

typedef struct tls_upgrade {
  art_upgrade upgrade;  /* first */
  tls_context *context; /* shared */
  tls_scratch *scratch; /* borrowed; lives as long as the Lua state */
} tls_upgrade;

static int upgrade_apply(art_upgrade *upgrade, art_stream **stream) {
  tls_upgrade *self = art_container_of(upgrade, tls_upgrade, upgrade);
  tls_config *config = self->context->config;
  tls_stream *opened;
  int error = tls_open(&opened, *stream, self->scratch, config, true, NULL,
                       config->limit);

  if (error == 0) *stream = &opened->stream;
  return error;
}

static void upgrade_free(art_upgrade *upgrade) {
  tls_upgrade *self = art_container_of(upgrade, tls_upgrade, upgrade);

  tls_context_release(self->context);
  free(self);
}

/* secure(listener, context)
 *
 * Makes every stream that the listener accepts from now on one with TLS. Their
 * handshakes go on by themselves. */
static int secure(lua_State *L) {
  art_listener *listener = art_check_listener(L, 1);
  tls_context *context = tls_check_context(L, 2);
  tls_upgrade *upgrade;

  if (context->config->server == NULL || listener->upgrade != NULL)
    art_raise_argument(L, 1, "not to be used so");
  upgrade = calloc(1, sizeof(*upgrade));
  if (upgrade == NULL) art_raise(L, "not enough memory");
  upgrade->upgrade.apply = upgrade_apply;
  upgrade->upgrade.free = upgrade_free;
  upgrade->context = context;
  upgrade->scratch = scratch_of(L);
  context->users++;
  listener->upgrade = &upgrade->upgrade;
  lua_settop(L, 1);
  return 1;
}

static const luaL_Reg functions[] = {
    {"about", about},   {"context", tls_new_context},
    {"secure", secure}, {"listener_state", listener_state},
    {"renew", renew},   {"start", start},
    {"state", state},   {NULL, NULL},
};

int luaopen_asyncrt_core_tls(lua_State *L) {
  art_open_stream(L);
  tls_open_context(L);
  luaL_newlibtable(L, functions);
  lua_newuserdatauv(L, sizeof(tls_scratch), 0);
  luaL_setfuncs(L, functions, 1);
  return 1;
}
