/* asyncrt.url: taking URLs apart, resolving and normalising them, with
 * uriparser. */
#include "bindings.h"
#include "error.h"
#include "options.h"
#include "prepare.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uriparser/Uri.h>
#include <uv.h>

#define LONGEST 65536     /* bytes of a URL; uriparser recurses along a text */
#define LONGEST_SHOWN 200 /* bytes of it in a message */
#define MOST_PARSED 3
#define MOST_PORT 65535

int luaopen_asyncrt_core_url(lua_State *L);

/* A userdata, so that an error of Lua frees what was parsed. Its metatable is
 * upvalue 1 of every function. */
typedef struct work {
  UriUriA parsed[MOST_PARSED]; /* owned; the first `count` are in use */
  int count;
  const char *text; /* borrowed: a userdata on the stack; parsed last */
  const char *operation;
} work;

static int work_gc(lua_State *L) {
  work *w = lua_touserdata(L, 1);

  while (w->count > 0) uriFreeUriMembersA(&w->parsed[--w->count]);
  return 0;
}

static work *push_work(lua_State *L, const char *operation) {
  work *w = lua_newuserdatauv(L, sizeof(*w), 0);

  w->count = 0;
  w->text = NULL;
  w->operation = operation;
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_setmetatable(L, -2);
  return w;
}

/* --- Parsing --- */

/* Pushes nil, message and code, for the text that was parsed last. */
static int fail(lua_State *L, const work *w, const char *reason) {
  const char *rest = strlen(w->text) > LONGEST_SHOWN ? "…" : "";

  lua_pushlstring(L, w->text, strnlen(w->text, LONGEST_SHOWN));
  return art_push_failure(L,
                          lua_pushfstring(L, "%s %s%s: %s", w->operation,
                                          lua_tostring(L, -1), rest, reason),
                          "ESYNTAX");
}

static int fail_at(lua_State *L, const work *w, const char *at) {
  if (*at == '\0') return fail(L, w, "it ends too early");
  lua_pushlstring(L, at, strnlen(at, LONGEST_SHOWN));
  return fail(
      L, w, lua_pushfstring(L, "malformed from '%s' on", lua_tostring(L, -1)));
}

static bool is_set(const UriTextRangeA *range) {
  return range->first != NULL;
}

static size_t length(const UriTextRangeA *range) {
  return (size_t) (range->afterLast - range->first);
}

static bool has_host(const UriUriA *uri) {
  return is_set(&uri->hostText);
}

/* The number that `port` has; more than MOST_PORT where it is too high. */
static int port_number(const UriTextRangeA *port) {
  int number = 0;

  for (const char *at = port->first; at < port->afterLast; at++)
    if (number <= MOST_PORT) number = 10 * number + (*at - '0');
  return number;
}

/* The port that a scheme has for itself; -1 where it is none of these. */
static int default_port(const UriTextRangeA *scheme) {
  static const struct {
    const char *scheme;
    int port;
  } known[] = {
      {"http", 80}, {"https", 443}, {"ws", 80}, {"wss", 443}, {"ftp", 21}};

  if (!is_set(scheme)) return -1;
  for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
    if (length(scheme) == strlen(known[i].scheme) &&
        strncasecmp(scheme->first, known[i].scheme, length(scheme)) == 0)
      return known[i].port;
  return -1;
}

/* Parses argument `arg`; what the result refers to is pushed. Returns NULL,
 * with nil, message and code pushed, where it is no URL. */
static UriUriA *parse(lua_State *L, work *w, int arg) {
  UriUriA *uri = &w->parsed[w->count];
  size_t size;
  const char *given = lua_tolstring(L, arg, &size), *error = NULL;
  bool host_ok = true;
  char *text;
  int status;

  if (size > LONGEST) {
    art_push_failure(L,
                     lua_pushfstring(L, "%s: a URL of more than %d bytes",
                                     w->operation, LONGEST),
                     "ELIMIT");
    return NULL;
  }
  w->text = text = lua_newuserdatauv(L, ART_URL_ROOM(size) + 1, 0);
  size = art_url_prepare(text, given, size, &host_ok);
  text[size] = '\0';
  if (!host_ok) {
    fail(L, w, "it has a character that no host has");
    return NULL;
  }
  status = uriParseSingleUriExA(uri, text, text + size, &error);
  if (status == URI_ERROR_MALLOC) luaL_error(L, "not enough memory");
  if (status != URI_SUCCESS) {
    fail_at(L, w, error);
    return NULL;
  }
  w->count++;
  if (is_set(&uri->portText) && port_number(&uri->portText) > MOST_PORT) {
    fail(L, w, "its port is above 65535");
    return NULL;
  }
  if (has_host(uri) && length(&uri->hostText) == 0 &&
      default_port(&uri->scheme) >= 0) {
    fail(L, w, "its host is empty");
    return NULL;
  }
  return uri;
}

/* --- Results --- */

static const UriTextRangeA no_range = {NULL, NULL};

static UriTextRangeA range_of(const char *text) {
  UriTextRangeA range = {text, text + strlen(text)};

  return range;
}

static void add_range(luaL_Buffer *b, const UriTextRangeA *range) {
  luaL_addlstring(b, range->first, length(range));
}

/* Whether the path, which may have become shorter, begins with what would read
 * as a scheme, a host or the root. */
static bool would_be_more(const UriUriA *uri) {
  const UriPathSegmentA *first = uri->pathHead;

  if (first == NULL || has_host(uri)) return false;
  if (length(&first->text) == 0) return first->next != NULL;
  return !is_set(&uri->scheme) && !uri->absolutePath &&
         memchr(first->text.first, ':', length(&first->text)) != NULL;
}

static bool is_path_empty(const UriUriA *uri) {
  const UriPathSegmentA *first = uri->pathHead;

  return !uri->absolutePath &&
         (first == NULL || (first->next == NULL && length(&first->text) == 0));
}

static void add_path(luaL_Buffer *b, const UriUriA *uri) {
  const UriPathSegmentA *segment;

  if (uri->absolutePath || (has_host(uri) && uri->pathHead != NULL))
    luaL_addchar(b, '/');
  if (would_be_more(uri)) luaL_addstring(b, "./");
  for (segment = uri->pathHead; segment != NULL; segment = segment->next) {
    if (segment != uri->pathHead) luaL_addchar(b, '/');
    add_range(b, &segment->text);
  }
}

static void add_host(luaL_Buffer *b, const UriUriA *uri) {
  bool brackets = uri->hostData.ip6 != NULL || is_set(&uri->hostData.ipFuture);

  if (brackets) luaL_addchar(b, '[');
  add_range(b, &uri->hostText);
  if (brackets) luaL_addchar(b, ']');
}

/* Pushes the text of a URL. uriparser would write IPv6 addresses at full
 * length. */
static void push_text(lua_State *L, const UriUriA *uri) {
  luaL_Buffer b;

  luaL_buffinit(L, &b);
  if (is_set(&uri->scheme)) {
    add_range(&b, &uri->scheme);
    luaL_addchar(&b, ':');
  }
  if (has_host(uri)) {
    luaL_addstring(&b, "//");
    if (is_set(&uri->userInfo)) {
      add_range(&b, &uri->userInfo);
      luaL_addchar(&b, '@');
    }
    add_host(&b, uri);
    if (is_set(&uri->portText)) {
      luaL_addchar(&b, ':');
      add_range(&b, &uri->portText);
    }
  }
  add_path(&b, uri);
  if (is_set(&uri->query)) {
    luaL_addchar(&b, '?');
    add_range(&b, &uri->query);
  }
  if (is_set(&uri->fragment)) {
    luaL_addchar(&b, '#');
    add_range(&b, &uri->fragment);
  }
  luaL_pushresult(&b);
}

static void set_field(lua_State *L, const char *name, const char *from,
                      const char *to) {
  if (from == NULL) return;
  lua_pushlstring(L, from, (size_t) (to - from));
  lua_setfield(L, -2, name);
}

static void set_range(lua_State *L, const char *name,
                      const UriTextRangeA *range) {
  set_field(L, name, range->first, range->afterLast);
}

static void set_user(lua_State *L, const UriTextRangeA *info) {
  const char *colon;

  if (!is_set(info)) return;
  colon = memchr(info->first, ':', length(info));
  set_field(L, "user", info->first, colon != NULL ? colon : info->afterLast);
  if (colon != NULL) set_field(L, "password", colon + 1, info->afterLast);
}

/* url.parse(text) -> parts | nil, message, code
 *
 * The parts of a URL or relative reference, as they are written. */
static int url_parse(lua_State *L) {
  luaL_Buffer path;
  UriUriA *uri;

  luaL_checktype(L, 1, LUA_TSTRING);
  uri = parse(L, push_work(L, "url.parse"), 1);
  if (uri == NULL) return 3;
  lua_createtable(L, 0, 8);
  set_range(L, "scheme", &uri->scheme);
  set_user(L, &uri->userInfo);
  set_range(L, "host", &uri->hostText);
  if (is_set(&uri->portText) && length(&uri->portText) > 0) {
    lua_pushinteger(L, port_number(&uri->portText));
    lua_setfield(L, -2, "port");
  }
  luaL_buffinit(L, &path);
  add_path(&path, uri);
  luaL_pushresult(&path);
  lua_setfield(L, -2, "path");
  set_range(L, "query", &uri->query);
  set_range(L, "fragment", &uri->fragment);
  return 1;
}

/* url.resolve(base, reference) -> string | nil, message, code
 *
 * Where the reference leads from the base, as RFC 3986 says in 5.2. */
static int url_resolve(lua_State *L) {
  UriUriA *base, *reference, *target;
  work *w;

  luaL_checktype(L, 1, LUA_TSTRING);
  luaL_checktype(L, 2, LUA_TSTRING);
  w = push_work(L, "url.resolve");
  base = parse(L, w, 1);
  if (base == NULL) return 3;
  if (!is_set(&base->scheme)) return fail(L, w, "the base has no scheme");
  reference = parse(L, w, 2);
  if (reference == NULL) return 3;
  target = &w->parsed[w->count];
  if (uriAddBaseUriA(target, reference, base) != URI_SUCCESS)
    return luaL_error(L, "not enough memory");
  w->count++;
  push_text(L, target);
  return 1;
}

/* Whether `text` is `count` dots, as such or as "%2e". */
static bool is_dots(const UriTextRangeA *text, int count) {
  const char *at = text->first;

  for (; count > 0; count--) {
    if (at < text->afterLast && *at == '.')
      at++;
    else if (text->afterLast - at >= 3 && strncasecmp(at, "%2e", 3) == 0)
      at += 3;
    else
      return false;
  }
  return at == text->afterLast;
}

static UriPathSegmentA *on_top(UriPathSegmentA *segment,
                               UriPathSegmentA *rest) {
  segment->next = rest;
  return segment;
}

/* Resolves the "." and ".." of a path, all but the ".." that lead out of a
 * relative one. uriparser takes a "." for a name where a segment with a ":"
 * followed it. */
static void remove_dots(UriUriA *uri) {
  bool relative = !is_set(&uri->scheme) && !has_host(uri) && !uri->absolutePath;
  UriPathSegmentA *segment, *rest = uri->pathHead, *kept = NULL;

  while ((segment = rest) != NULL) {
    bool up = is_dots(&segment->text, 2);

    rest = segment->next;
    if (up ? relative && (kept == NULL || is_dots(&kept->text, 2))
           : !is_dots(&segment->text, 1)) {
      kept = on_top(segment, kept);
      continue;
    }
    if (up && kept != NULL) {
      UriPathSegmentA *parent = kept;

      kept = parent->next;
      free(parent);
    }
    if (rest == NULL && (kept != NULL || has_host(uri))) { /* a directory */
      segment->text = range_of("");
      kept = on_top(segment, kept);
    } else {
      free(segment);
    }
  }
  uri->pathTail = kept;
  uri->pathHead = NULL;
  while ((segment = kept) != NULL) {
    kept = segment->next;
    uri->pathHead = on_top(segment, uri->pathHead);
  }
}

/* url.normalise(url [, options]) -> string | nil, message, code
 *
 * The form that URLs of the same resource share. Options: fragment, whether it
 * is kept, true unless given. */
static int url_normalise(lua_State *L) {
  static const char *const names[] = {"fragment", NULL};
  char port[12], address[INET6_ADDRSTRLEN];
  UriPathSegmentA here[2] = {{range_of("."), &here[1], NULL},
                             {range_of(""), NULL, NULL}};
  UriUriA *uri, normal;
  bool fragment, had_path;
  int known;

  luaL_checktype(L, 1, LUA_TSTRING);
  art_check_options(L, 2, names);
  fragment = art_option_boolean(L, 2, "fragment", true);
  uri = parse(L, push_work(L, "url.normalise"), 1);
  if (uri == NULL) return 3;
  had_path = !is_path_empty(uri);
  remove_dots(uri);
  if (uriNormalizeSyntaxA(uri) != URI_SUCCESS)
    return luaL_error(L, "not enough memory");

  normal = *uri; /* borrows what `uri` owns, and is not freed */
  known = default_port(&uri->scheme);
  if (uri->hostData.ip6 != NULL &&
      uv_inet_ntop(AF_INET6, uri->hostData.ip6->data, address,
                   sizeof(address)) == 0)
    normal.hostText = range_of(address);
  if (is_set(&uri->portText)) {
    snprintf(port, sizeof(port), "%d", port_number(&uri->portText));
    normal.portText = range_of(port);
    if (length(&uri->portText) == 0 || port_number(&uri->portText) == known)
      normal.portText = no_range;
  }
  if (known >= 0 && has_host(uri) && uri->pathHead == NULL)
    normal.absolutePath = URI_TRUE;
  if (had_path && is_path_empty(uri) && !has_host(uri) && !is_set(&uri->scheme))
    normal.pathHead = here; /* an empty reference leads elsewhere than "a/.." */
  if (!fragment) normal.fragment = no_range;
  push_text(L, &normal);
  return 1;
}

static const luaL_Reg functions[] = {
    {"normalise", url_normalise},
    {"parse", url_parse},
    {"resolve", url_resolve},
    {NULL, NULL},
};

int luaopen_asyncrt_core_url(lua_State *L) {
  luaL_newlibtable(L, functions);
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, work_gc);
  lua_setfield(L, -2, "__gc");
  luaL_setfuncs(L, functions, 1);
  return 1;
}
