/* asyncrt.core.http_connection: what every request to the HTTP server goes
 * through: heads and bodies off a stream, time limits, an eye on clients that
 * go away. The rest of the server is scripts/asyncrt/http/server.lua.
 *
 * Bytes go from the stream to the parser with no Lua string between, and those
 * that it does not take stay with the stream. */
#include "http_connection.h"

#include "error.h"
#include "http_lua.h"
#include "options.h"

#include <math.h>
#include <string.h>

#define FIRST_LOOK (50 * (uint64_t) ART_NS_PER_MS)
#define NEXT_LOOK ((uint64_t) ART_NS_PER_SECOND)

/* Known by their addresses; the last is the key of one in a request, too. */
static const char connection_tag, settings_tag, fields_tag;

/* The upvalues of the methods, behind the metatable: those of requests and
 * responses, the strings of heads, and the names of what every request has. */
enum {
  REQUEST = 2,
  RESPONSE,
  STRINGS,
  CONNECTION_NAME,
  HEADERS_NAME,
  HOST_NAME,
  KEEP_ALIVE_NAME,
  METHOD_NAME,
  PATH_NAME,
  TARGET_NAME,
};

art_http_connection *art_http_check_connection(lua_State *L, int arg) {
  return art_check_tagged(L, arg, &connection_tag, sizeof(art_http_connection),
                          "asyncrt.http.Connection");
}

static void set_limit(lua_State *L, art_stream *stream, uint64_t ns) {
  if (stream != NULL && art_stream_limit(stream, ART_SIDE_READ, ns) != 0)
    art_raise(L, "not enough memory");
}

/* --- Clients that go away ---
 *
 * The end of what a client sends says that it has closed, or only that it has
 * said all it wants. Which it is shows when it gets something: one that has
 * closed answers with a reset. So, while a handler is at work, such a client is
 * sent the first bytes of what it will get in any case. */

static void look_later(art_http_connection *self, uint64_t ns) {
  art_timers *timers = &self->rt->timers;

  if (self->look.timer.heap_index != 0 || art_timers_reserve(timers, 1) != 0)
    return;
  self->look.timer.at = asyncrt_now(self->rt) + ns;
  art_timer_arm(timers, &self->look.timer);
}

static void probe(art_http_connection *self, art_stream *stream) {
  static const char prefix[] = ART_HTTP_PREFIX;
  static const char zero[] = "0"; /* a chunk's size may begin with it */
  struct iovec part = {(void *) (uintptr_t) prefix, ART_HTTP_PREFIX_SIZE};

  self->probed = true;
  if (self->status == 0) {
    self->prefixed = true;
  } else if (self->body == ART_HTTP_BODY_CHUNKED) {
    part.iov_base = (void *) (uintptr_t) zero;
    part.iov_len = 1;
  } else {
    return;
  }
  art_stream_accept(stream, &part, 1);
}

static void look(art_http_connection *self) {
  art_stream *stream = art_http_stream(self);

  if (stream == NULL || self->task == NULL || self->ended) return;
  if (!self->probed && !art_stream_is_gone(stream)) probe(self, stream);
  if (art_stream_is_gone(stream))
    art_scope_cancel(&self->task->base, "the client is gone");
  else if (stream->external)
    look_later(self, NEXT_LOOK);
}

static void on_look(art_callback_timer *timer) {
  look(art_container_of(timer, art_http_connection, look));
}

static void on_hangup(art_observer *observer) {
  art_http_connection *self =
      art_container_of(observer, art_http_connection, observer);
  art_stream *stream = art_http_stream(self);

  if (self->task == NULL) return;
  if (art_stream_is_gone(stream))
    look(self); /* which writes nothing then */
  else
    look_later(self, FIRST_LOOK);
}

static void begin_watch(lua_State *L, art_http_connection *self) {
  art_stream *stream = art_http_stream(self);

  self->task = art_task_of(L);
  self->probed = self->prefixed = false;
  if (stream == NULL) return; /* a finalizer has closed it meanwhile */
  stream->observer = &self->observer;
  art_stream_watch(stream); /* a failure shows when something is waited for */
  if (stream->hangup) look_later(self, FIRST_LOOK);
}

static void end_watch(art_http_connection *self) {
  art_stream *stream = art_http_stream(self);

  if (self->task == NULL) return;
  art_timer_disarm(&self->rt->timers, &self->look.timer);
  if (stream != NULL) stream->observer = NULL;
  self->task = NULL;
}

/* --- Requests --- */

/* Sets path and query of the request on the top. */
static void set_path(lua_State *L, const art_http_parser *parser) {
  art_http_slice path = parser->target, query = {0, 0};
  const char *text, *mark;

  if (parser->form == ART_HTTP_ABSOLUTE) {
    uint32_t end = parser->authority.start + parser->authority.size;

    path.size -= end - path.start;
    path.start = end;
  }
  text = art_http_text(parser, path);
  mark = memchr(text, '?', path.size);
  if (mark != NULL) {
    uint32_t size = (uint32_t) (mark - text);

    query.start = path.start + size + 1;
    query.size = path.size - size - 1;
    path.size = size;
    art_http_set_slice(L, parser, "query", query);
  }
  if (path.size == 0)
    lua_pushliteral(L, "/");
  else
    art_http_push_slice(L, parser, path);
  lua_setfield(L, -2, "path");
}

/* Whether the target is a path and nothing else. */
static bool is_plain(const art_http_parser *parser) {
  art_http_slice target = parser->target;

  return parser->form == ART_HTTP_ORIGIN &&
         memchr(art_http_text(parser, target), '?', target.size) == NULL;
}

/* Pushes one of the strings among the upvalues. */
static void push_name(lua_State *L, int name) {
  lua_pushvalue(L, lua_upvalueindex(name));
}

static art_http_strings push_strings(lua_State *L) {
  lua_pushvalue(L, lua_upvalueindex(STRINGS));
  return art_http_strings_at(L, lua_gettop(L));
}

static void set_string(lua_State *L, const art_http_parser *parser,
                       const art_http_strings *strings, int name,
                       art_http_slice slice) {
  push_name(L, name);
  art_http_push_string(L, strings, art_http_text(parser, slice), slice.size);
  lua_rawset(L, -3);
}

static void set_target(lua_State *L, const art_http_parser *parser,
                       const art_http_strings *strings) {
  if (!is_plain(parser)) {
    art_http_set_slice(L, parser, "target", parser->target);
    set_path(L, parser);
    return;
  }
  push_name(L, TARGET_NAME);
  art_http_push_string(L, strings, art_http_text(parser, parser->target),
                       parser->target.size);
  push_name(L, PATH_NAME);
  lua_pushvalue(L, -2);
  lua_rawset(L, -5);
  lua_rawset(L, -3);
}

/* What a request has that few have. */
static void set_rarities(lua_State *L, const art_http_parser *parser) {
  if (parser->form != ART_HTTP_ORIGIN) art_http_set_form(L, parser);
  if (parser->version != 1) {
    lua_pushfstring(L, "1.%d", parser->version);
    lua_setfield(L, -2, "version");
  }
  art_http_set_framing(L, parser);
}

static void set_connection(lua_State *L) {
  push_name(L, CONNECTION_NAME);
  lua_pushvalue(L, 1);
  lua_rawset(L, -3);
}

/* --- Header fields ---
 *
 * Many handlers read none of them. So their table is made when the request is
 * first asked for it: out of the parser while the request is being answered,
 * and later out of a copy, which takes a tenth of the time. */

enum { PENDING = 3 }; /* the user value */

/* In a request, under the address of fields_tag. */
typedef struct kept_fields {
  const void *tag;
  size_t size; /* of the copy */
  uint32_t count;
  _Alignas(art_http_field) char copy[];
} kept_fields;

/* Leaves the fields of the request with itself: the parser goes on, or is at
 * its end. The connection is at 1. */
static void keep_fields(lua_State *L, art_http_connection *self) {
  size_t size = art_http_copy_size(&self->parser);
  kept_fields *kept;

  if (!self->pending) return;
  lua_getiuservalue(L, 1, PENDING);
  kept = lua_newuserdatauv(L, sizeof(*kept) + size, 0);
  kept->tag = &fields_tag;
  kept->size = size;
  kept->count = self->parser.field_count;
  art_http_copy_fields(&self->parser, kept->copy);
  lua_rawsetp(L, -2, &fields_tag);
  lua_pop(L, 1);
  lua_pushnil(L);
  lua_setiuservalue(L, 1, PENDING);
  self->pending = false;
}

/* The upvalues of request_index. */
enum { CLASS = 1, CLASS_STRINGS, CLASS_HEADERS, CLASS_CONNECTION };

/* The connection that the request at 1 is still with, or NULL; pushes it, or
 * something else. */
static art_http_connection *push_pending(lua_State *L) {
  art_http_connection *self;

  lua_pushvalue(L, lua_upvalueindex(CLASS_CONNECTION));
  lua_rawget(L, 1);
  self = lua_touserdata(L, -1);
  if (self == NULL || lua_rawlen(L, -1) != sizeof(*self) ||
      self->tag != &connection_tag)
    return NULL;
  return self->pending && self->request == lua_topointer(L, 1) ? self : NULL;
}

/* The fields that were left with the request at 1, or NULL; pushes them, or
 * something else. */
static kept_fields *push_kept(lua_State *L) {
  kept_fields *kept;

  lua_rawgetp(L, 1, &fields_tag);
  kept = lua_touserdata(L, -1);
  if (kept == NULL || lua_rawlen(L, -1) < sizeof(*kept)) return NULL;
  return kept->tag == &fields_tag ? kept : NULL;
}

/* Sets the header fields of the request at 1, and pushes them. */
static int make_headers(lua_State *L) {
  art_http_strings strings;
  art_http_connection *self;
  art_http_parser copied;
  kept_fields *kept;

  lua_pushvalue(L, lua_upvalueindex(CLASS_HEADERS));
  lua_pushvalue(L, lua_upvalueindex(CLASS_STRINGS));
  strings = art_http_strings_at(L, lua_gettop(L));
  self = push_pending(L);
  kept = push_kept(L);
  if (self != NULL) {
    art_http_push_fields(L, &self->parser, &strings, 0,
                         self->parser.field_count);
    self->pending = false;
    lua_pushnil(L);
    lua_setiuservalue(L, 5, PENDING);
  } else if (kept != NULL) {
    copied = art_http_copied(kept->copy, kept->size, kept->count);
    art_http_push_fields(L, &copied, &strings, 0, kept->count);
    lua_pushnil(L);
    lua_rawsetp(L, 1, &fields_tag);
  } else {
    return 0;
  }
  lua_pushvalue(L, 3);
  lua_pushvalue(L, -2);
  lua_rawset(L, 1);
  return 1;
}

/* request.key, of what is not in the table: a method, the header fields, what
 * is the same for most requests. */
static int request_index(lua_State *L) {
  lua_settop(L, 2);
  if (lua_istable(L, 1) && lua_rawequal(L, 2, lua_upvalueindex(CLASS_HEADERS)))
    return make_headers(L);
  lua_rawget(L, lua_upvalueindex(CLASS));
  return 1;
}

/* The connection is at 1. */
static void push_request(lua_State *L, art_http_connection *self) {
  const art_http_parser *parser = &self->parser;
  art_http_strings strings = push_strings(L);

  lua_createtable(L, 0, 8);
  set_string(L, parser, &strings, METHOD_NAME, parser->method);
  set_target(L, parser, &strings);
  if (parser->authority.size > 0)
    set_string(L, parser, &strings, HOST_NAME, parser->authority);
  set_connection(L);
  if (parser->keep_alive) {
    push_name(L, KEEP_ALIVE_NAME);
    lua_pushboolean(L, 1);
    lua_rawset(L, -3);
  }
  set_rarities(L, parser);
  lua_pushvalue(L, lua_upvalueindex(REQUEST));
  lua_setmetatable(L, -2);
  lua_remove(L, strings.table);
  self->request = lua_topointer(L, -1);
  lua_pushvalue(L, -1);
  lua_setiuservalue(L, 1, PENDING);
  self->pending = true;
}

static void push_response(lua_State *L, art_http_connection *self) {
  lua_createtable(L, 0, 4);
  push_name(L, HEADERS_NAME);
  lua_createtable(L, 0, 4);
  lua_rawset(L, -3);
  set_connection(L);
  lua_pushvalue(L, lua_upvalueindex(RESPONSE));
  lua_setmetatable(L, -2);
  self->response = lua_topointer(L, -1);
}

static int begin_request(lua_State *L, art_http_connection *self) {
  const art_http_parser *parser = &self->parser;

  self->requests++;
  self->body_left = self->settings->body;
  self->status = 0;
  self->sent = 0;
  self->ended = false;
  self->wants_continue = parser->expects_continue;
  self->close = !parser->keep_alive || parser->form == ART_HTTP_AUTHORITY ||
                self->requests >= self->settings->requests;
  push_request(L, self);
  push_response(L, self);
  begin_watch(L, self);
  return 2;
}

/* connection:response() -> response
 *
 * To a request that was not understood; the connection ends with it. */
static int connection_response(lua_State *L) {
  art_http_connection *self = art_http_check_connection(L, 1);

  self->status = 0;
  self->ended = false;
  self->close = true;
  push_response(L, self);
  return 1;
}

/* --- Heads --- */

static int have_head_bytes(lua_State *L, int results);

static int await_head(lua_State *L, art_http_connection *self) {
  const art_http_settings *settings = self->settings;
  uint64_t limit = self->requests > 0 ? settings->idle : settings->head;

  if (!art_http_is_idle(&self->parser)) {
    uint64_t spent = asyncrt_now(self->rt) - self->head_started;

    limit = settings->head > spent ? settings->head - spent : 1;
  }
  set_limit(L, art_http_stream(self), limit);
  self->waiting = true;
  return art_stream_await_bytes(L, art_http_box(self), have_head_bytes);
}

static int push_late(lua_State *L, const char *message) {
  art_push_failure(L, message, "ETIMEDOUT");
  lua_pushinteger(L, 408);
  return 4;
}

/* The `results` of a wait that failed are on the top. */
static bool is_late(lua_State *L, int results) {
  const char *code = results == 3 ? lua_tostring(L, -1) : NULL;

  return code != NULL && strcmp(code, "ETIMEDOUT") == 0;
}

static int push_late_head(lua_State *L) {
  return push_late(L, "the head did not arrive in time");
}

/* A part of a head has come: for the rest there is so much time in all. */
static int await_rest(lua_State *L, art_http_connection *self, bool was_idle) {
  uint64_t now = asyncrt_now(self->rt);

  if (was_idle) self->head_started = now;
  if (!art_http_is_idle(&self->parser) &&
      now - self->head_started >= self->settings->head)
    return push_late_head(L);
  return await_head(L, self);
}

/* A head that is not allowed. One that only announces too long a body is known
 * for what it is. */
static int push_refused(lua_State *L, art_http_connection *self) {
  int results = art_http_push_failure(L, self->parser.error);

  if (self->parser.error != ART_HTTP_LONG_BODY) return results;
  push_request(L, self);
  return results + 1;
}

static int have_head_bytes(lua_State *L, int results) {
  art_http_connection *self = lua_touserdata(L, 1);
  bool was_idle = art_http_is_idle(&self->parser);
  art_stream *stream;
  art_http_event event;
  const char *data;
  size_t size, used;

  self->waiting = false;
  if (results > 0)
    return is_late(L, results) && !was_idle ? push_late_head(L) : 0;
  stream = art_http_stream(self);
  size = art_stream_view(stream, &data);
  if (size == 0)
    return stream->ended || stream->read_error != 0 ? 0 : await_head(L, self);
  event = art_http_parse(&self->parser, data, size, &used);
  art_stream_use(stream, data, size, used);
  if (event == ART_HTTP_HEAD) return begin_request(L, self);
  if (event == ART_HTTP_FAILED) return push_refused(L, self);
  return await_rest(L, self, was_idle);
}

/* connection:next() -> request, response | nil
 *                      | nil, message, code, status [, request]
 *
 * Waits for the next request; nil alone where none is to come: the client has
 * closed, or the time for it is over, or the server stops. A head that is not
 * allowed or too slow is a failure with the status to answer with, and the
 * request where it was understood, for the log. */
static int connection_next(lua_State *L) {
  art_http_connection *self = art_http_check_connection(L, 1);

  if (self->stopping) return 0;
  return await_head(L, self);
}

/* --- Bodies --- */

static int have_body_bytes(lua_State *L, int results);

/* The connection is at 1, the request at 2, when the wait began at 3. */
static int await_body(lua_State *L, art_http_connection *self) {
  uint64_t limit = self->settings->read;

  if (self->body_left < limit) limit = self->body_left;
  if (limit == 0) return push_late(L, "the body did not arrive in time");
  set_limit(L, art_http_stream(self), limit);
  lua_settop(L, 2);
  lua_pushinteger(L, (lua_Integer) asyncrt_now(self->rt));
  return art_stream_await_bytes(L, art_http_box(self), have_body_bytes);
}

/* Raises where the request at 2 is not the one that is being answered. */
static void check_request(lua_State *L, const art_http_connection *self) {
  if (lua_topointer(L, 2) != self->request)
    art_raise(L, "the request has been answered");
}

static void count_wait(lua_State *L, art_http_connection *self) {
  uint64_t spent = asyncrt_now(self->rt) - (uint64_t) lua_tointeger(L, 3);

  if (self->body_left == UINT64_MAX) return;
  self->body_left = self->body_left > spent ? self->body_left - spent : 0;
}

static int push_cut(lua_State *L, art_http_connection *self) {
  art_stream *stream = art_http_stream(self);

  if (stream->read_error != 0)
    return art_stream_push_error(L, stream, "read", stream->read_error);
  art_http_eof(&self->parser);
  return art_http_push_failure(L, self->parser.error);
}

static int push_body(lua_State *L, const art_http_parser *parser,
                     art_stream *stream) {
  int error = stream->read_error;

  /* Should there be no memory for it, its loss is not to go unseen. */
  stream->read_error = UV_ENOMEM;
  lua_pushlstring(L, parser->body, parser->body_size);
  stream->read_error = error;
  return 1;
}

static void set_trailers(lua_State *L, const art_http_parser *parser) {
  art_http_strings strings = push_strings(L);

  art_http_push_fields(L, parser, &strings, parser->field_count,
                       parser->trailer_count);
  lua_setfield(L, 2, "trailers");
  lua_pop(L, 1);
}

static int have_body_bytes(lua_State *L, int results) {
  art_http_connection *self = lua_touserdata(L, 1);
  art_stream *stream = art_http_stream(self);

  /* Meanwhile it may have been, where this is not the handler's task: what has
   * come is the next one's. */
  if (results == 0) check_request(L, self);
  count_wait(L, self);
  if (results > 0 && is_late(L, results))
    return push_late(L, "the body did not arrive in time");
  if (results > 0) return results;
  for (;;) {
    const char *data;
    size_t used, size = art_stream_view(stream, &data);
    art_http_event event =
        art_http_parse(&self->parser, size > 0 ? data : NULL, size, &used);

    if (event == ART_HTTP_BODY) push_body(L, &self->parser, stream);
    art_stream_use(stream, data, size, used);
    switch (event) {
      case ART_HTTP_BODY: return 1;
      case ART_HTTP_TRAILERS: set_trailers(L, &self->parser); break;
      case ART_HTTP_END: return 0;
      case ART_HTTP_FAILED: return art_http_push_failure(L, self->parser.error);
      default:
        if (stream->ended || stream->read_error != 0) return push_cut(L, self);
        if (size == 0) return await_body(L, self);
    }
  }
}

bool art_http_has_ended(art_http_connection *self) {
  size_t used;

  return art_http_parse(&self->parser, NULL, 0, &used) == ART_HTTP_END;
}

/* Tells a client that waits for it to send its body, unless that is here. */
static void allow_body(art_http_connection *self) {
  static const char text[] = ART_HTTP_PREFIX "100 Continue\r\n\r\n";
  size_t skipped = self->prefixed ? ART_HTTP_PREFIX_SIZE : 0;
  struct iovec part = {(void *) (uintptr_t) (text + skipped),
                       sizeof(text) - 1 - skipped};
  art_stream *stream = art_http_stream(self);

  self->wants_continue = false;
  if (self->status != 0 || stream == NULL || art_stream_unread(stream) > 0)
    return;
  self->prefixed = false;
  art_stream_accept(stream, &part, 1);
}

/* connection:read(request) -> string | nil | nil, message, code [, status]
 *
 * Waits for some of the body; nil at its end, where request.trailers is set. */
static int connection_read(lua_State *L) {
  art_http_connection *self = art_http_check_connection(L, 1);

  luaL_checktype(L, 2, LUA_TTABLE);
  check_request(L, self);
  if (art_http_has_ended(self)) return 0;
  if (self->wants_continue) allow_body(self);
  return await_body(L, self);
}

/* --- The connection --- */

/* connection:done() -> boolean
 *
 * The handler has returned. Where request and response are complete and another
 * request may follow, makes ready for it and returns true. A client that has
 * not taken the response in time is not waited for again: it is reset. */
static int connection_done(lua_State *L) {
  art_http_connection *self = art_http_check_connection(L, 1);
  art_stream *stream = art_http_stream(self);

  end_watch(self);
  if (self->failed && !self->ended && stream != NULL)
    art_stream_close(stream, true);
  if (!self->ended || self->close || self->failed || stream == NULL ||
      !art_http_has_ended(self))
    return 0;
  keep_fields(L, self);
  art_http_restart(&self->parser);
  self->request = self->response = NULL;
  lua_pushboolean(L, true);
  return 1;
}

/* connection:stop()
 *
 * Closes the connection if it waits for a request; otherwise the next response
 * is its last. */
static int connection_stop(lua_State *L) {
  art_http_connection *self = art_http_check_connection(L, 1);
  art_stream *stream = art_http_stream(self);

  self->stopping = true;
  if (stream != NULL && self->waiting && art_http_is_idle(&self->parser) &&
      art_stream_unread(stream) == 0)
    art_stream_close(stream, false);
  return 0;
}

/* connection:cut()
 *
 * Resets the connection where a response that stays incomplete would otherwise
 * be taken for complete. */
static int connection_cut(lua_State *L) {
  art_http_connection *self = art_http_check_connection(L, 1);
  art_stream *stream = art_http_stream(self);

  if (stream != NULL && self->status != 0 && !self->ended &&
      self->body == ART_HTTP_BODY_EOF)
    art_stream_close(stream, true);
  return 0;
}

/* connection:is_upgraded() -> boolean */
static int connection_is_upgraded(lua_State *L) {
  lua_pushboolean(L, art_http_check_connection(L, 1)->upgraded);
  return 1;
}

/* connection:sent() -> status, bytes, complete
 *
 * Of the response: its status, 0 before it has begun, how much of its body was
 * sent, and whether that is all. */
static int connection_sent(lua_State *L) {
  art_http_connection *self = art_http_check_connection(L, 1);

  lua_pushinteger(L, self->status);
  lua_pushinteger(L, (lua_Integer) self->sent);
  lua_pushboolean(L, self->ended && !self->failed);
  return 3;
}

/* connection:stream() -> stream */
static int connection_stream(lua_State *L) {
  art_http_check_connection(L, 1);
  lua_getiuservalue(L, 1, 1);
  return 1;
}

/* connection:close()
 *
 * Lets go of the stream. */
static int connection_close(lua_State *L) {
  art_http_connection *self = art_http_check_connection(L, 1);

  end_watch(self);
  keep_fields(L, self);
  self->request = self->response = NULL;
  art_http_free(&self->parser);
  art_http_init(&self->parser, ART_HTTP_REQUEST, &self->settings->limits);
  return 0;
}

static uint64_t option_ns(lua_State *L, const char *name) {
  uint64_t ns = art_deadline(0, art_option_seconds(L, 1, name, HUGE_VAL));

  return ns > 0 ? ns : 1;
}

/* settings(options, limits) -> settings
 *
 * What the connections of a server have in common: header_timeout,
 * idle_timeout, body_timeout, read_timeout, write_timeout, max_requests; the
 * limits are those of the parser. */
static int http_settings(lua_State *L) {
  art_http_limits limits = art_http_check_limits(L, 2);
  art_http_settings *self;

  luaL_checktype(L, 1, LUA_TTABLE);
  self = lua_newuserdatauv(L, sizeof(*self), 0);
  self->tag = &settings_tag;
  self->limits = limits;
  self->head = option_ns(L, "header_timeout");
  self->idle = option_ns(L, "idle_timeout");
  self->body = option_ns(L, "body_timeout");
  self->read = option_ns(L, "read_timeout");
  self->write = option_ns(L, "write_timeout");
  self->requests = art_option_size(L, 1, "max_requests", 1, SIZE_MAX);
  return 1;
}

/* connection(stream, settings) -> connection
 *
 * The stream is read and written by nobody else. */
static int http_connection(lua_State *L) {
  art_stream *stream = art_check_stream(L, 1);
  art_http_settings *settings = art_check_tagged(
      L, 2, &settings_tag, sizeof(*settings), "asyncrt.http.Settings");
  art_http_connection *self = lua_newuserdatauv(L, sizeof(*self), PENDING);

  memset(self, 0, sizeof(*self));
  self->tag = &connection_tag;
  self->rt = stream->rt;
  self->settings = settings;
  self->object = lua_touserdata(L, 1);
  self->observer.on_hangup = on_hangup;
  self->look.timer.kind = ART_TIMER_CALLBACK;
  self->look.fire = on_look;
  art_http_init(&self->parser, ART_HTTP_REQUEST, &settings->limits);
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, -2, 1);
  lua_pushvalue(L, 2);
  lua_setiuservalue(L, -2, 2);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_setmetatable(L, -2);
  if (art_stream_limit(stream, ART_SIDE_WRITE, settings->write) != 0)
    art_raise(L, "not enough memory");
  return 1;
}

static const luaL_Reg functions[] = {
    {"connection", http_connection},
    {"reason", art_http_reason},
    {"settings", http_settings},
    {NULL, NULL},
};

/* Nobody but the server's scripts calls them. */
static const luaL_Reg internals[] = {
    {"cut", connection_cut},
    {"done", connection_done},
    {"is_upgraded", connection_is_upgraded},
    {"next", connection_next},
    {"read", connection_read},
    {"response", connection_response},
    {"sent", connection_sent},
    {"stop", connection_stop},
    {"stream", connection_stream},
    {NULL, NULL},
};

static const luaL_Reg metamethods[] = {
    {"__close", connection_close},
    {"__gc", connection_close},
    {NULL, NULL},
};

/* Makes a table that is its own __index, and a field of the module. */
static void add_class(lua_State *L, const char *name) {
  lua_newtable(L);
  lua_pushvalue(L, -1);
  lua_setfield(L, -2, "__index");
  lua_pushvalue(L, -1);
  lua_setfield(L, 1, name);
}

/* The class on the top makes header fields. */
static void add_headers(lua_State *L) {
  lua_pushvalue(L, -1);
  art_http_push_strings(L);
  lua_pushliteral(L, "headers");
  lua_pushliteral(L, "connection");
  lua_pushcclosure(L, request_index, CLASS_CONNECTION);
  lua_setfield(L, -2, "__index");
}

/* Beside its functions the module has the metatables of requests and
 * responses, `request` and `response`, for Lua to add to. */
int art_open_http_connection(lua_State *L) {
  static const char *const names[] = {"connection", "headers", "host",
                                      "keep_alive", "method",  "path",
                                      "target",     NULL};
  int i;

  lua_settop(L, 0);
  luaL_newlibtable(L, functions);
  lua_newtable(L);
  lua_pushliteral(L, "asyncrt.http.Connection");
  lua_setfield(L, -2, "__name");
  luaL_setfuncs(L, metamethods, 0);
  lua_newtable(L);
  lua_pushvalue(L, 2);
  add_class(L, "request");
  add_headers(L);
  add_class(L, "response");
  art_http_set_response_methods(L);
  art_http_push_strings(L);
  for (i = 0; names[i] != NULL; i++) lua_pushstring(L, names[i]);
  luaL_setfuncs(L, internals, TARGET_NAME);
  lua_setfield(L, 2, "__index");
  luaL_setfuncs(L, functions, 1);
  return 1;
}
