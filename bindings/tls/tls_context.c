/* TLS: contexts, what a connection is made with: certificates, whom to trust,
 * protocols. A context may be loaded anew; a connection keeps what it has. */
#include "tls.h"

#include "error.h"
#include "options.h"

#include <ctype.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_LIMIT 10.0 /* seconds for a handshake */
#define DEFAULT_MOST 1000  /* unfinished handshakes */

static const char *const option_names[] = {
    "alpn",
    "ca",
    "cert",
    "client_ca",
    "key",
    "password",
    "verify",
    "verify_client",
    "max_version",
    "sni",
    "min_version",
    "handshake_timeout",
    "max_handshakes",
    NULL,
};

/* --- Life --- */

static void free_config(tls_config *config) {
  size_t i;

  tls_identity_clear(&config->identity);
  sk_X509_pop_free(config->roots, X509_free);
  sk_X509_pop_free(config->client_roots, X509_free);
  SSL_CTX_free(config->client);
  SSL_CTX_free(config->server);
  for (i = 0; i < config->host_count; i++) {
    free(config->hosts[i].name);
    SSL_CTX_free(config->hosts[i].context);
  }
  free(config->hosts);
  free(config->protocols);
  tls_free_sessions(config);
  free(config);
}

void tls_config_release(tls_config *config) {
  if (--config->users == 0) free_config(config);
}

void tls_context_release(tls_context *context) {
  if (--context->users > 0) return;
  if (context->config != NULL) tls_config_release(context->config);
  free(context);
}

static tls_config *new_config(void) {
  tls_config *config = calloc(1, sizeof(*config));

  if (config == NULL) return NULL;
  config->users = 1;
  art_list_init(&config->handshakes);
  return config;
}

/* --- For libssl --- */

static const tls_host *find_host(const tls_config *config, const char *name,
                                 bool wildcard) {
  size_t i;

  for (i = 0; i < config->host_count; i++) {
    const char *host = config->hosts[i].name;

    if (wildcard && strncmp(host, "*.", 2) != 0) continue;
    if (strcasecmp(wildcard ? host + 1 : host, name) == 0)
      return &config->hosts[i];
  }
  return NULL;
}

/* A server is told the name that the client asked for: who is not known by name
 * gets the certificate of the context. */
static int choose_host(SSL *ssl, int *alert, void *argument) {
  const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
  const tls_config *config = argument;
  const tls_host *host = NULL;

  (void) alert;
  if (name == NULL) return SSL_TLSEXT_ERR_NOACK;
  host = find_host(config, name, false);
  if (host == NULL && strchr(name, '.') != NULL)
    host = find_host(config, strchr(name, '.'), true);
  if (host != NULL) SSL_set_SSL_CTX(ssl, host->context);
  return SSL_TLSEXT_ERR_OK;
}

/* The first of this side's protocols that the client has too.
 * Source: RFC 7301. */
static int choose_protocol(SSL *ssl, const unsigned char **chosen,
                           unsigned char *chosen_size,
                           const unsigned char *offered, unsigned offered_size,
                           void *argument) {
  const tls_config *config = argument;
  unsigned char *found;

  (void) ssl;
  if (SSL_select_next_proto(&found, chosen_size, config->protocols,
                            config->protocols_size, offered,
                            offered_size) != OPENSSL_NPN_NEGOTIATED)
    return SSL_TLSEXT_ERR_ALERT_FATAL;
  *chosen = found;
  return SSL_TLSEXT_ERR_OK;
}

static X509_STORE *new_store(STACK_OF(X509) * certificates) {
  X509_STORE *store = X509_STORE_new();
  int i;

  for (i = 0; store != NULL && i < sk_X509_num(certificates); i++)
    X509_STORE_add_cert(store, sk_X509_value(certificates, i));
  return store;
}

/* What both sides have in common; NULL without memory. */
static SSL_CTX *new_context(const tls_config *config,
                            const tls_identity *identity) {
  SSL_CTX *context = SSL_CTX_new(TLS_method());
  static const unsigned char session[] = "asyncrt";

  if (context == NULL) return NULL;
  SSL_CTX_set_min_proto_version(context, config->lowest != 0 ? config->lowest
                                                             : TLS1_2_VERSION);
  SSL_CTX_set_max_proto_version(context, config->highest);
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                   SSL_OP_CIPHER_SERVER_PREFERENCE |
                                   SSL_OP_PRIORITIZE_CHACHA);
  /* An idle connection holds no buffer of libssl. */
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_NO_AUTO_CHAIN |
                                SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_session_id_context(context, session, sizeof(session) - 1);
  if (identity->certificate != NULL &&
      SSL_CTX_use_cert_and_key(context, identity->certificate, identity->key,
                               identity->chain, 1) != 1) {
    SSL_CTX_free(context);
    return NULL;
  }
  return context;
}

static SSL_CTX *new_server(tls_config *config, const tls_identity *identity) {
  SSL_CTX *context = new_context(config, identity);
  X509_STORE *store;
  int i;

  if (context == NULL) return NULL;
  SSL_CTX_set_tlsext_servername_callback(context, choose_host);
  SSL_CTX_set_tlsext_servername_arg(context, config);
  if (config->protocols != NULL)
    SSL_CTX_set_alpn_select_cb(context, choose_protocol, config);
  if (config->client_roots == NULL) return context;
  store = new_store(config->client_roots);
  if (store == NULL) {
    SSL_CTX_free(context);
    return NULL;
  }
  SSL_CTX_set0_verify_cert_store(context, store);
  for (i = 0; i < sk_X509_num(config->client_roots); i++)
    SSL_CTX_add_client_CA(context, sk_X509_value(config->client_roots, i));
  SSL_CTX_set_verify(
      context,
      SSL_VERIFY_PEER |
          (config->require_client ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0),
      NULL);
  return context;
}

SSL_CTX *tls_client_of(tls_config *config) {
  SSL_CTX *context;
  X509_STORE *store;

  if (config->client != NULL) return config->client;
  context = new_context(config, &config->identity);
  if (context == NULL) return NULL;
  if (config->roots == NULL) {
    SSL_CTX_set_default_verify_paths(context);
  } else {
    store = new_store(config->roots);
    if (store == NULL) {
      SSL_CTX_free(context);
      return NULL;
    }
    SSL_CTX_set_cert_store(context, store);
  }
  if (config->protocols != NULL)
    SSL_CTX_set_alpn_protos(context, config->protocols, config->protocols_size);
  SSL_CTX_set_verify(context, config->verify ? SSL_VERIFY_PEER : 0, NULL);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT |
                                              SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_sess_set_new_cb(context, tls_on_session);
  ERR_clear_error();
  config->client = context;
  return context;
}

/* --- Options. They raise where the caller is wrong; what is in the config is
 * owned by an object by then. --- */

static _Noreturn void raise_option(lua_State *L, int arg, const char *name,
                                   const char *expected) {
  art_raise_argument(
      L, arg, lua_pushfstring(L, "option '%s': %s expected", name, expected));
}

static int version_option(lua_State *L, int arg, const char *name) {
  const char *version = art_option_string(L, arg, name, NULL);

  if (version == NULL) return 0;
  if (strcmp(version, "1.2") == 0) return TLS1_2_VERSION;
  if (strcmp(version, "1.3") == 0) return TLS1_3_VERSION;
  raise_option(L, arg, name, "'1.2' or '1.3'");
}

/* A list of names as ALPN sends them: each behind its length. */
static void protocols_option(lua_State *L, int arg, tls_config *config) {
  lua_Unsigned i, count;
  size_t size = 0, length;

  if (lua_getfield(L, arg, "alpn") == LUA_TNIL) {
    lua_pop(L, 1);
    return;
  }
  if (lua_type(L, -1) != LUA_TTABLE)
    raise_option(L, arg, "alpn", "list of strings");
  count = lua_rawlen(L, -1);
  for (i = 1; i <= count; i++) {
    if (lua_rawgeti(L, -1, (lua_Integer) i) != LUA_TSTRING ||
        lua_rawlen(L, -1) == 0 || lua_rawlen(L, -1) > 255)
      raise_option(L, arg, "alpn", "list of strings of 1 to 255 bytes");
    size += 1 + lua_rawlen(L, -1);
    lua_pop(L, 1);
  }
  if (size == 0 || size > 65535)
    raise_option(L, arg, "alpn", "list of strings, of 65535 bytes at most,");
  config->protocols = malloc(size);
  if (config->protocols == NULL) art_raise(L, "not enough memory");
  for (i = 1; i <= count; i++) {
    const char *name;

    lua_rawgeti(L, -1, (lua_Integer) i);
    name = lua_tolstring(L, -1, &length);
    config->protocols[config->protocols_size++] = (unsigned char) length;
    memcpy(config->protocols + config->protocols_size, name, length);
    config->protocols_size += (unsigned) length;
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
}

/* Whether clients have to have a certificate: "optional" asks for one only. */
static void verify_client_option(lua_State *L, int arg, tls_config *config) {
  bool has_roots = art_option_string(L, arg, "client_ca", NULL) != NULL;
  int type = lua_getfield(L, arg, "verify_client");

  config->require_client = has_roots;
  if (type == LUA_TBOOLEAN) {
    config->require_client = lua_toboolean(L, -1);
    if (config->require_client && !has_roots)
      art_raise_argument(L, arg, "option 'verify_client' needs 'client_ca'");
    if (!config->require_client && has_roots)
      art_raise_argument(L, arg,
                         "option 'client_ca' needs 'verify_client', true or "
                         "'optional'");
  } else if (type == LUA_TSTRING &&
             strcmp(lua_tostring(L, -1), "optional") == 0) {
    if (!has_roots)
      art_raise_argument(L, arg, "option 'verify_client' needs 'client_ca'");
    config->require_client = false;
  } else if (type != LUA_TNIL) {
    raise_option(L, arg, "verify_client", "boolean or 'optional'");
  }
  lua_pop(L, 1);
}

static void plain_options(lua_State *L, int arg, tls_config *config) {
  art_check_options(L, arg, option_names);
  config->verify = art_option_boolean(L, arg, "verify", true);
  config->lowest = version_option(L, arg, "min_version");
  config->highest = version_option(L, arg, "max_version");
  if (config->highest != 0 && config->lowest > config->highest)
    art_raise_argument(L, arg, "option 'min_version' is above 'max_version'");
  config->limit =
      art_option_seconds(L, arg, "handshake_timeout", DEFAULT_LIMIT);
  config->most = (unsigned) art_option_integer(L, arg, "max_handshakes", 1,
                                               INT32_MAX, DEFAULT_MOST);
  if (lua_type(L, arg) != LUA_TTABLE) return;
  protocols_option(L, arg, config);
  verify_client_option(L, arg, config);
}

/* --- Loading --- */

static bool no_memory(tls_failure *failure) {
  ERR_clear_error();
  snprintf(failure->message, sizeof(failure->message), "tls: %s",
           uv_strerror(UV_ENOMEM));
  snprintf(failure->code, sizeof(failure->code), "ENOMEM");
  return false;
}

/* Why libssl will not use a certificate. */
static bool not_usable(tls_failure *failure) {
  const char *reason = ERR_reason_error_string(ERR_peek_last_error());

  if (tls_lacks_memory()) return no_memory(failure);
  snprintf(failure->message, sizeof(failure->message), "tls cert: %s",
           reason != NULL ? reason : "not usable");
  snprintf(failure->code, sizeof(failure->code), "ECERT");
  return false;
}

static bool load_files(lua_State *L, int arg, tls_config *config,
                       tls_failure *failure) {
  const char *cert = art_option_string(L, arg, "cert", NULL);
  const char *key = art_option_string(L, arg, "key", NULL);
  const char *password = art_option_string(L, arg, "password", NULL);
  const char *roots = art_option_string(L, arg, "ca", NULL);
  const char *client_roots = art_option_string(L, arg, "client_ca", NULL);

  if (key != NULL && cert == NULL)
    art_raise_argument(L, arg, "option 'key' needs 'cert'");
  if (cert != NULL &&
      !tls_read_identity(&config->identity, cert, key, password, failure))
    return false;
  if (roots != NULL) {
    config->roots = tls_read_certificates("ca", roots, failure);
    if (config->roots == NULL) return false;
  }
  if (client_roots != NULL) {
    config->client_roots =
        tls_read_certificates("client_ca", client_roots, failure);
    if (config->client_roots == NULL) return false;
  }
  return true;
}

/* A field of the host's table at the top of the stack. */
static const char *host_field(lua_State *L, int arg, const char *name) {
  const char *value;

  lua_getfield(L, -1, name);
  if (!lua_isnil(L, -1) && lua_type(L, -1) != LUA_TSTRING)
    raise_option(L, arg, "sni", "table of {cert =, key =} by host name");
  value = lua_tostring(L, -1);
  lua_pop(L, 1);
  return value;
}

static bool load_host(lua_State *L, int arg, tls_config *config,
                      tls_failure *failure) {
  const char *cert = host_field(L, arg, "cert");
  const char *key = host_field(L, arg, "key");
  const char *password = host_field(L, arg, "password");
  tls_host *host = &config->hosts[config->host_count];
  tls_identity identity = {0};
  char *c;
  bool done;

  if (cert == NULL)
    raise_option(L, arg, "sni", "table of {cert =, key =} by host name");
  host->name = strdup(lua_tostring(L, -2));
  if (host->name == NULL) return no_memory(failure);
  config->host_count++;
  for (c = host->name; *c != '\0'; c++) *c = (char) tolower((unsigned char) *c);
  done = tls_read_identity(&identity, cert, key, password, failure);
  if (done) {
    host->context = new_server(config, &identity);
    if (host->context == NULL) done = not_usable(failure);
  }
  tls_identity_clear(&identity);
  return done;
}

static bool load_hosts(lua_State *L, int arg, tls_config *config,
                       tls_failure *failure) {
  size_t count = 0;
  bool done = true;

  if (lua_getfield(L, arg, "sni") == LUA_TNIL) {
    lua_pop(L, 1);
    return true;
  }
  if (lua_type(L, -1) != LUA_TTABLE || config->identity.certificate == NULL)
    art_raise_argument(
        L, arg,
        "option 'sni': table expected, beside 'cert' for all other names");
  for (lua_pushnil(L); lua_next(L, -2) != 0; lua_pop(L, 1)) {
    if (lua_type(L, -2) != LUA_TSTRING || lua_type(L, -1) != LUA_TTABLE)
      raise_option(L, arg, "sni", "table of {cert =, key =} by host name");
    count++;
  }
  config->hosts = calloc(count + 1, sizeof(*config->hosts));
  if (config->hosts == NULL) return no_memory(failure);
  lua_pushnil(L);
  while (done && lua_next(L, -2) != 0) {
    done = load_host(L, arg, config, failure);
    lua_pop(L, 1);
  }
  lua_settop(L, lua_gettop(L) - (done ? 1 : 2));
  return done;
}

static bool load(lua_State *L, int arg, tls_config *config,
                 tls_failure *failure) {
  plain_options(L, arg, config);
  if (lua_type(L, arg) != LUA_TTABLE) return true;
  if (!load_files(L, arg, config, failure) ||
      !load_hosts(L, arg, config, failure))
    return false;
  if (config->identity.certificate == NULL) return true;
  config->server = new_server(config, &config->identity);
  return config->server != NULL || not_usable(failure);
}

/* --- Lua. The user value of a context is the options it was made with. --- */

static const char metatable_key; /* its address is the key in the registry */

/* Pushes the object of a context without a config. */
static tls_context **push_object(lua_State *L) {
  tls_context **box = lua_newuserdatauv(L, sizeof(tls_context *), 1);

  *box = NULL;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &metatable_key);
  lua_setmetatable(L, -2);
  *box = calloc(1, sizeof(**box));
  if (*box != NULL) {
    (*box)->users = 1;
    (*box)->config = new_config();
  }
  if (*box == NULL || (*box)->config == NULL) art_raise(L, "not enough memory");
  return box;
}

static int push_failure(lua_State *L, const tls_failure *failure) {
  return art_push_failure(L, failure->message, failure->code);
}

static void copy_table(lua_State *L, int from, int to) {
  for (lua_pushnil(L); lua_next(L, from) != 0; lua_pop(L, 1)) {
    lua_pushvalue(L, -2);
    lua_pushvalue(L, -2);
    lua_rawset(L, to);
  }
}

/* context([options]) -> context | nil, message, code
 *
 * Reads certificates and keys, from files or out of the strings themselves,
 * without giving way. Raises for a wrong option. */
int tls_new_context(lua_State *L) {
  tls_failure failure;
  tls_context **box;

  if (!lua_isnoneornil(L, 1)) luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  box = push_object(L);
  if (!load(L, 1, (*box)->config, &failure)) return push_failure(L, &failure);
  lua_newtable(L);
  if (lua_istable(L, 1)) copy_table(L, 1, 3);
  lua_setiuservalue(L, 2, 1);
  return 1;
}

tls_context *tls_to_context(lua_State *L, int arg) {
  tls_context **box = lua_touserdata(L, arg);
  int equal;

  if (box == NULL || !lua_getmetatable(L, arg)) return NULL;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &metatable_key);
  equal = lua_rawequal(L, -1, -2);
  lua_pop(L, 2);
  return equal ? *box : NULL;
}

tls_context *tls_check_context(lua_State *L, int arg) {
  tls_context *context = tls_to_context(L, arg);

  if (context == NULL) luaL_typeerror(L, arg, "TLS context");
  return context;
}

/* context:reload([options]) -> true | nil, message, code
 *
 * Reads everything anew, with these options in the place of those before: for
 * connections that begin from now on. Where that fails nothing changes. */
static int context_reload(lua_State *L) {
  tls_context **box = art_check_self(L, 1, "TLS context"), **loaded;
  tls_config *before = (*box)->config;
  tls_failure failure;

  if (!lua_isnoneornil(L, 2)) luaL_checktype(L, 2, LUA_TTABLE);
  lua_settop(L, 2);
  lua_newtable(L);
  lua_getiuservalue(L, 1, 1);
  copy_table(L, 4, 3);
  if (lua_istable(L, 2)) copy_table(L, 2, 3);
  lua_copy(L, 3, 2);
  loaded = push_object(L);
  if (!load(L, 2, (*loaded)->config, &failure))
    return push_failure(L, &failure);
  lua_pushvalue(L, 2);
  lua_setiuservalue(L, 1, 1);
  (*box)->config = (*loaded)->config;
  (*loaded)->config = before;
  lua_pushboolean(L, true);
  return 1;
}

static int context_gc(lua_State *L) {
  tls_context **box = lua_touserdata(L, 1);

  if (*box != NULL) tls_context_release(*box);
  *box = NULL;
  return 0;
}

static const luaL_Reg context_methods[] = {
    {"reload", context_reload},
    {NULL, NULL},
};

void tls_open_context(lua_State *L) {
  lua_newtable(L);
  lua_pushcfunction(L, context_gc);
  lua_setfield(L, -2, "__gc");
  art_set_methods(L, context_methods);
  lua_pushliteral(L, "TLS context");
  lua_setfield(L, -2, "__name");
  lua_pushboolean(L, false);
  lua_setfield(L, -2, "__metatable");
  lua_rawsetp(L, LUA_REGISTRYINDEX, &metatable_key);
}
