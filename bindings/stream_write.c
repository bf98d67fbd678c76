/* Streams: writing. Bytes that cannot be sent at once are queued; a write is
 * accepted as a whole while the queue is below the high-water mark. */
#include "stream_internal.h"

#include "error.h"
#include "runtime.h"

#include <stdlib.h>
#include <string.h>

#define MOST_PARTS 64      /* parts of a gathered write sent at once */
#define LEAST_CHUNK 16384u /* bytes of a chunk of the queue */

struct art_chunk {
  struct art_chunk *next;
  size_t start, end, capacity; /* the bytes are data[start, end) */
  char data[];
};

typedef enum write_action {
  WRITE_DATA,
  WRITE_FLUSH,
  WRITE_SHUTDOWN,
  WRITE_ROOM /* waits only */
} write_action;

/* In the op: slot = stack index of what is written, a string or a table. */
typedef struct write_type {
  asyncrt_op_type op; /* first: what an op points at */
  write_action action;
} write_type;

static write_action action_of(const asyncrt_op *op) {
  return ((const write_type *) (const void *) op->type)->action;
}

static art_stream *stream_of(const asyncrt_op *op) {
  return *(art_stream **) op->object;
}

/* --- The queue --- */

void art_stream_drop_queued(art_stream *stream) {
  art_chunk *chunk;

  while ((chunk = stream->first) != NULL) {
    stream->first = chunk->next;
    free(chunk);
  }
  stream->last = NULL;
  stream->queued = 0;
}

/* Fails all writes from now on. */
static void fail(art_stream *stream, int error) {
  stream->write_error = error;
  art_stream_drop_queued(stream);
}

/* Appends to the queue; false without memory. */
static bool enqueue(art_stream *stream, const char *data, size_t size) {
  art_chunk *chunk = stream->last;
  size_t room = chunk != NULL ? chunk->capacity - chunk->end : 0;
  size_t part = size < room ? size : room;

  if (part > 0) {
    memcpy(chunk->data + chunk->end, data, part);
    chunk->end += part;
    stream->queued += part;
  }
  if (part == size) return true;
  data += part;
  size -= part;
  room = size > LEAST_CHUNK ? size : LEAST_CHUNK;
  chunk = malloc(sizeof(*chunk) + room);
  if (chunk == NULL) return false;
  memcpy(chunk->data, data, size);
  chunk->next = NULL;
  chunk->start = 0;
  chunk->end = size;
  chunk->capacity = room;
  if (stream->last != NULL)
    stream->last->next = chunk;
  else
    stream->first = chunk;
  stream->last = chunk;
  stream->queued += size;
  return true;
}

/* Drops `size` sent bytes from the queue. */
static void dequeue(art_stream *stream, size_t size) {
  art_chunk *chunk;

  stream->queued -= size;
  while (size > 0 && (chunk = stream->first) != NULL) {
    size_t part = chunk->end - chunk->start;

    if (size < part) {
      chunk->start += size;
      return;
    }
    size -= part;
    stream->first = chunk->next;
    if (stream->first == NULL) stream->last = NULL;
    free(chunk);
  }
}

/* Sends parts once. Returns how many bytes have left. */
static size_t send_parts(art_stream *stream, const struct iovec *parts,
                         int count) {
  ssize_t sent = stream->type->send(stream, parts, count);

  if (sent >= 0) {
    if (stream->times != NULL) art_stream_time_moved(stream);
    return (size_t) sent;
  }
  if (sent != UV_EAGAIN) fail(stream, (int) sent);
  return 0;
}

void art_stream_fail_writes(art_stream *stream, int error) {
  fail(stream, error);
  if (stream->closing)
    art_stream_closed(stream, true);
  else
    art_stream_wake_writers(stream);
}

void art_stream_flush(art_stream *stream) {
  while (stream->queued > 0) {
    struct iovec parts[MOST_PARTS];
    size_t total = 0, sent;
    art_chunk *chunk;
    int count = 0;

    for (chunk = stream->first; chunk != NULL && count < MOST_PARTS;
         chunk = chunk->next) {
      parts[count].iov_base = chunk->data + chunk->start;
      parts[count].iov_len = chunk->end - chunk->start;
      total += parts[count++].iov_len;
    }
    sent = send_parts(stream, parts, count);
    if (stream->write_error != 0) break;
    dequeue(stream, sent);
    if (sent < total) {
      art_poll_want(stream->rt, &stream->watcher, ART_WRITABLE);
      break;
    }
  }
  if (!stream->closing)
    art_stream_wake_writers(stream);
  else if (stream->queued == 0)
    art_stream_closed(stream, stream->write_error != 0);
}

void art_stream_accept(art_stream *stream, const struct iovec *parts,
                       int count) {
  size_t sent = 0;
  int i;

  if (stream->queued == 0) sent = send_parts(stream, parts, count);
  for (i = 0; i < count && stream->write_error == 0; i++) {
    size_t size = parts[i].iov_len;

    if (sent >= size) {
      sent -= size;
    } else if (!enqueue(stream, (const char *) parts[i].iov_base + sent,
                        size - sent)) {
      fail(stream, UV_ENOMEM);
    } else {
      sent = 0;
    }
  }
  if (stream->queued > 0 && !stream->watched) {
    int error = art_stream_watch(stream);
    if (error != 0) fail(stream, error);
  }
  if (stream->queued > 0)
    art_poll_want(stream->rt, &stream->watcher, ART_WRITABLE);
}

/* --- The op --- */

static struct iovec part_at(lua_State *L, int index) {
  struct iovec part;

  part.iov_base = (void *) (uintptr_t) lua_tolstring(L, index, &part.iov_len);
  return part;
}

/* Accepts the strings of a table, MOST_PARTS at a time: needs no memory of
 * Lua. */
static void accept_table(lua_State *L, art_stream *stream, int index) {
  struct iovec parts[MOST_PARTS];
  lua_Unsigned length = lua_rawlen(L, index), i = 0;
  int count;

  luaL_checkstack(L, MOST_PARTS, NULL);
  while (i < length && stream->write_error == 0) {
    for (count = 0; count < MOST_PARTS && i < length; count++) {
      lua_rawgeti(L, index, (lua_Integer) ++i);
      parts[count] = part_at(L, -1);
    }
    art_stream_accept(stream, parts, count);
    lua_pop(L, count);
  }
}

static void accept_value(lua_State *L, art_stream *stream, int index) {
  struct iovec part;

  if (lua_type(L, index) == LUA_TTABLE) {
    accept_table(L, stream, index);
    return;
  }
  if (lua_type(L, index) == LUA_TSTRING) {
    part = part_at(L, index);
  } else {
    art_bytes *bytes = lua_touserdata(L, index);
    part.iov_base = bytes->data;
    part.iov_len = bytes->size;
  }
  if (part.iov_len > 0) art_stream_accept(stream, &part, 1);
}

/* Raises unless the table holds strings and numbers; true where one is a
 * number. */
static bool check_parts(lua_State *L, int arg) {
  lua_Unsigned i, length = lua_rawlen(L, arg);
  bool mixed = false;

  for (i = 1; i <= length; i++) {
    int type = lua_rawgeti(L, arg, (lua_Integer) i);

    if (type != LUA_TSTRING && type != LUA_TNUMBER)
      art_raise_argument(
          L, arg,
          lua_pushfstring(L, "string expected at index %I, got %s",
                          (LUAI_UACINT) i, luaL_typename(L, -1)));
    if (type == LUA_TNUMBER) mixed = true;
    lua_pop(L, 1);
  }
  return mixed;
}

static void push_table(lua_State *L, int index) {
  lua_Unsigned i, length = lua_rawlen(L, index);
  luaL_Buffer buffer;

  luaL_buffinit(L, &buffer);
  for (i = 1; i <= length; i++) {
    lua_rawgeti(L, index, (lua_Integer) i);
    luaL_addvalue(&buffer);
  }
  luaL_pushresult(&buffer);
}

/* Replaces a table or a buffer by the string of its bytes, for it may change
 * while the write waits. */
static void flatten(lua_State *L, int index) {
  if (lua_type(L, index) == LUA_TTABLE) {
    push_table(L, index);
  } else if (lua_type(L, index) == LUA_TUSERDATA) {
    art_bytes *bytes = lua_touserdata(L, index);
    lua_pushlstring(L, bytes->data, bytes->size);
  } else {
    return;
  }
  lua_replace(L, index);
}

static size_t unsent(art_stream *stream) {
  size_t size = stream->queued;

  if (stream->type->unsent != NULL) size += stream->type->unsent(stream);
  return size;
}

static bool below_mark(art_stream *stream) {
  size_t load = unsent(stream);

  if (stream->type->unread != NULL) load += stream->type->unread(stream);
  return load < stream->high_water;
}

static int push_failure(lua_State *L, const asyncrt_op *op) {
  art_stream *stream = stream_of(op);

  return ASYNCRT_DONE(
      art_stream_push_error(L, stream, op->type->name, stream->write_error));
}

static int write_now(asyncrt_op *op, lua_State *L) {
  art_stream *stream = stream_of(op);

  if (stream->write_error != 0) return push_failure(L, op);
  if (action_of(op) == WRITE_DATA) {
    if (stream->shut)
      return ASYNCRT_DONE(
          art_stream_push_error(L, stream, op->type->name, UV_EPIPE));
    if (!below_mark(stream)) return ASYNCRT_NOT_READY;
    accept_value(L, stream, op->slot);
  } else if (action_of(op) == WRITE_ROOM) {
    return below_mark(stream) ? ASYNCRT_DONE(0) : ASYNCRT_NOT_READY;
  } else {
    if (unsent(stream) > 0) return ASYNCRT_NOT_READY;
    if (action_of(op) == WRITE_SHUTDOWN && !stream->shut) {
      stream->shut = true;
      stream->write_error = stream->type->shutdown(stream);
    }
  }
  if (stream->write_error != 0) return push_failure(L, op);
  lua_pushboolean(L, true);
  return ASYNCRT_DONE(1);
}

static int write_attempt(asyncrt_op *op, lua_State *L) {
  bool is_data = action_of(op) == WRITE_DATA;
  art_stream *stream;
  int results, error;

  /* The table may have been changed while the task gave way. */
  if (is_data && lua_type(L, op->slot) == LUA_TTABLE &&
      check_parts(L, op->slot))
    flatten(L, op->slot);
  stream = stream_of(op);
  if (stream == NULL) return ASYNCRT_DONE(art_stream_push_closed(L));
  if (stream->writers.first != NULL || stream->writing)
    art_raise(L, "another task is already writing to this stream");
  results = write_now(op, L);
  if (results != ASYNCRT_NOT_READY) return results;
  if (is_data && lua_type(L, op->slot) != LUA_TSTRING) {
    flatten(L, op->slot);
    return write_attempt(op, L); /* a finalizer may have closed it, or read */
  }
  error = art_stream_watch(stream);
  if (error == 0) return ASYNCRT_NOT_READY;
  return ASYNCRT_DONE(art_stream_push_error(L, stream, op->type->name, error));
}

static void write_arm(asyncrt_op *op) {
  art_stream *stream = stream_of(op);

  asyncrt_queue_push(&stream->writers, op);
  if (stream->times != NULL) art_stream_time_start(stream, ART_SIDE_WRITE);
}

static void write_disarm(asyncrt_op *op) {
  asyncrt_queue_remove(&stream_of(op)->writers, op);
}

static int write_finish(asyncrt_op *op, lua_State *L) {
  art_stream *stream = stream_of(op);

  if (stream == NULL) return art_stream_push_closed(L);
  stream->writing = false;
  if (stream->write_timed_out) {
    stream->write_timed_out = false;
    return art_stream_push_error(L, stream, op->type->name, UV_ETIMEDOUT);
  }
  return write_now(op, L) - 1; /* whoever completes it knows it is ready */
}

#define WRITE_TYPE(name, action, flags)                          \
  {                                                              \
    {name,         write_attempt,       write_arm, write_disarm, \
     write_finish, art_stream_describe, flags},                  \
        action                                                   \
  }
#define WRITE_TYPES(name, action) \
  { WRITE_TYPE(name, action, 0), WRITE_TYPE(name, action, ASYNCRT_OP_EXTERNAL) }

static const write_type write_ops[][2] = {
    [WRITE_DATA] = WRITE_TYPES("write", WRITE_DATA),
    [WRITE_FLUSH] = WRITE_TYPES("flush", WRITE_FLUSH),
    [WRITE_SHUTDOWN] = WRITE_TYPES("shutdown", WRITE_SHUTDOWN),
    [WRITE_ROOM] = WRITE_TYPES("write", WRITE_ROOM),
};

static void prepare(asyncrt_op *op, art_stream **box, write_action action,
                    int slot) {
  art_stream *stream = *box;

  op->type = &write_ops[action][stream != NULL && stream->external].op;
  op->object = box;
  op->slot = slot;
  if (stream != NULL && stream->times != NULL)
    art_stream_time_prepare(stream, ART_SIDE_WRITE);
}

static bool is_ready(const asyncrt_op *op, art_stream *stream) {
  if (stream->closing || stream->write_timed_out || stream->write_error != 0)
    return true;
  return action_of(op) == WRITE_DATA || action_of(op) == WRITE_ROOM
             ? below_mark(stream)
             : unsent(stream) == 0;
}

void art_stream_wake_writers(art_stream *stream) {
  asyncrt_op *op;

  if (stream->above != NULL) {
    stream->above->type->below_ready(stream->above, ART_WRITABLE);
    return;
  }
  for (op = stream->writers.first; op != NULL; op = op->next) {
    if (is_ready(op, stream)) {
      stream->writing = true;
      asyncrt_op_complete(op); /* disarms the others of its select */
      return;
    }
  }
}

/* --- Lua --- */

static int perform(lua_State *L, art_stream **box, write_action action,
                   int slot) {
  asyncrt_op *op = asyncrt_prepare(L, &write_ops[action][0].op, box);

  prepare(op, box, action, slot);
  return asyncrt_perform(L, op);
}

/* Checks what is to be written; leaves a string, a table of strings or
 * a buffer. */
static void check_data(lua_State *L, int arg) {
  if (lua_type(L, arg) == LUA_TTABLE)
    check_parts(L, arg);
  else if (art_to_bytes(L, arg) == NULL)
    luaL_checklstring(L, arg, NULL); /* turns a number into a string */
}

int art_stream_await_room(lua_State *L, art_stream **box, art_done done) {
  asyncrt_op *op = asyncrt_prepare(L, &write_ops[0][0].op, box);

  prepare(op, box, WRITE_ROOM, 0);
  return art_perform_then(L, op, done);
}

/* stream:write(string | {string, …} | buffer) -> true | nil, message, code
 *
 * Accepts all of it, in order and never mixed with another write, and waits
 * only while 64 KiB or more are queued; what has been accepted is sent in the
 * background. An error of sending is told by the next write, flush or
 * shutdown. Raises where another task is writing. */
static int stream_write(lua_State *L) {
  art_stream **box = art_stream_self(L, 1);

  check_data(L, 2);
  return perform(L, box, WRITE_DATA, 2);
}

/* stream:flush() -> true | nil, message, code
 *
 * Waits until everything that was written has been sent. */
static int stream_flush(lua_State *L) {
  return perform(L, art_stream_self(L, 1), WRITE_FLUSH, 0);
}

/* stream:shutdown() -> true | nil, message, code
 *
 * Half-close: waits as flush does, then tells the other side that nothing more
 * will come. Reading goes on. */
static int stream_shutdown(lua_State *L) {
  return perform(L, art_stream_self(L, 1), WRITE_SHUTDOWN, 0);
}

static void prepare_event(lua_State *L, int index, asyncrt_op *op) {
  const write_action *action = asyncrt_event_data(L, index);

  lua_getiuservalue(L, index, 1);
  lua_getiuservalue(L, index, 2);
  prepare(op, art_box_at(L, -2), *action, lua_gettop(L));
}

static int push_event(lua_State *L, write_action action) {
  write_action *kept = asyncrt_new_event(L, prepare_event, sizeof(*kept), 2);

  *kept = action;
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, -2, 1);
  lua_pushvalue(L, 2);
  lua_setiuservalue(L, -2, 2);
  return 1;
}

/* stream:write_evt(string | {string, …}) -> event
 *
 * The same as an event. One that is not chosen writes nothing. */
static int stream_write_evt(lua_State *L) {
  art_stream_self(L, 1);
  check_data(L, 2);
  lua_settop(L, 2);
  flatten(L, 2);
  return push_event(L, WRITE_DATA);
}

/* stream:flush_evt() -> event */
static int stream_flush_evt(lua_State *L) {
  art_stream_self(L, 1);
  lua_settop(L, 2);
  return push_event(L, WRITE_FLUSH);
}

const luaL_Reg art_stream_write_methods[] = {
    {"write", stream_write},       {"write_evt", stream_write_evt},
    {"flush", stream_flush},       {"flush_evt", stream_flush_evt},
    {"shutdown", stream_shutdown}, {NULL, NULL},
};
