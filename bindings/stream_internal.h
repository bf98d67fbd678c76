/* What the files stream*.c share. */
#ifndef ART_STREAM_INTERNAL_H
#define ART_STREAM_INTERNAL_H

#include "bindings.h"
#include "box.h"
#include "op.h"
#include "stream.h"

/* The two directions of a stream. */
typedef enum { ART_SIDE_READ, ART_SIDE_WRITE } art_side;

/* The box of the object at `arg` of a method: a pointer to the stream, to NULL
 * once it is closed. Raises where there is none. */
static inline art_stream **art_stream_self(lua_State *L, int arg) {
  return art_box_in(art_check_self(L, arg, "stream"));
}

/* The same for a function that is no method. */
art_stream **art_stream_at(lua_State *L, int arg);
/* Pushes the table of the methods of all streams. */
void art_stream_push_methods(lua_State *L);
/* Whether there is a stream, open or closed. */
bool art_is_stream(lua_State *L, int arg);

/* A buffer of Lua code (rt.buffer): what bytes.c makes, and what read_into and
 * write take. */
typedef struct art_bytes {
  size_t size, capacity;
  char data[];
} art_bytes;

/* The buffer at `arg`, or NULL. */
art_bytes *art_to_bytes(lua_State *L, int arg);

/* Pushes the failure of an operation on an open or on a closed stream. */
int art_stream_push_error(lua_State *L, art_stream *stream,
                          const char *operation, int error);
int art_stream_push_closed(lua_State *L);

/* Writes what an op waits for: `read 127.0.0.1:80`. */
void art_stream_describe(const asyncrt_op *op, char *text, size_t size);

/* Makes sure that readiness is told. Returns 0 or a negative UV_E*. */
int art_stream_watch(art_stream *stream);

/* Frees what was received and not read. */
void art_stream_drop_received(art_stream *stream);
void art_stream_drop_queued(art_stream *stream);

/* Completes the armed readers (or writers) that have what they wait for; all
 * of them where the stream is being closed or a time limit has passed. */
void art_stream_wake_readers(art_stream *stream);
void art_stream_wake_writers(art_stream *stream);

/* Sends what is queued; wakes writers. */
void art_stream_flush(art_stream *stream);

/* Waits until there is something to read, be it the end, or until a write would
 * not wait; goes on in `done` with no results, or with those of a failure. */
int art_stream_await_bytes(lua_State *L, art_stream **box, art_done done);
int art_stream_await_room(lua_State *L, art_stream **box, art_done done);

/* The bytes that can be read without waiting: those that are kept, or else some
 * that are received now. Returns how many; of 0 the stream's state tells the
 * reason. They stay until the next call that may receive. */
size_t art_stream_view(art_stream *stream, const char **data);
/* Takes the first `used` bytes of such a view and keeps the others. */
void art_stream_use(art_stream *stream, const char *data, size_t size,
                    size_t used);

/* Moves what there is from one stream to the queue of another, at most `most`
 * bytes, without waiting. Returns their number. */
size_t art_stream_move(art_stream *from, art_stream *to, size_t most);

/* Bytes received, the unread ones first: at most `size`; 0 for none, then the
 * stream's state says why. */
size_t art_stream_take(art_stream *stream, char *data, size_t size);

/* What a type's recv of `size` bytes has returned is noted in the stream's
 * state. Returns the number of bytes. `size` is 0 where a short count does not
 * mean that nothing is left. */
size_t art_stream_received(art_stream *stream, ssize_t received, size_t size);

/* Sends parts, or queues what cannot be sent now. A failure is left in the
 * stream's write_error. */
void art_stream_accept(art_stream *stream, const struct iovec *parts,
                       int count);

/* Fails all writes from now on. The stream may be freed when it returns. */
void art_stream_fail_writes(art_stream *stream, int error);

/* Time limits. An op's clock starts when it is first armed, and goes on where
 * it is armed again: `prepare` forgets the op before. */
void art_stream_time_prepare(art_stream *stream, art_side side);
void art_stream_time_start(art_stream *stream, art_side side);
void art_stream_time_moved(art_stream *stream);

/* Sets the limit of a side, ns; UINT64_MAX for none. Returns 0 or UV_ENOMEM. */
int art_stream_limit(art_stream *stream, art_side side, uint64_t ns);

/* Whether the other side is known to take no more bytes. */
bool art_stream_is_gone(art_stream *stream);

/* Called when the last queued byte of a closing stream has left. */
void art_stream_closed(art_stream *stream, bool reset);

extern const luaL_Reg art_stream_read_methods[];
extern const luaL_Reg art_stream_write_methods[];

#endif
