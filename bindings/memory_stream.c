/* asyncrt.core.memory_stream: two ends of a stream inside the process, and a
 * listener for them. They stand in for sockets in tests: nothing is external,
 * so that time can be virtual, and faults come from the runtime's seed. */
#include "bindings.h"
#include "error.h"
#include "listener.h"
#include "options.h"
#include "runtime.h"
#include "stream.h"
#include "timer.h"

#include <stdlib.h>
#include <string.h>

#define CHANCES (1u << 20) /* resolution of a probability */

/* How a pair of streams behaves; the same in both directions. */
typedef struct pair_options {
  size_t high_water;
  bool split;             /* a read gets a random part of what is there */
  uint64_t delay, jitter; /* ns until bytes arrive; at most so much longer */
  unsigned reset;         /* chances in CHANCES that a write resets the pair */
  unsigned half_close;    /* … that a write is the last of its direction */
} pair_options;

/* Bytes on their way, or the end of the stream. */
typedef struct memory_packet {
  struct memory_packet *next;
  uint64_t due;
  bool is_end;
  size_t start, end; /* the bytes are data[start, end) */
  char data[];
} memory_packet;

typedef struct memory_stream {
  art_stream stream;           /* first */
  struct memory_stream *peer;  /* NULL once it is closed */
  memory_packet *first, *last; /* owned; on their way to this side */
  size_t size;                 /* bytes in them */
  uint64_t last_due;
  int error; /* of every read and write from now on, or 0 */
  art_callback_timer arrival;
  pair_options options;
  const char *address, *peer_address; /* interned or literal */
} memory_stream;

static memory_stream *self_of(art_stream *stream) {
  return art_container_of(stream, memory_stream, stream);
}

/* --- Packets --- */

static void drop_packets(memory_stream *self) {
  memory_packet *packet;

  while ((packet = self->first) != NULL) {
    self->first = packet->next;
    free(packet);
  }
  self->last = NULL;
  self->size = 0;
}

static void drop_first(memory_stream *self) {
  memory_packet *first = self->first;

  self->first = first->next;
  if (self->first == NULL) self->last = NULL;
  free(first);
}

/* Tells the side of its first packet once that is due: not at once, for a recv
 * that found nothing due is about to say so. */
static void announce_later(memory_stream *self) {
  asyncrt *rt = self->stream.rt;

  if (self->first == NULL || self->arrival.timer.heap_index != 0 ||
      art_timers_reserve(&rt->timers, 1) != 0)
    return;
  self->arrival.timer.at = self->first->due;
  art_timer_arm(&rt->timers, &self->arrival.timer);
}

/* Tells the side that something has arrived, or will. */
static void announce(memory_stream *self) {
  uint64_t now = asyncrt_now(self->stream.rt);
  unsigned events = ART_READABLE;

  if (self->first == NULL || self->first->due > now) {
    announce_later(self);
    return;
  }
  if (self->last->is_end && self->last->due <= now) events |= ART_HANGUP;
  art_stream_ready(&self->stream, events);
}

static void on_arrival(art_callback_timer *timer) {
  announce(art_container_of(timer, memory_stream, arrival));
}

/* ns * chances / CHANCES, without overflow. */
static uint64_t part_of(uint64_t ns, uint32_t chances) {
  return ns / CHANCES * chances + ns % CHANCES * chances / CHANCES;
}

static uint64_t due_of_next(memory_stream *self) {
  const pair_options *options = &self->options;
  uint64_t due = asyncrt_now(self->stream.rt) + options->delay;

  due += part_of(options->jitter, art_random(self->stream.rt, CHANCES));
  if (due < self->last_due) due = self->last_due; /* the order stays */
  self->last_due = due;
  return due;
}

/* Sends parts to a side: none is the end. Returns 0 or UV_ENOMEM. */
static int post(memory_stream *to, const struct iovec *parts, int count) {
  size_t size = 0;
  memory_packet *packet;
  int i;

  for (i = 0; i < count; i++) size += parts[i].iov_len;
  packet = malloc(sizeof(*packet) + size);
  if (packet == NULL) return UV_ENOMEM;
  packet->next = NULL;
  packet->is_end = count == 0;
  packet->due = due_of_next(to);
  packet->start = packet->end = 0;
  for (i = 0; i < count; i++) {
    memcpy(packet->data + packet->end, parts[i].iov_base, parts[i].iov_len);
    packet->end += parts[i].iov_len;
  }
  if (to->last != NULL)
    to->last->next = packet;
  else
    to->first = packet;
  to->last = packet;
  to->size += size;
  announce(to);
  return 0;
}

/* --- The stream --- */

static bool happens(memory_stream *self, unsigned chances) {
  return chances > 0 && art_random(self->stream.rt, CHANCES) < chances;
}

static void fail(memory_stream *self, int error) {
  drop_packets(self);
  self->error = error;
  art_stream_ready(&self->stream, ART_READABLE | ART_WRITABLE | ART_HANGUP);
}

static ssize_t memory_recv(art_stream *stream, char *data, size_t size) {
  memory_stream *self = self_of(stream);
  uint64_t now = asyncrt_now(stream->rt);
  size_t taken = 0;

  if (self->error != 0) return self->error;
  if (self->options.split && size > 1)
    size = 1 + art_random(stream->rt, size < 4096 ? (uint32_t) size : 4096);
  while (taken < size && self->first != NULL && self->first->due <= now) {
    memory_packet *first = self->first;
    size_t part = first->end - first->start;

    if (first->is_end) break;
    if (part > size - taken) part = size - taken;
    memcpy(data + taken, first->data + first->start, part);
    taken += part;
    first->start += part;
    if (first->start == first->end) drop_first(self);
  }
  if (taken == 0) {
    if (self->first != NULL && self->first->due <= now) return 0; /* the end */
    announce_later(self);
    return UV_EAGAIN;
  }
  self->size -= taken;
  if (self->peer != NULL) art_stream_ready(&self->peer->stream, ART_WRITABLE);
  return (ssize_t) taken;
}

static ssize_t memory_send(art_stream *stream, const struct iovec *parts,
                           int count) {
  memory_stream *self = self_of(stream);
  ssize_t size = 0;
  int i, error;

  if (self->error != 0) return self->error;
  if (self->peer == NULL) return UV_EPIPE;
  if (happens(self, self->options.reset)) {
    fail(self->peer, UV_ECONNRESET);
    fail(self, UV_ECONNRESET);
    return UV_ECONNRESET;
  }
  for (i = 0; i < count; i++) size += (ssize_t) parts[i].iov_len;
  error = post(self->peer, parts, count);
  if (error != 0) return error;
  if (self->peer != NULL && happens(self, self->options.half_close)) {
    stream->shut = true;
    post(self->peer, NULL, 0);
  }
  return size;
}

static int memory_shutdown(art_stream *stream) {
  memory_stream *self = self_of(stream);

  return self->peer != NULL ? post(self->peer, NULL, 0) : 0;
}

static size_t memory_unread(art_stream *stream) {
  memory_stream *peer = self_of(stream)->peer;

  return peer != NULL ? peer->size : 0;
}

static void memory_close(art_stream *stream, bool reset) {
  memory_stream *self = self_of(stream), *peer = self->peer;

  art_timer_disarm(&stream->rt->timers, &self->arrival.timer);
  drop_packets(self);
  if (peer != NULL) {
    peer->peer = NULL;
    if (reset || (!stream->shut && post(peer, NULL, 0) != 0))
      fail(peer, UV_ECONNRESET);
    else
      art_stream_ready(&peer->stream, ART_WRITABLE);
  }
  art_stream_free(stream);
}

static bool memory_gone(art_stream *stream) {
  const memory_stream *self = self_of(stream);

  return self->error != 0 || self->peer == NULL;
}

static void memory_address(art_stream *stream, bool peer, char *text,
                           size_t size) {
  const memory_stream *self = self_of(stream);

  snprintf(text, size, "%s", peer ? self->peer_address : self->address);
}

static const art_stream_type memory_type = {
    .kind = "in-memory stream",
    .recv = memory_recv,
    .send = memory_send,
    .shutdown = memory_shutdown,
    .close = memory_close,
    .address = memory_address,
    .gone = memory_gone,
    .unread = memory_unread,
    .short_reads = true,
};

static memory_stream *new_stream(asyncrt *rt, const pair_options *options) {
  memory_stream *self = calloc(1, sizeof(*self));

  if (self == NULL) return NULL;
  self->options = *options;
  self->address = self->peer_address = "memory";
  self->arrival.timer.kind = ART_TIMER_CALLBACK;
  self->arrival.fire = on_arrival;
  art_stream_init(&self->stream, rt, &memory_type, -1);
  self->stream.external = false;
  self->stream.high_water = options->high_water;
  return self;
}

/* Makes both ends. Returns 0 or UV_ENOMEM. */
static int new_pair(asyncrt *rt, const pair_options *options, memory_stream **a,
                    memory_stream **b) {
  *a = new_stream(rt, options);
  if (*a == NULL) return UV_ENOMEM;
  *b = new_stream(rt, options);
  if (*b == NULL) {
    art_stream_close(&(*a)->stream, true);
    return UV_ENOMEM;
  }
  (*a)->peer = *b;
  (*b)->peer = *a;
  return 0;
}

/* --- The listener --- */

/* A connection that was dialled and not accepted. */
typedef struct memory_pending {
  struct memory_pending *next;
  memory_stream *stream; /* owned */
} memory_pending;

typedef struct memory_listener {
  art_listener listener;        /* first */
  memory_pending *first, *last; /* owned */
  pair_options options;
  const char *address; /* interned or literal */
} memory_listener;

static memory_listener *listener_of(art_listener *listener) {
  return art_container_of(listener, memory_listener, listener);
}

static int memory_accept(art_listener *listener, art_stream **stream) {
  memory_listener *self = listener_of(listener);
  memory_pending *first = self->first;

  if (first == NULL) return UV_EAGAIN;
  *stream = &first->stream->stream;
  self->first = first->next;
  if (self->first == NULL) self->last = NULL;
  free(first);
  return 0;
}

static void memory_listener_close(art_listener *listener) {
  art_stream *stream;

  while (memory_accept(listener, &stream) == 0) art_stream_close(stream, true);
  art_listener_free(listener);
}

static void memory_listener_address(art_listener *listener, char *text,
                                    size_t size) {
  snprintf(text, size, "%s", listener_of(listener)->address);
}

static const art_listener_type memory_listener_type = {
    "in-memory listener",  memory_accept,           NULL,
    memory_listener_close, memory_listener_address,
};

/* --- Lua --- */

static unsigned chances_option(lua_State *L, int arg, const char *name) {
  lua_Number probability;

  if (lua_type(L, arg) != LUA_TTABLE) return 0;
  if (lua_getfield(L, arg, name) == LUA_TNIL) {
    lua_pop(L, 1);
    return 0;
  }
  probability = lua_tonumber(L, -1);
  if (lua_type(L, -1) != LUA_TNUMBER || !(probability >= 0 && probability <= 1))
    art_raise_argument(
        L, arg,
        lua_pushfstring(L, "option '%s': number from 0 to 1 expected", name));
  lua_pop(L, 1);
  return (unsigned) (probability * CHANCES);
}

static uint64_t delay_option(lua_State *L, int arg, const char *name) {
  double seconds = art_option_seconds(L, arg, name, 0);

  if (seconds > 1e9)
    art_raise_argument(L, arg,
                       lua_pushfstring(L, "option '%s': delay too long", name));
  return art_deadline(0, seconds);
}

/* Reads the options of a pair: a table, or the high-water mark alone. */
static pair_options check_options(lua_State *L, int arg,
                                  const char *const *names) {
  pair_options options = {0};

  options.high_water = ART_STREAM_HIGH_WATER;
  if (lua_type(L, arg) == LUA_TNUMBER) {
    options.high_water = (size_t) art_check_integer(L, arg, 1, INT32_MAX);
    return options;
  }
  art_check_options(L, arg, names);
  options.high_water = (size_t) art_option_integer(
      L, arg, "high_water", 1, INT32_MAX, ART_STREAM_HIGH_WATER);
  options.split = art_option_boolean(L, arg, "split", false);
  options.delay = delay_option(L, arg, "delay");
  options.jitter = delay_option(L, arg, "jitter");
  options.reset = chances_option(L, arg, "reset");
  options.half_close = chances_option(L, arg, "half_close");
  return options;
}

/* What a listener is called; interned or literal. */
static const char *address_option(lua_State *L, int arg) {
  const char *address = "memory";

  if (lua_type(L, arg) != LUA_TTABLE) return address;
  if (lua_getfield(L, arg, "address") == LUA_TSTRING)
    address = art_intern(art_runtime_of(L), lua_tostring(L, -1));
  else if (!lua_isnil(L, -1))
    art_raise_argument(L, arg, "option 'address': string expected");
  lua_pop(L, 1);
  return address;
}

/* stream_pair([high_water = 65536 | {high_water=, split=, delay=, jitter=,
 *   reset=, half_close=}]) -> stream, stream
 *
 * Two ends of a stream. A write waits while the other end has not read
 * `high_water` bytes. `split` reads in random parts; bytes arrive `delay`
 * seconds and up to `jitter` more after they were written; with probability
 * `reset` a write resets the pair, with `half_close` it is the last one. */
static int stream_pair(lua_State *L) {
  static const char *const names[] = {
      "high_water", "split", "delay", "jitter", "reset", "half_close", NULL};
  pair_options options = check_options(L, 1, names);
  art_stream **first = art_stream_push(L), **second = art_stream_push(L);
  memory_stream *a, *b;

  if (new_pair(art_runtime_of(L), &options, &a, &b) != 0)
    art_raise(L, "not enough memory");
  art_stream_give(L, first, &a->stream);
  art_stream_give(L, second, &b->stream);
  return 2;
}

/* listener([options of stream_pair, and address =]) -> listener
 *
 * Accepts what its own dial() connects. `address` is what it calls itself. */
static int new_listener(lua_State *L) {
  static const char *const names[] = {"high_water", "split", "delay",
                                      "jitter",     "reset", "half_close",
                                      "address",    NULL};
  pair_options options = check_options(L, 1, names);
  const char *address = address_option(L, 1);
  art_listener **box = art_listener_push(L, &memory_listener_type);
  memory_listener *self = calloc(1, sizeof(*self));

  if (self == NULL) art_raise(L, "not enough memory");
  self->options = options;
  self->address = address;
  art_listener_init(&self->listener, art_runtime_of(L), &memory_listener_type,
                    -1);
  self->listener.external = false;
  art_listener_give(L, box, &self->listener);
  return 1;
}

/* listener:dial() -> stream | nil, message, "ECONNREFUSED"
 *
 * Connects at once; the listener's next accept gets the other end. */
static int listener_dial(lua_State *L) {
  art_listener **box = art_listener_self(L, 1);
  art_stream **dialled = art_stream_push(L);
  memory_listener *self;
  memory_stream *a, *b;
  memory_pending *pending;

  if (*box == NULL)
    return asyncrt_push_error(L, "dial", "memory", UV_ECONNREFUSED);
  self = listener_of(*box);
  pending = malloc(sizeof(*pending));
  if (pending == NULL ||
      new_pair(art_runtime_of(L), &self->options, &a, &b) != 0) {
    free(pending);
    art_raise(L, "not enough memory");
  }
  a->peer_address = b->address = self->address;
  pending->next = NULL;
  pending->stream = b;
  if (self->last != NULL)
    self->last->next = pending;
  else
    self->first = pending;
  self->last = pending;
  art_stream_give(L, dialled, &a->stream);
  art_listener_ready(&self->listener);
  return 1;
}

static const luaL_Reg listener_methods[] = {
    {"dial", listener_dial},
    {NULL, NULL},
};

static const luaL_Reg functions[] = {
    {"stream_pair", stream_pair},
    {"listener", new_listener},
    {NULL, NULL},
};

int art_open_memory_stream(lua_State *L) {
  art_open_stream(L);
  art_open_listener(L, &memory_listener_type, listener_methods);
  luaL_newlib(L, functions);
  return 1;
}
