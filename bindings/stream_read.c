/* Streams: reading. One structure serves every way to cut a stream of bytes
 * into items; an item is taken as a whole or not at all. */
#include "stream_internal.h"

#include "error.h"
#include "options.h"
#include "runtime.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_READ 65536
#define DEFAULT_LINE 65536u
#define DEFAULT_ALL (16u << 20)
#define LARGEST_READ ((lua_Integer) 1 << 53)
#define LEAST_SPACE 4096u /* bytes offered to a recv behind others */
#define MOST_SPACE (1u << 20)

struct art_buffer {
  size_t start, end, capacity; /* the bytes are data[start, end) */
  char data[];
};

typedef enum read_framing {
  READ_SOME,
  READ_EXACT,
  READ_LINE,
  READ_UNTIL,
  READ_ALL,
  READ_PEEK,
  READ_INTO,   /* as SOME, into the buffer at the op's slot */
  READ_NOTHING /* waits only */
} read_framing;

/* In the op: u.pair.size = how many bytes, or the limit; u.pair.data and slot
 * = the delimiter and its length; status = how far it was searched for. For
 * READ_INTO slot = stack index of the buffer. */
typedef struct read_request {
  read_framing framing;
  int delimiter_length;
  const char *delimiter; /* borrowed; on the caller's stack or in an event */
  size_t size;
} read_request;

typedef struct read_type {
  asyncrt_op_type op; /* first: what an op points at */
  read_framing framing;
} read_type;

static read_framing framing_of(const asyncrt_op *op) {
  return ((const read_type *) (const void *) op->type)->framing;
}

static art_stream *stream_of(const asyncrt_op *op) {
  return *(art_stream **) op->object;
}

/* --- The bytes received and not yet read --- */

size_t art_stream_unread(const art_stream *stream) {
  const art_buffer *buffer = stream->received;

  return buffer != NULL ? buffer->end - buffer->start : 0;
}

void art_stream_drop_received(art_stream *stream) {
  free(stream->received);
  stream->received = NULL;
}

static void consume(art_stream *stream, size_t size) {
  art_buffer *buffer = stream->received;

  if (buffer == NULL) return;
  buffer->start += size;
  if (buffer->start == buffer->end) art_stream_drop_received(stream);
}

/* Makes room for `extra` bytes behind the unread ones. */
static bool reserve(art_stream *stream, size_t extra) {
  art_buffer *buffer = stream->received;
  size_t size = art_stream_unread(stream), capacity;

  if (buffer != NULL) {
    if (buffer->capacity - buffer->end >= extra) return true;
    if (buffer->start >= size && buffer->capacity - size >= extra) {
      memcpy(buffer->data, buffer->data + buffer->start, size);
      buffer->start = 0;
      buffer->end = size;
      return true;
    }
  }
  capacity = size + extra;
  if (buffer != NULL && capacity < 2 * size) capacity = 2 * size;
  buffer = malloc(sizeof(*buffer) + capacity);
  if (buffer == NULL) return false;
  if (size > 0)
    memcpy(buffer->data, stream->received->data + stream->received->start,
           size);
  buffer->start = 0;
  buffer->end = size;
  buffer->capacity = capacity;
  free(stream->received);
  stream->received = buffer;
  return true;
}

void art_stream_keep(art_stream *stream, const char *data, size_t size) {
  if (size == 0) return;
  if (!reserve(stream, size)) {
    stream->read_error = UV_ENOMEM;
    return;
  }
  memcpy(stream->received->data + stream->received->end, data, size);
  stream->received->end += size;
}

void art_stream_expect(art_stream *stream, size_t size) {
  if (size > 0) reserve(stream, size); /* in vain without memory */
}

/* There is nothing to read before readiness is told. */
static void exhausted(art_stream *stream) {
  stream->readable = stream->hangup = false;
  art_poll_want(stream->rt, &stream->watcher, ART_READABLE);
}

size_t art_stream_received(art_stream *stream, ssize_t received, size_t size) {
  if (received > 0) {
    /* All that was there, and the next byte brings a new edge; but after a
     * hang-up there is none. */
    if ((size_t) received < size && !stream->hangup &&
        !stream->type->short_reads)
      exhausted(stream);
    if (stream->times != NULL) art_stream_time_moved(stream);
    return (size_t) received;
  }
  if (received == 0 && stream->write_error == UV_ECONNRESET)
    /* The kernel tells of a reset once, and it was the writer who heard. */
    stream->read_error = UV_ECONNRESET;
  else if (received == 0)
    stream->ended = true;
  else if (received == UV_EAGAIN)
    exhausted(stream);
  else
    stream->read_error = (int) received;
  return 0;
}

/* Receives once. Returns the number of bytes; 0 for none, then the stream's
 * state says why. */
static size_t receive(art_stream *stream, char *data, size_t size) {
  return art_stream_received(stream, stream->type->recv(stream, data, size),
                             size);
}

size_t art_stream_take(art_stream *stream, char *data, size_t size) {
  art_buffer *buffer = stream->received;
  size_t there = art_stream_unread(stream);

  if (there == 0) {
    if (!stream->readable || stream->ended || stream->read_error != 0) return 0;
    return receive(stream, data, size);
  }
  if (size > there) size = there;
  memcpy(data, buffer->data + buffer->start, size);
  consume(stream, size);
  return size;
}

/* Receives once behind the unread bytes; `wanted` is the size of the item, if
 * known. Large items thus arrive in place, in ever larger portions. */
static void receive_more(art_stream *stream, size_t wanted) {
  size_t size = art_stream_unread(stream), space = size;
  art_buffer *buffer;

  if (stream->type->is_given) {
    receive(stream, NULL, 0);
    return;
  }
  if (space < LEAST_SPACE) space = LEAST_SPACE;
  if (space > MOST_SPACE) space = MOST_SPACE;
  if (wanted > size && wanted - size < space && space > LEAST_SPACE)
    space = wanted - size > LEAST_SPACE ? wanted - size : LEAST_SPACE;
  if (!reserve(stream, space)) {
    stream->read_error = UV_ENOMEM;
    return;
  }
  buffer = stream->received;
  space = buffer->capacity - buffer->end;
  buffer->end += receive(stream, buffer->data + buffer->end, space);
  if (buffer->start == buffer->end) art_stream_drop_received(stream);
}

/* --- Items --- */

typedef enum { ITEM_PART, ITEM_WHOLE, ITEM_TOO_LONG } item;

static item find_line(asyncrt_op *op, const char *data, size_t size, bool ended,
                      size_t *length) {
  size_t max = op->u.pair.size, content;
  const char *end = NULL;

  if (size > op->status)
    end = memchr(data + op->status, '\n', size - op->status);
  if (end != NULL) {
    content = (size_t) (end - data);
    *length = content + 1;
    if (content > 0 && end[-1] == '\r') content--;
    return content > max ? ITEM_TOO_LONG : ITEM_WHOLE;
  }
  if (ended && size > 0) {
    *length = size;
    return size > max ? ITEM_TOO_LONG : ITEM_WHOLE;
  }
  op->status = size < UINT32_MAX ? (uint32_t) size : UINT32_MAX;
  /* The last byte may be the '\r' of a line that just fits. */
  return size > 0 && size - 1 > max ? ITEM_TOO_LONG : ITEM_PART;
}

static item find_delimiter(asyncrt_op *op, const char *data, size_t size,
                           size_t *length) {
  size_t delimiter = (size_t) op->slot, max = op->u.pair.size;
  size_t from = op->status >= delimiter ? op->status - delimiter + 1 : 0;
  const char *found = NULL;

  if (size > from)
    found = memmem(data + from, size - from, op->u.pair.data, delimiter);
  if (found != NULL) {
    *length = (size_t) (found - data) + delimiter;
    return *length > max ? ITEM_TOO_LONG : ITEM_WHOLE;
  }
  op->status = size < UINT32_MAX ? (uint32_t) size : UINT32_MAX;
  return size >= max ? ITEM_TOO_LONG : ITEM_PART;
}

/* Looks for the op's item at the start of `data`; `ended` says that no byte
 * will follow. */
static item find_item(asyncrt_op *op, const char *data, size_t size, bool ended,
                      size_t *length) {
  size_t wanted = op->u.pair.size;

  switch (framing_of(op)) {
    case READ_SOME:
    case READ_INTO:
      *length = size < wanted ? size : wanted;
      return size > 0 ? ITEM_WHOLE : ITEM_PART;
    case READ_EXACT:
      *length = wanted;
      return size >= wanted ? ITEM_WHOLE : ITEM_PART;
    case READ_PEEK:
      *length = size < wanted ? size : wanted;
      return size >= wanted || (ended && size > 0) ? ITEM_WHOLE : ITEM_PART;
    case READ_LINE: return find_line(op, data, size, ended, length);
    case READ_UNTIL: return find_delimiter(op, data, size, length);
    case READ_ALL:
    default:
      *length = size;
      if (size > wanted) return ITEM_TOO_LONG;
      return ended ? ITEM_WHOLE : ITEM_PART;
  }
}

static int push_item(lua_State *L, const asyncrt_op *op, const char *data,
                     size_t length) {
  if (framing_of(op) == READ_INTO) {
    art_bytes *bytes = lua_touserdata(L, op->slot);
    memcpy(bytes->data, data, length);
    bytes->size = length;
    lua_pushinteger(L, (lua_Integer) length);
    return 1;
  }
  if (framing_of(op) == READ_LINE && length > 0 && data[length - 1] == '\n') {
    length--;
    if (length > 0 && data[length - 1] == '\r') length--;
  }
  lua_pushlstring(L, data, length);
  return 1;
}

/* Pushes an item out of the unread bytes, then takes it from them. */
static int take_item(lua_State *L, const asyncrt_op *op, size_t length) {
  art_stream *stream = stream_of(op);
  art_buffer *buffer = stream->received;

  stream->taking = true;
  push_item(L, op, buffer != NULL ? buffer->data + buffer->start : "", length);
  stream->taking = false;
  if (framing_of(op) != READ_PEEK) consume(stream, length);
  return 1;
}

static int push_too_long(lua_State *L, const asyncrt_op *op) {
  char peer[128];
  art_stream *stream = stream_of(op);

  stream->type->address(stream, true, peer, sizeof(peer));
  lua_pushnil(L);
  lua_pushfstring(L, "%s %s: more than %I bytes", op->type->name, peer,
                  (LUAI_UACINT) op->u.pair.size);
  lua_pushstring(L, "ELIMIT");
  return 3;
}

/* The stream has ended before the item was whole. */
static int push_end(lua_State *L, const asyncrt_op *op) {
  art_stream *stream = stream_of(op);
  size_t size = art_stream_unread(stream);

  if (size == 0) {
    lua_pushnil(L);
    return 1;
  }
  stream->taking = true;
  lua_pushlstring(L, stream->received->data + stream->received->start, size);
  art_push_failure(L, "unexpected end of stream", "EOF");
  stream->taking = false;
  consume(stream, size);
  lua_rotate(L, -4, -1);
  return 4;
}

/* Receives into the runtime's buffer, which the next receiver overwrites:
 * pushes the item if it is there whole, and keeps what is left over. */
static int receive_item(asyncrt_op *op, lua_State *L) {
  art_stream *stream = stream_of(op);
  char *data = stream->rt->buffer;
  size_t size = receive(stream, data, ART_BUFFER), length;
  int error;

  if (size == 0) return ASYNCRT_NOT_READY;
  if (find_item(op, data, size, false, &length) != ITEM_WHOLE) {
    art_stream_keep(stream, data, size);
    return ASYNCRT_NOT_READY;
  }
  if (framing_of(op) == READ_PEEK)
    art_stream_keep(stream, data, size);
  else
    art_stream_keep(stream, data + length, size - length);
  /* Should there be no memory for the item, its loss is not to go unseen. */
  error = stream->read_error;
  stream->read_error = UV_ENOMEM;
  push_item(L, op, data, length);
  stream->read_error = error;
  return ASYNCRT_DONE(1);
}

/* Receives straight into a buffer of Lua code. */
static int receive_into(asyncrt_op *op, lua_State *L) {
  art_bytes *bytes = lua_touserdata(L, op->slot);
  size_t size = receive(stream_of(op), bytes->data, bytes->capacity);

  if (size == 0) return ASYNCRT_NOT_READY;
  bytes->size = size;
  lua_pushinteger(L, (lua_Integer) size);
  return ASYNCRT_DONE(1);
}

static bool has_something(const art_stream *stream) {
  return stream->readable || stream->ended || stream->read_error != 0 ||
         art_stream_unread(stream) > 0;
}

/* Takes the item, receiving as long as there is something to receive. */
static int read_now(asyncrt_op *op, lua_State *L) {
  art_stream *stream = stream_of(op);

  if (framing_of(op) == READ_NOTHING)
    return has_something(stream) ? ASYNCRT_DONE(0) : ASYNCRT_NOT_READY;
  for (;;) {
    size_t size = art_stream_unread(stream), length;
    const char *data =
        size > 0 ? stream->received->data + stream->received->start : "";
    int results;

    switch (find_item(op, data, size, stream->ended, &length)) {
      case ITEM_WHOLE: return ASYNCRT_DONE(take_item(L, op, length));
      case ITEM_TOO_LONG: return ASYNCRT_DONE(push_too_long(L, op));
      case ITEM_PART:
      default: break;
    }
    if (stream->ended) return ASYNCRT_DONE(push_end(L, op));
    if (stream->read_error != 0)
      return ASYNCRT_DONE(
          art_stream_push_error(L, stream, op->type->name, stream->read_error));
    if (!stream->readable) return ASYNCRT_NOT_READY;
    if (size > 0) {
      receive_more(stream, op->u.pair.size);
    } else {
      results = framing_of(op) == READ_INTO ? receive_into(op, L)
                                            : receive_item(op, L);
      if (results != ASYNCRT_NOT_READY) return results;
    }
  }
}

/* The same without Lua, for an arm of a select: true once read_now would not
 * return ASYNCRT_NOT_READY. */
static bool read_ahead(asyncrt_op *op) {
  art_stream *stream = stream_of(op);

  for (;;) {
    size_t size = art_stream_unread(stream), length;
    const char *data =
        size > 0 ? stream->received->data + stream->received->start : "";

    if (find_item(op, data, size, stream->ended, &length) != ITEM_PART)
      return true;
    if (stream->ended || stream->read_error != 0) return true;
    if (!stream->readable) return false;
    if (size > 0) {
      receive_more(stream, op->u.pair.size);
    } else {
      size = receive(stream, stream->rt->buffer, ART_BUFFER);
      art_stream_keep(stream, stream->rt->buffer, size);
    }
  }
}

/* --- The op --- */

/* Whether a finalizer is about to read in the middle of a read. What is left of
 * one that failed for want of memory is no hindrance. */
static bool is_taking(lua_State *L, art_stream *stream) {
  if (stream->taking && art_can_block(L)) stream->taking = false;
  return stream->taking;
}

static int read_attempt(asyncrt_op *op, lua_State *L) {
  art_stream *stream = stream_of(op);
  int results, error;

  if (stream == NULL) return ASYNCRT_DONE(art_stream_push_closed(L));
  if (stream->readers.first != NULL || stream->reading || is_taking(L, stream))
    art_raise(L, "another task is already reading this stream");
  results = read_now(op, L);
  if (results != ASYNCRT_NOT_READY || stream->watched) return results;
  error = art_stream_watch(stream);
  if (error == 0) return ASYNCRT_NOT_READY;
  return ASYNCRT_DONE(art_stream_push_error(L, stream, op->type->name, error));
}

static void read_arm(asyncrt_op *op) {
  art_stream *stream = stream_of(op);

  asyncrt_queue_push(&stream->readers, op);
  if (stream->times != NULL) art_stream_time_start(stream, ART_SIDE_READ);
}

static void read_disarm(asyncrt_op *op) {
  asyncrt_queue_remove(&stream_of(op)->readers, op);
}

static int read_finish(asyncrt_op *op, lua_State *L) {
  art_stream *stream = stream_of(op);
  int results;

  if (stream == NULL) return art_stream_push_closed(L);
  stream->reading = false;
  if (stream->read_timed_out) {
    stream->read_timed_out = false;
    return art_stream_push_error(L, stream, op->type->name, UV_ETIMEDOUT);
  }
  results = read_now(op, L);
  return results == ASYNCRT_NOT_READY ? ASYNCRT_AGAIN : results - 1;
}

#define READ_TYPE(name, framing, flags)                       \
  {                                                           \
    {name,        read_attempt,        read_arm, read_disarm, \
     read_finish, art_stream_describe, flags},                \
        framing                                               \
  }
#define READ_TYPES(name, framing) \
  { READ_TYPE(name, framing, 0), READ_TYPE(name, framing, ASYNCRT_OP_EXTERNAL) }

static const read_type read_ops[][2] = {
    [READ_SOME] = READ_TYPES("read", READ_SOME),
    [READ_EXACT] = READ_TYPES("read_exact", READ_EXACT),
    [READ_LINE] = READ_TYPES("read_line", READ_LINE),
    [READ_UNTIL] = READ_TYPES("read_until", READ_UNTIL),
    [READ_ALL] = READ_TYPES("read_all", READ_ALL),
    [READ_PEEK] = READ_TYPES("peek", READ_PEEK),
    [READ_INTO] = READ_TYPES("read_into", READ_INTO),
    [READ_NOTHING] = READ_TYPES("read", READ_NOTHING),
};

static void prepare(asyncrt_op *op, art_stream **box,
                    const read_request *request) {
  art_stream *stream = *box;

  op->type = &read_ops[request->framing][stream != NULL && stream->external].op;
  op->object = box;
  op->status = 0;
  op->slot = request->delimiter_length;
  op->u.pair.data = (void *) (uintptr_t) request->delimiter;
  op->u.pair.size = request->size;
  if (stream != NULL && stream->times != NULL)
    art_stream_time_prepare(stream, ART_SIDE_READ);
}

static bool is_armed(const art_stream *stream, const asyncrt_op *op) {
  return op->prev != NULL || stream->readers.first == op;
}

/* Completes a reader that waits alone on the hope that there is something to
 * receive, so that it receives straight into a Lua string. Several ops are
 * the arms of one select: the first whose item is whole completes. */
void art_stream_wake_readers(art_stream *stream) {
  asyncrt_op *op;
  bool now = stream->closing || stream->read_timed_out;

  if (stream->above != NULL) {
    stream->above->type->below_ready(stream->above, ART_READABLE);
    return;
  }
  for (op = stream->readers.first; op != NULL; op = op->next) {
    bool whole = now || art_op_is_direct(op) || read_ahead(op);

    /* What was received may have made room for another arm of the select,
     * which has won then. */
    if (!is_armed(stream, op)) return;
    if (!whole) continue;
    stream->reading = true;
    asyncrt_op_complete(op); /* disarms the others */
    return;
  }
}

static int perform(lua_State *L, art_stream **box, const read_request *request,
                   art_done done) {
  asyncrt_op *op = asyncrt_prepare(L, &read_ops[0][0].op, box);

  prepare(op, box, request);
  return art_perform_then(L, op, done);
}

int art_stream_await_bytes(lua_State *L, art_stream **box, art_done done) {
  static const read_request request = {READ_NOTHING, 0, NULL, 0};

  return perform(L, box, &request, done);
}

size_t art_stream_view(art_stream *stream, const char **data) {
  art_buffer *buffer = stream->received;

  if (buffer != NULL) {
    *data = buffer->data + buffer->start;
    return art_stream_unread(stream);
  }
  *data = stream->rt->buffer;
  if (!stream->readable || stream->ended || stream->read_error != 0) return 0;
  return receive(stream, stream->rt->buffer, ART_BUFFER);
}

void art_stream_use(art_stream *stream, const char *data, size_t size,
                    size_t used) {
  if (stream->received != NULL)
    consume(stream, used);
  else
    art_stream_keep(stream, data + used, size - used);
}

size_t art_stream_move(art_stream *from, art_stream *to, size_t most) {
  struct iovec part;
  const char *data;
  size_t size = art_stream_view(from, &data);

  bool kept = from->received != NULL;

  part.iov_base = (char *) (uintptr_t) data;
  part.iov_len = size < most ? size : most;
  /* Writing may wake a reader, who then uses the buffer that all share. */
  if (!kept) art_stream_use(from, data, size, part.iov_len);
  if (part.iov_len > 0) art_stream_accept(to, &part, 1);
  if (kept) art_stream_use(from, data, size, part.iov_len);
  return part.iov_len;
}

/* Events: the request in the object; the user values are the stream and the
 * delimiter. */
static void prepare_event(lua_State *L, int index, asyncrt_op *op) {
  const read_request *request = asyncrt_event_data(L, index);

  lua_getiuservalue(L, index, 1);
  prepare(op, art_box_at(L, -1), request);
}

static int push_event(lua_State *L, const read_request *request) {
  read_request *kept = asyncrt_new_event(L, prepare_event, sizeof(*request), 2);

  *kept = *request;
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, -2, 1);
  if (request->delimiter != NULL) {
    lua_pushvalue(L, 2);
    lua_setiuservalue(L, -2, 2);
  }
  return 1;
}

/* --- Lua --- */

static const char *const limit_options[] = {"max", NULL};

static read_request some_request(lua_State *L) {
  read_request request = {READ_SOME, 0, NULL, DEFAULT_READ};

  if (!lua_isnoneornil(L, 2))
    request.size = (size_t) art_check_integer(L, 2, 1, LARGEST_READ);
  return request;
}

static read_request exact_request(lua_State *L) {
  read_request request = {READ_EXACT, 0, NULL, 0};

  request.size = (size_t) art_check_integer(L, 2, 0, LARGEST_READ);
  return request;
}

static read_request line_request(lua_State *L) {
  read_request request = {READ_LINE, 0, NULL, 0};

  art_check_options(L, 2, limit_options);
  request.size = art_option_size(L, 2, "max", 0, DEFAULT_LINE);
  return request;
}

static read_request until_request(lua_State *L) {
  read_request request = {READ_UNTIL, 0, NULL, 0};
  size_t length;

  luaL_checktype(L, 2, LUA_TSTRING);
  request.delimiter = lua_tolstring(L, 2, &length);
  if (length == 0 || length > DEFAULT_READ)
    art_raise_argument(L, 2, "delimiter of 1 to 65536 bytes expected");
  request.delimiter_length = (int) length;
  art_check_options(L, 3, limit_options);
  request.size = art_option_size(L, 3, "max", length, DEFAULT_LINE);
  return request;
}

static read_request all_request(lua_State *L) {
  read_request request = {READ_ALL, 0, NULL, 0};

  art_check_options(L, 2, limit_options);
  request.size = art_option_size(L, 2, "max", 0, DEFAULT_ALL);
  return request;
}

static read_request peek_request(lua_State *L) {
  read_request request = {READ_PEEK, 0, NULL, 1};

  if (!lua_isnoneornil(L, 2))
    request.size = (size_t) art_check_integer(L, 2, 1, LARGEST_READ);
  return request;
}

/* stream:read([n = 65536]) -> bytes | nil | nil, message, code
 *
 * Waits for bytes and returns what there is, at most `n`; nil alone at the end
 * of the stream. Raises where another task is reading. */
static int stream_read(lua_State *L) {
  art_stream **box = art_stream_self(L, 1);
  read_request request = some_request(L);

  return perform(L, box, &request, NULL);
}

/* stream:read_exact(n) -> bytes | nil | nil, message, code [, partial]
 *
 * Waits for exactly `n` bytes. A stream that ends before gives nil alone if
 * there was none, else nil, message, "EOF" and the bytes there were. */
static int stream_read_exact(lua_State *L) {
  art_stream **box = art_stream_self(L, 1);
  read_request request = exact_request(L);

  return perform(L, box, &request, NULL);
}

/* stream:read_line([{max = 65536}]) -> line | nil | nil, message, code
 *
 * Waits for a line and returns it without its "\n" or "\r\n"; the last line may
 * have none. A line of more than `max` bytes gives code "ELIMIT" and stays
 * unread. */
static int stream_read_line(lua_State *L) {
  art_stream **box = art_stream_self(L, 1);
  read_request request = line_request(L);

  return perform(L, box, &request, NULL);
}

/* stream:read_until(delimiter [, {max = 65536}])
 *   -> bytes | nil | nil, message, code [, partial]
 *
 * Waits for the bytes up to and with `delimiter`, at most `max`, else code
 * "ELIMIT". The end of the stream is as for read_exact. */
static int stream_read_until(lua_State *L) {
  art_stream **box = art_stream_self(L, 1);
  read_request request = until_request(L);

  return perform(L, box, &request, NULL);
}

/* stream:read_all([{max = 16 MiB}]) -> bytes | nil, message, code
 *
 * Waits for the end of the stream and returns all that came before it; code
 * "ELIMIT", with nothing taken, beyond `max` bytes (math.huge: no limit). */
static int stream_read_all(lua_State *L) {
  art_stream **box = art_stream_self(L, 1);
  read_request request = all_request(L);

  return perform(L, box, &request, NULL);
}

/* stream:peek([n = 1]) -> bytes | nil | nil, message, code
 *
 * Waits for `n` bytes and returns them without taking them; fewer where the
 * stream ends. */
static int stream_peek(lua_State *L) {
  art_stream **box = art_stream_self(L, 1);
  read_request request = peek_request(L);

  return perform(L, box, &request, NULL);
}

/* stream:read_into(buffer) -> bytes | nil | nil, message, code
 *
 * Waits for bytes and puts what there is, at most what it has room for, into a
 * buffer in place of what was in it; returns their number. Makes no string. */
static int stream_read_into(lua_State *L) {
  art_stream **box = art_stream_self(L, 1);
  art_bytes *bytes = art_to_bytes(L, 2);
  read_request request = {READ_INTO, 2, NULL, 0};

  if (bytes == NULL) {
    luaL_typeerror(L, 2, "buffer");
    return 0;
  }
  request.size = bytes->capacity;
  return perform(L, box, &request, NULL);
}

/* stream:read_evt(…), read_exact_evt, read_line_evt, read_until_evt,
 * read_all_evt, peek_evt -> event
 *
 * The same as events, for rt.select and rt.sync. One that is not chosen takes
 * nothing. */
static int stream_read_evt(lua_State *L) {
  read_request request;

  art_stream_self(L, 1);
  request = some_request(L);
  return push_event(L, &request);
}

static int stream_read_exact_evt(lua_State *L) {
  read_request request;

  art_stream_self(L, 1);
  request = exact_request(L);
  return push_event(L, &request);
}

static int stream_read_line_evt(lua_State *L) {
  read_request request;

  art_stream_self(L, 1);
  request = line_request(L);
  return push_event(L, &request);
}

static int stream_read_until_evt(lua_State *L) {
  read_request request;

  art_stream_self(L, 1);
  request = until_request(L);
  return push_event(L, &request);
}

static int stream_read_all_evt(lua_State *L) {
  read_request request;

  art_stream_self(L, 1);
  request = all_request(L);
  return push_event(L, &request);
}

static int stream_peek_evt(lua_State *L) {
  read_request request;

  art_stream_self(L, 1);
  request = peek_request(L);
  return push_event(L, &request);
}

/* An iteration step: nil ends the loop, a failure raises its message. */
static int iterated(lua_State *L, int results) {
  if (results >= 3) {
    lua_pushvalue(L, 1 - results); /* the message, behind nil */
    return lua_error(L);
  }
  return results;
}

static int next_item(lua_State *L, read_framing framing) {
  art_stream **box = art_stream_self(L, 1);
  read_request request = {framing, 0, NULL, 0};

  request.size = (size_t) lua_tointeger(L, lua_upvalueindex(2));
  return perform(L, box, &request, iterated);
}

static int next_chunk(lua_State *L) {
  return next_item(L, READ_SOME);
}

static int next_line(lua_State *L) {
  return next_item(L, READ_LINE);
}

static int push_iterator(lua_State *L, lua_CFunction next, size_t size) {
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_pushinteger(L, (lua_Integer) size);
  lua_pushcclosure(L, next, 2);
  lua_pushvalue(L, 1);
  return 2;
}

/* for chunk in stream:chunks([n = 65536]) do … end
 *
 * Reads until the end of the stream; an error raises. */
static int stream_chunks(lua_State *L) {
  read_request request;

  art_stream_self(L, 1);
  request = some_request(L);
  return push_iterator(L, next_chunk, request.size);
}

/* for line in stream:lines([{max = 65536}]) do … end
 *
 * Reads lines until the end of the stream; an error raises. */
static int stream_lines(lua_State *L) {
  read_request request;

  art_stream_self(L, 1);
  request = line_request(L);
  return push_iterator(L, next_line, request.size);
}

const luaL_Reg art_stream_read_methods[] = {
    {"read", stream_read},
    {"read_exact", stream_read_exact},
    {"read_line", stream_read_line},
    {"read_until", stream_read_until},
    {"read_all", stream_read_all},
    {"peek", stream_peek},
    {"read_into", stream_read_into},
    {"read_evt", stream_read_evt},
    {"read_exact_evt", stream_read_exact_evt},
    {"read_line_evt", stream_read_line_evt},
    {"read_until_evt", stream_read_until_evt},
    {"read_all_evt", stream_read_all_evt},
    {"peek_evt", stream_peek_evt},
    {"chunks", stream_chunks},
    {"lines", stream_lines},
    {NULL, NULL},
};
