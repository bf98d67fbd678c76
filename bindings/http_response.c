/* Responses: heads that are made and sent in one go, and bodies behind them. */
#include "http_connection.h"

#include "error.h"
#include "http_syntax.h"
#include "virtual.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MOST_FIELDS 128  /* names in a table of header fields */
#define INLINE_TEXT 4096 /* bytes of a head that need no memory */
#define GATHERED 2048    /* a body of at most so many is copied to its head */
#define NUMBER_TEXT 24   /* bytes of an integer, in decimal or hexadecimal */

/* The upvalues of the methods: names of fields of a response. */
enum { CONNECTION_NAME = 1, HEADERS_NAME, STATUS_NAME };

/* Pushes a field of the response at 1, whatever its metatable says. Returns the
 * type. */
static int push_raw(lua_State *L, int name) {
  lua_pushvalue(L, lua_upvalueindex(name));
  return lua_rawget(L, 1);
}

/* Raises where the response at 1 is not the one that is being made. */
static void check_current(lua_State *L, const art_http_connection *self) {
  if (lua_topointer(L, 1) != self->response)
    art_raise(L, "the response is over: the handler has returned");
}

/* The connection of the response at 1; raises where that is over. */
static art_http_connection *check_response(lua_State *L) {
  art_http_connection *self;

  luaL_checktype(L, 1, LUA_TTABLE);
  push_raw(L, CONNECTION_NAME);
  self = art_http_check_connection(L, -1);
  lua_pop(L, 1);
  check_current(L, self);
  return self;
}

/* The same where await_room has put it: the handler may have returned, and a
 * finalizer may have changed the field before. */
static art_http_connection *check_again(lua_State *L) {
  art_http_connection *self = art_http_check_connection(L, 3);

  check_current(L, self);
  return self;
}

/* --- Text --- */

/* What is to be sent. Grows in the stack slot, so that an error leaves nothing
 * behind. */
typedef struct output {
  lua_State *L;
  char *data;
  size_t size, capacity;
  int slot;
} output;

static output begin_output(lua_State *L, char *space, size_t capacity) {
  output out = {L, space, 0, capacity, 0};

  lua_pushnil(L);
  out.slot = lua_gettop(L);
  return out;
}

static void grow(output *out, size_t size) {
  size_t capacity = 2 * (out->size + size);
  char *data = lua_newuserdatauv(out->L, capacity, 0);

  memcpy(data, out->data, out->size);
  lua_replace(out->L, out->slot);
  out->data = data;
  out->capacity = capacity;
}

static inline void add(output *out, const char *data, size_t size) {
  if (out->capacity - out->size < size) grow(out, size);
  memcpy(out->data + out->size, data, size);
  out->size += size;
}

static inline void add_literal(output *out, const char *literal) {
  add(out, literal, strlen(literal));
}

static void add_number(output *out, uint64_t value, unsigned base) {
  char digits[NUMBER_TEXT], *start = digits + sizeof(digits);

  do *--start = "0123456789abcdef"[value % base];
  while ((value /= base) > 0);
  add(out, start, (size_t) (digits + sizeof(digits) - start));
}

/* --- Status lines and dates --- */

static const struct {
  int status;
  const char *reason;
} reasons[] = {
    {200, "OK"},
    {100, "Continue"},
    {101, "Switching Protocols"},
    {201, "Created"},
    {202, "Accepted"},
    {203, "Non-Authoritative Information"},
    {204, "No Content"},
    {205, "Reset Content"},
    {206, "Partial Content"},
    {300, "Multiple Choices"},
    {301, "Moved Permanently"},
    {302, "Found"},
    {303, "See Other"},
    {304, "Not Modified"},
    {307, "Temporary Redirect"},
    {308, "Permanent Redirect"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {402, "Payment Required"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {407, "Proxy Authentication Required"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {410, "Gone"},
    {411, "Length Required"},
    {412, "Precondition Failed"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {415, "Unsupported Media Type"},
    {416, "Range Not Satisfiable"},
    {417, "Expectation Failed"},
    {421, "Misdirected Request"},
    {422, "Unprocessable Content"},
    {423, "Locked"},
    {425, "Too Early"},
    {426, "Upgrade Required"},
    {428, "Precondition Required"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {451, "Unavailable For Legal Reasons"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {505, "HTTP Version Not Supported"},
    {507, "Insufficient Storage"},
    {511, "Network Authentication Required"},
};

static const char *reason_of(int status) {
  size_t i;

  for (i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
    if (reasons[i].status == status) return reasons[i].reason;
  return "";
}

int art_http_reason(lua_State *L) {
  lua_pushstring(L, reason_of((int) luaL_checkinteger(L, 1)));
  return 1;
}

/* In English whatever the locale; made once a second. */
static void add_date(output *out, asyncrt *rt) {
  static const char days[] = "SunMonTueWedThuFriSat";
  static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
  static _Thread_local time_t made_at = -1;
  static _Thread_local char line[64];
  time_t now = art_date(rt);
  struct tm date;

  if (now != made_at) {
    gmtime_r(&now, &date);
    snprintf(line, sizeof(line),
             "Date: %.3s, %02d %.3s %d %02d:%02d:%02d GMT\r\n",
             days + 3 * date.tm_wday, date.tm_mday, months + 3 * date.tm_mon,
             date.tm_year + 1900, date.tm_hour, date.tm_min, date.tm_sec);
    made_at = now;
  }
  add_literal(out, line);
}

/* --- Header fields --- */

/* A name in a table of fields, and where on the stack its value is. */
typedef struct header {
  const char *name; /* borrowed; on the stack */
  size_t size;
  int value;
} header;

/* What the fields of a handler say that concerns the server. */
typedef struct given_fields {
  bool date, close, has_length;
  uint64_t length;
} given_fields;

static _Noreturn void raise_name(lua_State *L, const char *name, size_t size) {
  char shown[64];
  size_t i;

  for (i = 0; i < size && i < sizeof(shown) - 1; i++)
    shown[i] = (char) (name[i] >= ' ' && name[i] < 127 ? name[i] : '?');
  shown[i] = '\0';
  art_raise(L, "invalid header name '%s'", shown);
}

static _Noreturn void raise_value(lua_State *L, const char *name) {
  art_raise(L, "invalid value of header '%s'", name);
}

/* Pushes the pairs of the table at `index` and fills in `fields`, in the order
 * of their names. Returns their number. */
static int push_sorted(lua_State *L, int index, header *fields) {
  int count = 0, i;

  lua_pushnil(L);
  while (lua_next(L, index) != 0) {
    header new = {"", 0, lua_gettop(L)};

    luaL_checkstack(L, LUA_MINSTACK, NULL);
    if (lua_type(L, -2) == LUA_TSTRING)
      new.name = lua_tolstring(L, -2, &new.size);
    if (new.size == 0 ||
        art_http_span(new.name, new.size, ART_HTTP_TOKEN_BYTE) != new.size)
      raise_name(L, new.name, new.size);
    if (count == MOST_FIELDS) art_raise(L, "too many header fields");
    for (i = count++; i > 0 && strcmp(fields[i - 1].name, new.name) > 0; i--)
      fields[i] = fields[i - 1];
    fields[i] = new;
    lua_pushvalue(L, -2);
  }
  return count;
}

static void add_line(output *out, const header *field, int index) {
  lua_State *L = out->L;
  const char *value;
  size_t size;

  if (lua_type(L, index) != LUA_TSTRING && lua_type(L, index) != LUA_TNUMBER)
    raise_value(L, field->name);
  lua_pushvalue(L, index); /* for a number becomes a string */
  value = lua_tolstring(L, -1, &size);
  if (art_http_text_span(value, size) != size) raise_value(L, field->name);
  add(out, field->name, field->size);
  add_literal(out, ": ");
  add(out, value, size);
  add_literal(out, "\r\n");
  lua_pop(L, 1);
}

/* One line, or one for each value of a list. */
static void add_field(output *out, const header *field) {
  lua_State *L = out->L;
  lua_Integer i, count;

  if (lua_type(L, field->value) != LUA_TTABLE) {
    add_line(out, field, field->value);
    return;
  }
  count = (lua_Integer) lua_rawlen(L, field->value);
  for (i = 1; i <= count; i++) {
    lua_rawgeti(L, field->value, i);
    add_line(out, field, lua_gettop(L));
    lua_pop(L, 1);
  }
}

/* Digits only, whether as a number or a string. */
static uint64_t check_length(lua_State *L, const header *field) {
  lua_Integer length = -1;
  const char *digits;
  size_t size;
  int is_integer = 1;

  if (lua_type(L, field->value) == LUA_TNUMBER) {
    length = lua_tointegerx(L, field->value, &is_integer);
  } else if (lua_type(L, field->value) == LUA_TSTRING) {
    digits = lua_tolstring(L, field->value, &size);
    if (size > 0 && size <= 18 && strspn(digits, "0123456789") == size)
      length = strtoll(digits, NULL, 10);
  }
  if (!is_integer || length < 0) raise_value(L, field->name);
  return (uint64_t) length;
}

/* Whether the value is a list of connection options with "close" in it. */
static bool says_close(lua_State *L, const header *field) {
  const char *list, *end, *option;
  size_t size;

  if (lua_type(L, field->value) != LUA_TSTRING) raise_value(L, field->name);
  list = lua_tolstring(L, field->value, &size);
  end = list + size;
  while (list != NULL) {
    art_http_next_element(&list, end, &option, &size);
    if (art_http_equals(option, size, "close")) return true;
  }
  return false;
}

/* Takes a field that the server writes itself; false for any other. */
static bool take_field(lua_State *L, const header *field, given_fields *given) {
  const char *name = field->name;

  switch (field->size) {
    case 4: given->date |= art_http_equals(name, 4, "date"); return false;
    case 10:
      if (!art_http_equals(name, 10, "connection")) return false;
      given->close |= says_close(L, field);
      return true;
    case 14:
      if (!art_http_equals(name, 14, "content-length")) return false;
      given->length = check_length(L, field);
      return given->has_length = true;
    case 17:
      if (art_http_equals(name, 17, "transfer-encoding"))
        art_raise(L, "the transfer coding of a response is not to be chosen");
      return false;
    default: return false;
  }
}

/* Adds the fields that the handler has set. */
static given_fields add_fields(output *out) {
  lua_State *L = out->L;
  header fields[MOST_FIELDS];
  given_fields given = {false, false, false, 0};
  int top = lua_gettop(L), count, i;

  if (push_raw(L, HEADERS_NAME) != LUA_TTABLE)
    art_raise(L, "response.headers is no table");
  count = push_sorted(L, top + 1, fields);
  for (i = 0; i < count; i++)
    if (!take_field(L, &fields[i], &given)) add_field(out, &fields[i]);
  lua_settop(L, top);
  return given;
}

/* --- Heads --- */

/* What a head says; nothing has been done yet. */
typedef struct head_facts {
  int status;
  art_http_body body;
  uint64_t left;
  bool close;
} head_facts;

static int check_status(lua_State *L) {
  int is_integer;
  lua_Integer status;

  if (push_raw(L, STATUS_NAME) == LUA_TNIL) {
    lua_pop(L, 1);
    return 200;
  }
  status = lua_tointegerx(L, -1, &is_integer);
  if (lua_type(L, -1) != LUA_TNUMBER || !is_integer || status < 200 ||
      status > 999)
    art_raise(L, "invalid status %s", luaL_tolstring(L, -1, NULL));
  lua_pop(L, 1);
  return (int) status;
}

static void add_status_line(output *out, int status) {
  if (status == 200) {
    add_literal(out, ART_HTTP_PREFIX "200 OK\r\n");
    return;
  }
  add_literal(out, ART_HTTP_PREFIX);
  add_number(out, (uint64_t) status, 10);
  add_literal(out, " ");
  add_literal(out, reason_of(status));
  add_literal(out, "\r\n");
}

static bool is_head_request(const art_http_connection *self) {
  return self->parser.method.size == 4 &&
         memcmp(art_http_text(&self->parser, self->parser.method), "HEAD", 4) ==
             0;
}

static art_http_body body_of(const art_http_connection *self, int status,
                             bool has_length) {
  if (status == 204 || status == 304) return ART_HTTP_BODY_NONE;
  if (has_length) return ART_HTTP_BODY_LENGTH;
  return self->parser.version == 0 ? ART_HTTP_BODY_EOF : ART_HTTP_BODY_CHUNKED;
}

static _Noreturn void raise_length(lua_State *L, const char *which) {
  art_raise(L, "%s bytes than the Content-Length of the response", which);
}

/* The length of a body of which all is there has to be as the handler says; for
 * HEAD none is there. */
static void check_whole(lua_State *L, const art_http_connection *self,
                        given_fields *given, size_t length) {
  if (given->has_length && length != given->length) {
    if (length == 0 && is_head_request(self)) return;
    raise_length(L, length > given->length ? "more" : "fewer");
  }
  given->length = length;
}

/* Whether nothing is known of the body: a handler that has none for HEAD may
 * have one for GET, whose length is the only one to be told. */
static bool is_untold(const art_http_connection *self,
                      const given_fields *given, const size_t *length) {
  return length != NULL && *length == 0 && !given->has_length &&
         is_head_request(self);
}

/* Adds the head; `length` is that of the body, where it is known. */
static head_facts add_head(output *out, const art_http_connection *self,
                           const size_t *length) {
  head_facts head = {check_status(out->L), ART_HTTP_BODY_NONE, 0, false};
  given_fields given;

  add_status_line(out, head.status);
  given = add_fields(out);
  if (length != NULL && head.status != 204 && head.status != 304)
    check_whole(out->L, self, &given, *length);
  head.left = given.length;
  if (!is_untold(self, &given, length))
    head.body = body_of(self, head.status, length != NULL || given.has_length);
  /* A client that waits for 100 Continue may send its body now, or may not. */
  head.close = self->close || self->stopping || given.close ||
               self->wants_continue || head.body == ART_HTTP_BODY_EOF;
  if (!given.date) add_date(out, self->rt);
  if (head.body == ART_HTTP_BODY_LENGTH) {
    add_literal(out, "Content-Length: ");
    add_number(out, head.left, 10);
    add_literal(out, "\r\n");
  } else if (head.body == ART_HTTP_BODY_CHUNKED) {
    add_literal(out, "Transfer-Encoding: chunked\r\n");
  }
  if (head.close)
    add_literal(out, "Connection: close\r\n");
  else if (self->parser.version == 0)
    add_literal(out, "Connection: keep-alive\r\n");
  add_literal(out, "\r\n");
  if (is_head_request(self)) head.body = ART_HTTP_BODY_NONE;
  return head;
}

static void begin(art_http_connection *self, const head_facts *head) {
  self->status = head->status;
  self->body = head->body;
  self->left = head->left;
  self->close = head->close;
  self->wants_continue = false;
}

/* --- Sending --- */

/* Goes on in `done` where a write would not wait. There are two arguments at
 * most; behind them `done` finds the connection. */
static int await_room(lua_State *L, art_http_connection *self, art_done done) {
  lua_settop(L, 2);
  push_raw(L, CONNECTION_NAME);
  return art_stream_await_room(L, art_http_box(self), done);
}

static int fail(art_http_connection *self, int results) {
  self->failed = true;
  return results;
}

/* Sends the text, without what a look for the client has sent of it, and the
 * bytes behind it. */
static int transmit(art_http_connection *self, const output *out,
                    const struct iovec *more, int count) {
  lua_State *L = out->L;
  art_stream *stream = art_http_stream(self);
  size_t skipped = self->prefixed ? ART_HTTP_PREFIX_SIZE : 0;
  struct iovec parts[3] = {{out->data + skipped, out->size - skipped}};
  int i;

  for (i = 0; i < count; i++) parts[i + 1] = more[i];
  if (out->size == 0 && count == 0) {
    lua_pushboolean(L, true);
    return 1;
  }
  self->prefixed = false;
  if (stream == NULL) /* a finalizer has closed it while the head was made */
    return fail(self, art_stream_push_closed(L));
  art_stream_accept(stream, parts, count + 1);
  if (stream->write_error != 0)
    return fail(self,
                art_stream_push_error(L, stream, "write", stream->write_error));
  lua_pushboolean(L, true);
  return 1;
}

static struct iovec body_at(lua_State *L, int index) {
  struct iovec body;

  body.iov_base = (void *) (uintptr_t) lua_tolstring(L, index, &body.iov_len);
  return body;
}

/* The body is at 2. */
static int send_now(lua_State *L, int results) {
  art_http_connection *self = check_again(L);
  struct iovec body = body_at(L, 2);
  char space[INLINE_TEXT];
  head_facts head;
  output out;

  if (results > 0) return fail(self, results);
  out = begin_output(L, space, sizeof(space));
  head = add_head(&out, self, &body.iov_len);
  if (head.body == ART_HTTP_BODY_NONE) body.iov_len = 0;
  begin(self, &head);
  self->ended = true;
  self->left = 0;
  self->sent = body.iov_len;
  if (body.iov_len > GATHERED) return transmit(self, &out, &body, 1);
  add(&out, body.iov_base, body.iov_len);
  return transmit(self, &out, NULL, 0);
}

/* response:send([body]) -> true | nil, message, code
 *
 * Sends the whole response; waits while the client is behind. Raises where it
 * has begun, and for a wrong status or field. */
static int response_send(lua_State *L) {
  art_http_connection *self = check_response(L);

  lua_settop(L, 2);
  if (lua_isnil(L, 2)) {
    lua_pushliteral(L, "");
    lua_replace(L, 2);
  }
  luaL_checktype(L, 2, LUA_TSTRING);
  if (self->status != 0) art_raise(L, "the response has begun");
  return await_room(L, self, send_now);
}

/* What frames a piece of `size` bytes, before it; raises where it is too
 * much. */
static void add_framing(output *out, const head_facts *head, size_t size) {
  if (head->body == ART_HTTP_BODY_LENGTH && size > head->left)
    raise_length(out->L, "more");
  if (head->body == ART_HTTP_BODY_CHUNKED && size > 0) {
    add_number(out, size, 16);
    add_literal(out, "\r\n");
  }
}

/* The piece is at 2. */
static int write_now(lua_State *L, int results) {
  art_http_connection *self = check_again(L);
  struct iovec parts[2] = {body_at(L, 2), {(void *) (uintptr_t) "\r\n", 2}};
  head_facts head = {self->status, self->body, self->left, self->close};
  char space[INLINE_TEXT];
  size_t size = parts[0].iov_len;
  bool is_chunk;
  output out;

  if (results > 0) return fail(self, results);
  out = begin_output(L, space, sizeof(space));
  if (self->status == 0) head = add_head(&out, self, NULL);
  if (head.body == ART_HTTP_BODY_NONE) size = 0;
  add_framing(&out, &head, size);
  begin(self, &head);
  if (head.body == ART_HTTP_BODY_LENGTH) self->left -= size;
  self->sent += size;
  is_chunk = head.body == ART_HTTP_BODY_CHUNKED && size > 0;
  if (size > GATHERED) return transmit(self, &out, parts, is_chunk ? 2 : 1);
  add(&out, parts[0].iov_base, size);
  if (is_chunk) add_literal(&out, "\r\n");
  return transmit(self, &out, NULL, 0);
}

/* response:write(bytes) -> true | nil, message, code
 *
 * Sends some of the body, and the head before the first of it; waits while the
 * client is behind. Raises as send does, after the end, and for more bytes than
 * the Content-Length. */
static int response_write(lua_State *L) {
  art_http_connection *self = check_response(L);

  luaL_checktype(L, 2, LUA_TSTRING);
  lua_settop(L, 2);
  if (self->ended) art_raise(L, "the response has ended");
  return await_room(L, self, write_now);
}

static void add_trailers(output *out) {
  static const char *const forbidden[] = {
      "connection",        "content-length", "host", "trailer",
      "transfer-encoding", "upgrade",        NULL};
  lua_State *L = out->L;
  header fields[MOST_FIELDS];
  const char *const *name;
  int top = lua_gettop(L), count, i;

  lua_getfield(L, 1, "trailers");
  if (lua_isnil(L, -1)) return;
  if (!lua_istable(L, -1)) art_raise(L, "response.trailers is no table");
  count = push_sorted(L, top + 1, fields);
  for (i = 0; i < count; i++) {
    for (name = forbidden; *name != NULL; name++)
      if (art_http_equals(fields[i].name, fields[i].size, *name))
        art_raise(L, "'%s' cannot be a trailer", fields[i].name);
    add_field(out, &fields[i]);
  }
  lua_settop(L, top);
}

static int finish_now(lua_State *L, int results) {
  art_http_connection *self = check_again(L);
  char space[INLINE_TEXT];
  output out;

  if (results > 0) return fail(self, results);
  out = begin_output(L, space, sizeof(space));
  if (self->body == ART_HTTP_BODY_CHUNKED) {
    add_literal(&out, "0\r\n");
    add_trailers(&out);
    add_literal(&out, "\r\n");
  }
  self->ended = true;
  return transmit(self, &out, NULL, 0);
}

/* response:finish() -> true | nil, message, code
 *
 * Ends a response that was written piece by piece, with response.trailers where
 * that went in chunks. Raises for fewer bytes than the Content-Length. */
static int response_finish(lua_State *L) {
  art_http_connection *self = check_response(L);

  lua_settop(L, 1);
  if (self->ended) {
    lua_pushboolean(L, true);
    return 1;
  }
  if (self->status == 0) {
    lua_pushliteral(L, "");
    return await_room(L, self, send_now);
  }
  if (self->body == ART_HTTP_BODY_LENGTH && self->left > 0)
    raise_length(L, "fewer");
  return await_room(L, self, finish_now);
}

/* --- Upgrades --- */

/* The head of 101, or that of an answer to CONNECT. The protocol is at 2. */
static void add_upgrade_head(output *out, const art_http_connection *self) {
  bool is_tunnel = self->parser.form == ART_HTTP_AUTHORITY;
  int status = is_tunnel ? check_status(out->L) : 101;

  if (status > 299) art_raise(out->L, "a status of success is needed");
  add_status_line(out, status);
  add_fields(out);
  if (!is_tunnel) {
    header upgrade = {"Upgrade", 7, 2};

    add_literal(out, "Connection: Upgrade\r\n");
    add_field(out, &upgrade);
  }
  add_literal(out, "\r\n");
}

static int upgrade_now(lua_State *L, int results) {
  art_http_connection *self = check_again(L);
  char space[INLINE_TEXT];
  art_stream *stream;
  output out;

  if (results > 0) return fail(self, results);
  out = begin_output(L, space, sizeof(space));
  add_upgrade_head(&out, self);
  self->status = self->parser.form == ART_HTTP_AUTHORITY ? 200 : 101;
  self->ended = self->close = self->upgraded = true;
  results = transmit(self, &out, NULL, 0);
  if (self->failed) return results;
  stream = art_http_stream(self);
  if (art_stream_limit(stream, ART_SIDE_READ, UINT64_MAX) != 0 ||
      art_stream_limit(stream, ART_SIDE_WRITE, UINT64_MAX) != 0)
    art_raise(L, "not enough memory");
  lua_getiuservalue(L, 3, 1);
  return 1;
}

/* response:upgrade([protocol]) -> stream | nil, message, code
 *
 * Answers 101 to a request for an upgrade to the protocol, or 200 to CONNECT,
 * and hands the connection over: without time limits, and with the bytes that
 * have come behind the request. Raises where the request asks for neither, has
 * a body that was not read, or the response has begun. */
static int response_upgrade(lua_State *L) {
  art_http_connection *self = check_response(L);

  lua_settop(L, 2);
  if (self->parser.form != ART_HTTP_AUTHORITY) {
    if (!self->parser.upgrade) art_raise(L, "the request is for no upgrade");
    luaL_checktype(L, 2, LUA_TSTRING);
  }
  if (self->status != 0) art_raise(L, "the response has begun");
  if (!art_http_has_ended(self))
    art_raise(L, "the body of the request was not read");
  return await_room(L, self, upgrade_now);
}

/* response:has_begun() -> boolean
 *
 * Whether its head has been sent. */
static int response_has_begun(lua_State *L) {
  lua_pushboolean(L, check_response(L)->status != 0);
  return 1;
}

static const luaL_Reg response_methods[] = {
    {"finish", response_finish}, {"has_begun", response_has_begun},
    {"send", response_send},     {"upgrade", response_upgrade},
    {"write", response_write},   {NULL, NULL},
};

void art_http_set_response_methods(lua_State *L) {
  lua_pushliteral(L, "connection");
  lua_pushliteral(L, "headers");
  lua_pushliteral(L, "status");
  luaL_setfuncs(L, response_methods, STATUS_NAME);
}
