/* Byte streams: reading, writing and closing, shared by sockets, pipes,
 * terminals and in-memory streams. A kind of stream supplies an
 * art_stream_type; the Lua methods are the same for all. */
#ifndef ART_STREAM_H
#define ART_STREAM_H

#include "asyncrt.h"
#include "poller.h"

#include <sys/types.h>
#include <sys/uio.h>

#define ART_STREAM_HIGH_WATER 65536 /* bytes a write may find queued */
#define ART_STREAM_LINGER 10.0      /* seconds to flush after a close */

typedef struct art_stream art_stream;
typedef struct art_observer art_observer;
typedef struct art_buffer art_buffer;
typedef struct art_chunk art_chunk;
typedef struct art_stream_times art_stream_times;

/* What a kind of stream does. None of these calls Lua, but those that get a
 * lua_State. */
typedef struct art_stream_type {
  const char *kind; /* for reports: "socket" */

  /* Bytes received into `data`, 0 at the end, or a negative UV_E*; UV_EAGAIN
   * where art_stream_ready will tell. */
  ssize_t (*recv)(art_stream *stream, char *data, size_t size);

  /* Bytes sent of the `count` parts, maybe not all, or a negative UV_E*. */
  ssize_t (*send)(art_stream *stream, const struct iovec *parts, int count);

  /* Ends the sending direction. Returns 0 or a negative UV_E*. */
  int (*shutdown)(art_stream *stream);

  /* Starts to tell readiness, once, before the first wait. May be NULL. */
  int (*watch)(art_stream *stream);

  /* Ends waits for the stream that are not of a read or write: it is closed for
   * its owner, and may go on to send what is queued. May be NULL. */
  void (*end_waits)(art_stream *stream);

  /* Releases what the stream has, ends with art_stream_free. `reset` drops
   * what the other side has not got yet. */
  void (*close)(art_stream *stream, bool reset);

  /* Writes the address of this or the other side. */
  void (*address)(art_stream *stream, bool peer, char *text, size_t size);

  /* Sent bytes that the other side has not taken and that count as queued; NULL
   * for none. */
  size_t (*unread)(art_stream *stream);

  /* Bytes that `send` has taken and this side still holds, which count as
   * queued too: a flush waits for them. NULL for none. */
  size_t (*unsent)(art_stream *stream);

  /* Tells a stream that the one below it is ready: see art_stream_wrap. */
  void (*below_ready)(art_stream *stream, unsigned events);

  /* Whether the other side is known to take no more bytes. May be NULL: then
   * only a write tells. */
  bool (*gone)(art_stream *stream);

  /* Sets an option of a socket; UV_ENOTSUP elsewhere. May be NULL. */
  int (*set_nodelay)(art_stream *stream, bool on);
  int (*set_keepalive)(art_stream *stream, unsigned seconds);

  /* Tells the size of a terminal; UV_ENOTTY elsewhere. May be NULL. */
  int (*window_size)(art_stream *stream, int *columns, int *rows);

  /* Pushes nil, message, code for a failed operation, where a kind has more to
   * tell than the name of `error`; returns 3. May be NULL. */
  int (*push_error)(lua_State *L, art_stream *stream, const char *operation,
                    int error);

  /* The methods `handshake` and `tls_info`; NULL where there is none. */
  int (*handshake)(lua_State *L, art_stream **box);
  int (*tls_info)(lua_State *L, art_stream *stream);

  bool is_given;    /* bytes come by art_stream_keep, and none from recv */
  bool short_reads; /* a short count does not mean that nothing is left */
  bool can_splice;  /* its bytes are those of its descriptor: see splice(2) */
  bool patient;     /* a close flushes what is queued however long it takes */
} art_stream_type;

/* Somebody who is told that the other side ends its direction or fails, also
 * while nobody reads. May neither write to the stream nor close it. */
struct art_observer {
  void (*on_hangup)(art_observer *observer);
};

/* Allocated with malloc, as the first member of the kind's own structure. */
struct art_stream {
  art_watcher watcher; /* first: art_poll_free frees what starts with it */
  asyncrt_handle handle;
  const art_stream_type *type; /* borrowed; static */
  asyncrt *rt;                 /* borrowed; outlives it */
  art_stream **box;            /* shared with the Lua object, or NULL */
  art_stream *above;           /* borrowed; what it belongs to, or NULL */
  asyncrt_queue readers;       /* armed: the arms of one wait */
  asyncrt_queue writers;
  art_buffer *received;    /* owned; bytes received and not read, or NULL */
  art_chunk *first, *last; /* owned; bytes accepted and not sent */
  size_t queued;           /* bytes in them */
  size_t high_water;
  art_stream_times *times;     /* owned; time limits, or NULL */
  art_observer *observer;      /* borrowed; or NULL; none once it closes */
  int read_error, write_error; /* negative UV_E*; stay */
  bool external : 1; /* its ops are completed from outside the process */
  bool watched : 1;
  bool readable : 1, hangup : 1;
  bool ended : 1; /* the other side sends no more */
  bool shut : 1;  /* this side sends no more */
  bool closing : 1;
  bool reading : 1, writing : 1; /* an op has completed but not finished */
  bool taking : 1; /* bytes become Lua values: a finalizer must not read */
  bool read_timed_out : 1, write_timed_out : 1;
};

/* Initialises the zeroed `stream` as an open handle of `rt`; `fd` is -1 where
 * there is none. */
void art_stream_init(art_stream *stream, asyncrt *rt,
                     const art_stream_type *type, int fd);

/* Pushes the Lua object of a stream that is yet to come, closed until it gets
 * it: made first, so that no stream is lost for want of memory, and none seen
 * by a finalizer while it belongs to nobody. */
art_stream **art_stream_push(lua_State *L);

/* Gives a new stream to the object, which owns it from then on. Needs no
 * memory. */
void art_stream_give(lua_State *L, art_stream **box, art_stream *stream);

/* The stream at `arg`; raises where there is none, or where it is closed. */
art_stream *art_check_stream(lua_State *L, int arg);

/* Tells that the stream is readable, writable or hung up (ART_READABLE …):
 * what was EAGAIN may succeed now. */
void art_stream_ready(art_stream *stream, unsigned events);
/* The same as the on_ready of a watcher. */
void art_stream_on_ready(art_watcher *watcher, unsigned events);

/* For bytes that come unasked: keeps them for later reads. Without memory the
 * stream fails, rather than go on with a gap. */
void art_stream_keep(art_stream *stream, const char *data, size_t size);
/* Makes room for so many, where they are known to come; not needed. */
void art_stream_expect(art_stream *stream, size_t size);
/* Bytes received and not read. */
size_t art_stream_unread(const art_stream *stream);

/* Puts `above`, a new stream, in the place of `below`, from whose owner it
 * takes the Lua object and the time limits. From then on `below` is a part of
 * it: it has no waits of its own, and tells `above` when it is ready. */
void art_stream_wrap(art_stream *above, art_stream *below);

/* Closes a stream that is a part of another. */
void art_stream_close_below(art_stream *below, bool reset);

/* Whether a task waits for the stream, or is about to go on. */
bool art_stream_in_use(const art_stream *stream);

/* Closes a stream: waits end, queued bytes are flushed in the background
 * unless `reset`. The stream may be freed when it returns. */
void art_stream_close(art_stream *stream, bool reset);

/* Frees the stream, from a type's `close`. */
void art_stream_free(art_stream *stream);

/* Opens the stream's metatable: art_stream_push needs it. */
void art_open_stream(lua_State *L);

#endif
