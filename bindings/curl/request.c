/* The options of a request, from Lua to libcurl.
 *
 * The script has checked them; what is left to fail is the URL, and memory. */
#include "request.h"

#include "error.h"
#include "options.h"
#include "runtime.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define OPTIONS 2 /* stack index of the table */
#define URL_FLAGS (CURLU_URLENCODE | CURLU_NON_SUPPORT_SCHEME)

/* What the options are read into, and for whom. */
typedef struct request {
  lua_State *L;
  art_transfer *transfer;
  CURL *easy;
  CURLcode result; /* of the first setopt that failed */
} request;

static void check(request *self, CURLcode result) {
  if (self->result == CURLE_OK) self->result = result;
}

/* The option as a string that lives as long as the table, or NULL. */
static const char *text_option(lua_State *L, int table, const char *name,
                               size_t *size) {
  const char *text = NULL;

  if (art_raw_field(L, table, name) == LUA_TSTRING)
    text = lua_tolstring(L, -1, size);
  lua_pop(L, 1);
  return text;
}

static void set_text(request *self, CURLoption option, int table,
                     const char *name) {
  const char *text = text_option(self->L, table, name, NULL);

  if (text == NULL) return;
  self->transfer->is_plain = false;
  check(self, curl_easy_setopt(self->easy, option, text));
}

/* --- The URL --- */

static size_t span_authority(const char *text) {
  return strcspn(text, "/?#");
}

/* A copy of the URL without its credentials; NULL without memory. */
static char *without_credentials(const char *url) {
  const char *authority = strstr(url, "//"), *at = NULL, *place;
  size_t length = strlen(url);
  char *shown = malloc(length + 1);

  if (shown == NULL) return NULL;
  if (authority != NULL) {
    const char *end = authority + 2 + span_authority(authority + 2);

    for (place = authority; place < end; place++)
      if (*place == '@') at = place;
  }
  if (at == NULL) {
    memcpy(shown, url, length + 1);
  } else {
    size_t kept = (size_t) (authority + 2 - url);

    memcpy(shown, url, kept);
    memcpy(shown + kept, at + 1, strlen(at + 1) + 1);
  }
  return shown;
}

static bool is_web(const char *scheme) {
  return scheme != NULL &&
         (strcmp(scheme, "http") == 0 || strcmp(scheme, "https") == 0);
}

static void fail_url(art_transfer *transfer, CURLUcode code,
                     const char *reason) {
  if (code == CURLUE_OUT_OF_MEMORY)
    art_transfer_fail(transfer, "ENOMEM", "not enough memory");
  else
    art_transfer_fail(transfer, "EINVAL", "not a URL: %s", reason);
}

/* What is wrong with a URL that libcurl does not parse. */
static const char *reason_of(CURLUcode code, const char *url) {
  if ((code == CURLUE_BAD_SCHEME || code == CURLUE_BAD_SLASHES) &&
      strstr(url, "://") == NULL && strncasecmp(url, "http:", 5) != 0 &&
      strncasecmp(url, "https:", 6) != 0)
    return "it has no scheme, such as http://";
  return curl_url_strerror(code);
}

/* Parses the URL; false where it is none that can be fetched. */
static bool read_url(art_transfer *transfer, const char *url, size_t size) {
  char *scheme = NULL;
  CURLUcode code = CURLUE_MALFORMED_INPUT;
  bool ok;

  if (strlen(url) == size)
    code = curl_url_set(transfer->url, CURLUPART_URL, url, URL_FLAGS);
  if (code == CURLUE_OK)
    code = curl_url_get(transfer->url, CURLUPART_SCHEME, &scheme, 0);
  if (code != CURLUE_OK) {
    fail_url(transfer, code, reason_of(code, url));
    return false;
  }
  ok = is_web(scheme);
  if (!ok)
    art_transfer_fail(transfer, "EPROTONOSUPPORT",
                      "only http and https can be fetched");
  transfer->is_secure = ok && scheme[4] == 's';
  curl_free(scheme);
  return ok;
}

/* Starts a connection to the host of a URL: the server's, or the proxy's. */
static bool start_to(art_transfer *transfer, CURLU *url) {
  char *host = NULL, *port = NULL;
  CURLUcode code = curl_url_get(url, CURLUPART_HOST, &host, CURLU_PUNYCODE);
  bool ok;

  if (code == CURLUE_OK)
    code = curl_url_get(url, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT);
  ok = code == CURLUE_OK && strlen(host) < ART_HOST_TEXT;
  if (ok)
    art_transfer_start(transfer, host, (uint16_t) strtoul(port, NULL, 10));
  else
    fail_url(transfer, code, "no host");
  curl_free(host);
  curl_free(port);
  return ok;
}

/* --- Options --- */

/* Sets the fields; each is a line of the list `fields`. */
static void set_fields(request *self) {
  lua_State *L = self->L;
  art_transfer *transfer = self->transfer;
  lua_Integer i, count;

  lua_getfield(L, OPTIONS, "fields");
  count = (lua_Integer) lua_rawlen(L, -1);
  for (i = 1; i <= count; i++) {
    struct curl_slist *list;

    lua_rawgeti(L, -1, i);
    list = curl_slist_append(transfer->fields, lua_tostring(L, -1));
    if (list == NULL) check(self, CURLE_OUT_OF_MEMORY);
    if (list != NULL) transfer->fields = list;
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
  check(self,
        curl_easy_setopt(self->easy, CURLOPT_HTTPHEADER, transfer->fields));
}

/* Sets the method, and how the body is sent. */
static void set_method(request *self) {
  lua_State *L = self->L;
  art_transfer *transfer = self->transfer;
  const char *method = text_option(L, OPTIONS, "method", NULL);
  size_t size = 0, i;
  const char *body = text_option(L, OPTIONS, "body", &size);

  for (i = 0; method[i] != '\0' && i < ART_OPERATION_TEXT - 1; i++)
    transfer->operation[i] = (char) tolower((unsigned char) method[i]);
  transfer->is_uploading = art_option_boolean(L, OPTIONS, "streams", false);
  transfer->stream.shut = !transfer->is_uploading;
  if (strcmp(method, "GET") == 0 && body == NULL && !transfer->is_uploading) {
    check(self, curl_easy_setopt(self->easy, CURLOPT_HTTPGET, 1L));
    return;
  }
  transfer->is_plain = false;
  if (transfer->is_uploading) {
    check(self, curl_easy_setopt(self->easy, CURLOPT_UPLOAD, 1L));
    check(self,
          curl_easy_setopt(self->easy, CURLOPT_INFILESIZE_LARGE,
                           (curl_off_t) art_option_integer(
                               L, OPTIONS, "length", 0, LUA_MAXINTEGER, -1)));
  } else if (body != NULL) {
    check(self, curl_easy_setopt(self->easy, CURLOPT_POSTFIELDSIZE_LARGE,
                                 (curl_off_t) size));
    check(self, curl_easy_setopt(self->easy, CURLOPT_COPYPOSTFIELDS, body));
  } else if (strcmp(method, "HEAD") == 0) {
    transfer->is_bodiless = true;
    check(self, curl_easy_setopt(self->easy, CURLOPT_NOBODY, 1L));
    return;
  }
  check(self, curl_easy_setopt(self->easy, CURLOPT_CUSTOMREQUEST, method));
}

static void set_limits(request *self) {
  lua_State *L = self->L;
  art_transfer *transfer = self->transfer;
  double connect = art_option_seconds(L, OPTIONS, "connect_timeout", 0);

  transfer->timeout = art_option_seconds(L, OPTIONS, "timeout", 0);
  transfer->idle_timeout = art_option_seconds(L, OPTIONS, "idle_timeout", 0);
  transfer->connect_timeout = connect;
  transfer->max_body = art_option_size(L, OPTIONS, "max_body", 0, 0);
  transfer->max_ratio = art_option_size(L, OPTIONS, "max_ratio", 1, 1);
  transfer->max_head = art_option_size(L, OPTIONS, "max_header", 0, 0);
  transfer->max_lines =
      (unsigned) art_option_integer(L, OPTIONS, "max_fields", 0, UINT32_MAX, 0);
  transfer->follows = art_option_boolean(L, OPTIONS, "follow", false);
  transfer->expects = art_option_boolean(L, OPTIONS, "expects", false);
  transfer->is_public_only =
      art_option_boolean(L, OPTIONS, "public_only", false);
  /* Rounded up; 0 would be libcurl's default. */
  connect = connect < 1e6 ? connect * 1000 + 1 : 1e9;
  if (transfer->slot->connect_timeout == (long) connect) return;
  transfer->slot->connect_timeout = (long) connect;
  check(self, curl_easy_setopt(self->easy, CURLOPT_CONNECTTIMEOUT_MS,
                               (long) connect));
}

/* Before 8.0 libcurl cannot use a connection again that spoke HTTP/2 without
 * asking: then each request has one of its own. */
static void set_fresh(request *self) {
  if (curl_version_info(CURLVERSION_NOW)->version_num >= 0x080000) return;
  self->transfer->is_plain = false;
  check(self, curl_easy_setopt(self->easy, CURLOPT_FRESH_CONNECT, 1L));
  check(self, curl_easy_setopt(self->easy, CURLOPT_FORBID_REUSE, 1L));
}

static long http_version(lua_State *L) {
  if (text_option(L, OPTIONS, "http2", NULL) != NULL)
    return CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE;
  return art_option_boolean(L, OPTIONS, "http2", true) ? CURL_HTTP_VERSION_2TLS
                                                       : CURL_HTTP_VERSION_1_1;
}

/* What the slot has from the transfer before need not be set again. */
static void set_protocol(request *self) {
  art_slot *slot = self->transfer->slot;
  long version = http_version(self->L);
  bool decodes = art_option_boolean(self->L, OPTIONS, "decompress", true);

  self->transfer->decodes = decodes;
  if (version == CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE) set_fresh(self);
  if (slot->version != version) {
    slot->version = version;
    check(self, curl_easy_setopt(self->easy, CURLOPT_HTTP_VERSION, version));
  }
  if (slot->decodes != decodes) {
    slot->decodes = decodes;
    check(self, curl_easy_setopt(self->easy, CURLOPT_ACCEPT_ENCODING,
                                 decodes ? "" : NULL));
  }
}

/* Sets what is in PEM: the text itself, or the path of a file. */
static void set_pem(request *self, int table, const char *name, CURLoption path,
                    CURLoption text) {
  struct curl_blob blob = {NULL, 0, CURL_BLOB_COPY};
  const char *value = text_option(self->L, table, name, &blob.len);

  if (value == NULL) return;
  self->transfer->is_plain = false;
  blob.data = (void *) (uintptr_t) value;
  check(self, strstr(value, "-----BEGIN ") != NULL
                  ? curl_easy_setopt(self->easy, text, &blob)
                  : curl_easy_setopt(self->easy, path, value));
}

static void set_tls(request *self) {
  lua_State *L = self->L;
  int table;

  lua_getfield(L, OPTIONS, "tls");
  table = lua_gettop(L);
  if (lua_istable(L, table)) {
    set_pem(self, table, "ca", CURLOPT_CAINFO, CURLOPT_CAINFO_BLOB);
    set_pem(self, table, "cert", CURLOPT_SSLCERT, CURLOPT_SSLCERT_BLOB);
    set_pem(self, table, "key", CURLOPT_SSLKEY, CURLOPT_SSLKEY_BLOB);
    set_text(self, CURLOPT_KEYPASSWD, table, "password");
    if (!art_option_boolean(L, table, "verify", true)) {
      self->transfer->is_plain = false;
      check(self, curl_easy_setopt(self->easy, CURLOPT_SSL_VERIFYPEER, 0L));
      check(self, curl_easy_setopt(self->easy, CURLOPT_SSL_VERIFYHOST, 0L));
    }
  }
  lua_settop(L, table - 1);
}

static void set_options(request *self) {
  self->transfer->is_plain = true;
  set_method(self);
  set_fields(self);
  set_limits(self);
  set_protocol(self);
  set_tls(self);
  set_text(self, CURLOPT_PROXY, OPTIONS, "proxy");
  set_text(self, CURLOPT_USERNAME, OPTIONS, "user");
  set_text(self, CURLOPT_PASSWORD, OPTIONS, "password");
  check(self, curl_easy_setopt(self->easy, CURLOPT_CURLU, self->transfer->url));
}

/* Rather one more stream on a connection than one more connection: so whoever
 * comes second waits until it is known whether the first one has streams. */
static void set_waiting(request *self) {
  art_slot *slot = self->transfer->slot;
  bool waits =
      slot->version == CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE ||
      (slot->version == CURL_HTTP_VERSION_2TLS && self->transfer->is_secure);

  if (slot->waits == waits) return;
  slot->waits = waits;
  curl_easy_setopt(self->easy, CURLOPT_PIPEWAIT, waits ? 1L : 0L);
}

/* Starts with the server itself, or its proxy. */
static bool start(request *self) {
  const char *proxy = text_option(self->L, OPTIONS, "proxy", NULL);
  CURLUcode code = CURLUE_OUT_OF_MEMORY;
  CURLU *url;
  bool ok = false;

  set_waiting(self);
  if (proxy == NULL) return start_to(self->transfer, self->transfer->url);
  url = curl_url();
  if (url != NULL)
    code = curl_url_set(url, CURLUPART_URL, proxy, CURLU_NON_SUPPORT_SCHEME);
  if (code == CURLUE_OK)
    ok = start_to(self->transfer, url);
  else if (code == CURLUE_OUT_OF_MEMORY)
    fail_url(self->transfer, code, "");
  else
    art_transfer_fail(self->transfer, "EPROXY", "the proxy is not a URL");
  curl_url_cleanup(url);
  return ok;
}

int art_request_start(lua_State *L, art_client **client) {
  request self = {L, NULL, NULL, CURLE_OK};
  const char *url;
  size_t size;
  bool ok;

  luaL_checktype(L, OPTIONS, LUA_TTABLE);
  lua_settop(L, OPTIONS);
  url = text_option(L, OPTIONS, "url", &size);
  /* From here on no finalizer may run: it could close the client, and with it
   * the transfer. */
  self.transfer = art_transfer_push(L, client);
  self.easy = self.transfer->slot->easy;
  self.transfer->shown = without_credentials(url);
  self.transfer->url = curl_url();
  if (self.transfer->shown == NULL || self.transfer->url == NULL)
    art_raise(L, "not enough memory");
  set_options(&self);
  if (self.result != CURLE_OK)
    art_transfer_fail(self.transfer, "ENOMEM", "%s",
                      self.result == CURLE_OUT_OF_MEMORY
                          ? "not enough memory"
                          : curl_easy_strerror(self.result));
  ok = self.result == CURLE_OK && read_url(self.transfer, url, size) &&
       start(&self);
  if (!ok) art_transfer_finish(self.transfer);
  return 1;
}

/* --- URLs for the script --- */

#define MOST_PARTS 5

/* Parts of a URL, of libcurl's memory: they are freed whether or not there is
 * room for their copies. */
typedef struct url_parts {
  char *texts[MOST_PARTS];
  int count;
  bool lacks_memory;
} url_parts;

/* Whether this has worked. */
static bool note_code(url_parts *parts, CURLUcode code) {
  if (code == CURLUE_OUT_OF_MEMORY) parts->lacks_memory = true;
  return code == CURLUE_OK;
}

/* A URL out of its text; NULL where it is none. */
static CURLU *parse_url(url_parts *parts, const char *text) {
  CURLU *url = curl_url();

  if (url == NULL) {
    parts->lacks_memory = true;
  } else if (!note_code(parts,
                        curl_url_set(url, CURLUPART_URL, text, URL_FLAGS))) {
    curl_url_cleanup(url);
    url = NULL;
  }
  return url;
}

static void take_part(url_parts *parts, CURLU *url, CURLUPart part,
                      unsigned flags) {
  char *text = NULL;

  note_code(parts, curl_url_get(url, part, &text, flags));
  parts->texts[parts->count++] = text;
}

static int copy_parts(lua_State *L) {
  const url_parts *parts = lua_touserdata(L, 1);
  int i;

  for (i = 0; i < parts->count; i++)
    lua_pushstring(L, parts->texts[i] != NULL ? parts->texts[i] : "");
  return parts->count;
}

/* Pushes the parts, nil without any, and frees them. A part that there was no
 * memory for would be taken for an empty one. */
static int push_parts(lua_State *L, url_parts *parts) {
  int status = LUA_OK, i;

  if (parts->count == 0 && !parts->lacks_memory) {
    lua_pushnil(L);
    return 1;
  }
  if (!parts->lacks_memory) {
    lua_pushcfunction(L, copy_parts);
    lua_pushlightuserdata(L, parts);
    status = lua_pcall(L, 1, parts->count, 0);
  }
  for (i = 0; i < parts->count; i++) curl_free(parts->texts[i]);
  if (parts->lacks_memory) art_raise(L, "not enough memory");
  if (status != LUA_OK) lua_error(L);
  return parts->count;
}

int art_request_origin(lua_State *L) {
  url_parts parts = {{NULL}, 0, false};
  CURLU *url = parse_url(&parts, luaL_checkstring(L, 1));

  if (url != NULL) {
    take_part(&parts, url, CURLUPART_SCHEME, 0);
    take_part(&parts, url, CURLUPART_HOST, CURLU_PUNYCODE);
    take_part(&parts, url, CURLUPART_PORT, CURLU_DEFAULT_PORT);
    take_part(&parts, url, CURLUPART_USER, CURLU_URLDECODE);
    take_part(&parts, url, CURLUPART_PASSWORD, CURLU_URLDECODE);
  }
  curl_url_cleanup(url);
  return push_parts(L, &parts);
}

int art_request_resolve(lua_State *L) {
  const char *base = luaL_checkstring(L, 1);
  const char *reference = luaL_checkstring(L, 2);
  url_parts parts = {{NULL}, 0, false};
  CURLU *url = parse_url(&parts, base);

  if (url != NULL &&
      note_code(&parts, curl_url_set(url, CURLUPART_URL, reference, URL_FLAGS)))
    take_part(&parts, url, CURLUPART_URL, 0);
  curl_url_cleanup(url);
  return push_parts(L, &parts);
}
