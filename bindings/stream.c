/* Streams: opening, readiness, time limits and closing. */
#include "stream_internal.h"

#include "address.h"
#include "error.h"
#include "options.h"
#include "runtime.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char metatable_key; /* its address is the key in the registry */

/* The time limits of a stream: one timer for whichever comes first. */
struct art_stream_times {
  art_callback_timer timer;
  art_stream *stream;    /* borrowed; owns this */
  uint64_t limits[2];    /* ns for one read and one write */
  uint64_t idle;         /* ns without a byte in either direction */
  uint64_t deadlines[2]; /* of the waiting reader and writer */
  bool started[2];       /* the deadline is set */
  bool exempt[2];        /* the wait began before there were limits */
  uint64_t moved;        /* when the last byte moved or the last wait began */
};

/* --- Life --- */

static void on_handle_close(asyncrt_handle *handle) {
  art_stream_close(art_container_of(handle, art_stream, handle), false);
}

void art_stream_init(art_stream *stream, asyncrt *rt,
                     const art_stream_type *type, int fd) {
  stream->watcher.fd = fd;
  stream->watcher.on_ready = art_stream_on_ready;
  stream->type = type;
  stream->rt = rt;
  stream->high_water = ART_STREAM_HIGH_WATER;
  stream->external = true;
  stream->readable = true; /* the first read tries */
  asyncrt_handle_opened(rt, &stream->handle, type->kind, on_handle_close);
}

int art_stream_watch(art_stream *stream) {
  int error = 0;

  if (stream->watched) return 0;
  if (stream->type->watch != NULL) error = stream->type->watch(stream);
  stream->watched = error == 0;
  return error;
}

/* Tells who observes the stream, or the one above it. */
static void hung_up(art_stream *stream) {
  stream->hangup = true;
  if (stream->above != NULL) hung_up(stream->above);
  if (stream->observer != NULL) stream->observer->on_hangup(stream->observer);
}

void art_stream_ready(art_stream *stream, unsigned events) {
  if (events & ART_HANGUP) {
    hung_up(stream);
    events |= ART_READABLE | ART_WRITABLE;
  }
  if ((events & ART_READABLE) && !stream->closing) {
    stream->readable = true;
    if (stream->readers.first != NULL || stream->above != NULL)
      art_stream_wake_readers(stream);
  }
  if (!(events & ART_WRITABLE)) return;
  if (stream->queued > 0)
    art_stream_flush(stream); /* may free a closing stream */
  else if (stream->writers.first != NULL || stream->above != NULL)
    art_stream_wake_writers(stream);
}

void art_stream_on_ready(art_watcher *watcher, unsigned events) {
  art_stream_ready(art_container_of(watcher, art_stream, watcher), events);
}

/* --- Time limits --- */

static uint64_t later(uint64_t now, uint64_t ns) {
  return ns < UINT64_MAX - now ? now + ns : UINT64_MAX;
}

static bool waits(const art_stream *stream, art_side side) {
  return side == ART_SIDE_READ ? stream->readers.first != NULL
                               : stream->writers.first != NULL;
}

/* When the wait of one side is over, as things are now. */
static uint64_t limit_of(const art_stream *stream, art_side side) {
  const art_stream_times *times = stream->times;
  uint64_t idle = later(times->moved, times->idle);

  if (!waits(stream, side) || !times->started[side]) return UINT64_MAX;
  return times->deadlines[side] < idle ? times->deadlines[side] : idle;
}

/* A timer that is armed for an earlier time stays: it re-arms itself. */
static void schedule(art_stream *stream) {
  art_stream_times *times = stream->times;
  asyncrt_timer *timer = &times->timer.timer;
  uint64_t at = limit_of(stream, ART_SIDE_READ);
  uint64_t other = limit_of(stream, ART_SIDE_WRITE);

  if (other < at) at = other;
  if (at == UINT64_MAX || (timer->heap_index != 0 && timer->at <= at)) return;
  if (timer->heap_index != 0) art_timer_disarm(&stream->rt->timers, timer);
  timer->at = at;
  art_timer_arm(&stream->rt->timers, timer);
}

static void on_limit(art_callback_timer *callback) {
  art_stream_times *times = art_container_of(callback, art_stream_times, timer);
  art_stream *stream = times->stream;
  uint64_t now = asyncrt_now(stream->rt);

  if (stream->closing) { /* it has lingered long enough */
    art_stream_closed(stream, true);
    return;
  }
  if (limit_of(stream, ART_SIDE_READ) <= now) {
    stream->read_timed_out = true;
    art_stream_wake_readers(stream);
  }
  if (limit_of(stream, ART_SIDE_WRITE) <= now) {
    stream->write_timed_out = true;
    art_stream_wake_writers(stream);
  }
  schedule(stream);
}

void art_stream_time_prepare(art_stream *stream, art_side side) {
  if (waits(stream, side)) return;
  stream->times->started[side] = false;
  stream->times->exempt[side] = false;
}

void art_stream_time_start(art_stream *stream, art_side side) {
  art_stream_times *times = stream->times;

  if (times->exempt[side]) return;
  if (!times->started[side]) {
    uint64_t now = asyncrt_now(stream->rt);

    times->started[side] = true;
    times->deadlines[side] = later(now, times->limits[side]);
    times->moved = now;
  }
  schedule(stream);
}

void art_stream_time_moved(art_stream *stream) {
  stream->times->moved = asyncrt_now(stream->rt);
}

/* NULL without memory. */
static art_stream_times *times_of(art_stream *stream) {
  art_stream_times *times = stream->times;

  if (times != NULL) return times;
  times = calloc(1, sizeof(*times));
  if (times == NULL) return NULL;
  if (art_timers_hold(&stream->rt->timers, 1) != 0) {
    free(times);
    return NULL;
  }
  times->timer.timer.kind = ART_TIMER_CALLBACK;
  times->timer.fire = on_limit;
  times->stream = stream;
  times->limits[0] = times->limits[1] = times->idle = UINT64_MAX;
  times->exempt[ART_SIDE_READ] =
      waits(stream, ART_SIDE_READ) || stream->reading;
  times->exempt[ART_SIDE_WRITE] =
      waits(stream, ART_SIDE_WRITE) || stream->writing;
  stream->times = times;
  return times;
}

int art_stream_limit(art_stream *stream, art_side side, uint64_t ns) {
  art_stream_times *times = times_of(stream);

  if (times == NULL) return UV_ENOMEM;
  times->limits[side] = ns;
  return 0;
}

/* --- Closing --- */

bool art_stream_is_gone(art_stream *stream) {
  return stream->write_error != 0 ||
         (stream->type->gone != NULL && stream->type->gone(stream));
}

void art_stream_closed(art_stream *stream, bool reset) {
  art_timer_disarm(&stream->rt->timers, &stream->times->timer.timer);
  if (stream->external) asyncrt_release(stream->rt);
  art_stream_drop_queued(stream);
  stream->type->close(stream, reset);
}

/* Lets the queue be flushed in the background; false where it cannot. */
static bool linger(art_stream *stream) {
  art_stream_times *times;
  uint64_t now = asyncrt_now(stream->rt);

  if (stream->queued == 0 || stream->write_error != 0) return false;
  times = times_of(stream);
  if (times == NULL) return false;
  times->timer.timer.at =
      stream->type->patient ? UINT64_MAX : art_deadline(now, ART_STREAM_LINGER);
  art_timer_arm(&stream->rt->timers, &times->timer.timer);
  if (stream->external) asyncrt_hold(stream->rt);
  return true;
}

void art_stream_close(art_stream *stream, bool reset) {
  bool lost = stream->queued > 0;

  if (stream->closing) return;
  stream->closing = true;
  art_stream_wake_readers(stream);
  art_stream_wake_writers(stream);
  if (stream->type->end_waits != NULL) stream->type->end_waits(stream);
  if (stream->box != NULL) art_box_empty(stream->rt, stream->box);
  stream->box = NULL;
  stream->observer = NULL;
  art_stream_drop_received(stream);
  if (stream->times != NULL)
    art_timer_disarm(&stream->rt->timers, &stream->times->timer.timer);
  if (!reset && linger(stream)) return;
  art_stream_drop_queued(stream);
  stream->type->close(stream, reset || lost);
}

bool art_stream_in_use(const art_stream *stream) {
  return stream->readers.first != NULL || stream->writers.first != NULL ||
         stream->reading || stream->writing;
}

/* The runtime knows the one above only: one connection is one handle. */
void art_stream_wrap(art_stream *above, art_stream *below) {
  above->box = below->box;
  if (above->box != NULL) *above->box = above;
  above->times = below->times;
  if (above->times != NULL) above->times->stream = above;
  above->external = below->external;
  above->high_water = below->high_water;
  above->handle.site = below->handle.site;
  below->box = NULL;
  below->times = NULL;
  below->above = above;
  asyncrt_handle_closed(below->rt, &below->handle);
}

void art_stream_close_below(art_stream *below, bool reset) {
  below->above = NULL;
  asyncrt_handle_opened(below->rt, &below->handle, below->type->kind,
                        on_handle_close);
  art_stream_close(below, reset);
}

void art_stream_free(art_stream *stream) {
  asyncrt_handle_closed(stream->rt, &stream->handle);
  if (stream->times != NULL) art_timers_release(&stream->rt->timers, 1);
  free(stream->times);
  art_poll_free(stream->rt, &stream->watcher);
}

/* --- Lua --- */

int art_stream_push_closed(lua_State *L) {
  return art_push_failure(L, "closed", "ECLOSED");
}

int art_stream_push_error(lua_State *L, art_stream *stream,
                          const char *operation, int error) {
  char peer[ART_ADDRESS_TEXT];

  if (stream->type->push_error != NULL)
    return stream->type->push_error(L, stream, operation, error);
  stream->type->address(stream, true, peer, sizeof(peer));
  return asyncrt_push_error(L, operation, peer, error);
}

void art_stream_describe(const asyncrt_op *op, char *text, size_t size) {
  art_stream *stream = *(art_stream **) op->object;
  char peer[ART_ADDRESS_TEXT] = "closed";

  if (stream != NULL) stream->type->address(stream, true, peer, sizeof(peer));
  snprintf(text, size, "%s %s", op->type->name, peer);
}

void art_stream_push_methods(lua_State *L) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &metatable_key);
  lua_getfield(L, -1, "__index");
  lua_remove(L, -2);
}

bool art_is_stream(lua_State *L, int arg) {
  bool equal;

  if (lua_type(L, arg) != LUA_TUSERDATA || !lua_getmetatable(L, arg))
    return false;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &metatable_key);
  equal = lua_rawequal(L, -1, -2);
  lua_pop(L, 2);
  return equal;
}

art_stream **art_stream_at(lua_State *L, int arg) {
  if (!art_is_stream(L, arg)) luaL_typeerror(L, arg, "stream");
  return art_box_at(L, arg);
}

art_stream *art_check_stream(lua_State *L, int arg) {
  art_stream *stream = *art_stream_at(L, arg);

  if (stream == NULL) art_raise_argument(L, arg, "the stream is closed");
  return stream;
}

art_stream **art_stream_push(lua_State *L) {
  art_stream **box = art_box_push(L, 0);

  lua_rawgetp(L, LUA_REGISTRYINDEX, &metatable_key);
  lua_setmetatable(L, -2);
  return box;
}

void art_stream_give(lua_State *L, art_stream **box, art_stream *stream) {
  *box = stream;
  stream->box = box;
  art_box_share(box);
  art_handle_taken(L, &stream->handle);
}

/* stream:close() -> true
 *
 * Never waits: what was written is sent in the background, for at most 10 s.
 * Tasks that wait for the stream wake with nil, "closed", "ECLOSED", which
 * every later call gives too. Closing twice does nothing. */
static int stream_close(lua_State *L) {
  art_stream **box = art_stream_self(L, 1);

  if (*box != NULL) art_stream_close(*box, false);
  lua_pushboolean(L, true);
  return 1;
}

/* stream:reset() -> true
 *
 * Closes and drops what was not sent; the other side gets "ECONNRESET". */
static int stream_reset(lua_State *L) {
  art_stream **box = art_stream_self(L, 1);

  if (*box != NULL) art_stream_close(*box, true);
  lua_pushboolean(L, true);
  return 1;
}

static int stream_gc(lua_State *L) {
  art_stream *stream = *(art_stream **) art_box_at(L, 1);

  if (stream != NULL) {
    art_handle_collected(stream->rt, &stream->handle);
    art_stream_close(stream, false);
  }
  art_box_drop(L, 1);
  return 0;
}

/* stream:handshake() -> true | nil, message, code
 *
 * Waits until the two sides of a TLS connection have agreed; reads and writes
 * wait for that too. True at once where the stream has no TLS. */
static int stream_handshake(lua_State *L) {
  art_stream **box = art_stream_self(L, 1);

  if (*box == NULL) return art_stream_push_closed(L);
  if ((*box)->type->handshake != NULL) return (*box)->type->handshake(L, box);
  lua_pushboolean(L, true);
  return 1;
}

/* stream:tls_info() -> table | nil | nil, "closed", "ECLOSED"
 *
 * What the two sides of a TLS connection have agreed on; nil before that, and
 * where the stream has no TLS. */
static int stream_tls_info(lua_State *L) {
  art_stream **box = art_stream_self(L, 1);

  if (*box == NULL) return art_stream_push_closed(L);
  if ((*box)->type->tls_info != NULL) return (*box)->type->tls_info(L, *box);
  lua_pushnil(L);
  return 1;
}

/* stream:is_closed() -> boolean */
static int stream_is_closed(lua_State *L) {
  lua_pushboolean(L, *art_stream_self(L, 1) == NULL);
  return 1;
}

static uint64_t to_ns(double seconds) {
  uint64_t at = art_deadline(0, seconds);

  return at == 0 ? 1 : at;
}

static uint64_t limit_option(lua_State *L, const char *name, uint64_t was) {
  double seconds = art_option_seconds(L, 2, name, -1);

  return seconds < 0 ? was : to_ns(seconds);
}

/* stream:timeouts{read=, write=, idle=}
 *
 * Time limits in seconds: for every read, for every write, flush and shutdown,
 * and for the time without a byte in either direction while something waits.
 * What takes longer gives nil, message, "ETIMEDOUT", without effect. math.huge
 * takes a limit away; one that is not named stays. */
static int stream_timeouts(lua_State *L) {
  static const char *const names[] = {"read", "write", "idle", NULL};
  art_stream **box = art_stream_self(L, 1);
  art_stream_times *times;

  luaL_checktype(L, 2, LUA_TTABLE);
  art_check_options(L, 2, names);
  if (*box == NULL) return art_stream_push_closed(L);
  times = times_of(*box);
  if (times == NULL) art_raise(L, "not enough memory");
  times->limits[ART_SIDE_READ] =
      limit_option(L, "read", times->limits[ART_SIDE_READ]);
  times->limits[ART_SIDE_WRITE] =
      limit_option(L, "write", times->limits[ART_SIDE_WRITE]);
  times->idle = limit_option(L, "idle", times->idle);
  lua_pushboolean(L, true);
  return 1;
}

static int push_address(lua_State *L, bool peer) {
  art_stream **box = art_stream_self(L, 1);
  char text[ART_ADDRESS_TEXT];

  if (*box == NULL) return art_stream_push_closed(L);
  (*box)->type->address(*box, peer, text, sizeof(text));
  lua_pushstring(L, text);
  return 1;
}

/* stream:address() -> string | nil, "closed", "ECLOSED"
 *
 * The address of this side. */
static int stream_address(lua_State *L) {
  return push_address(L, false);
}

/* stream:peer() -> string | nil, "closed", "ECLOSED"
 *
 * The address of the other side. */
static int stream_peer(lua_State *L) {
  return push_address(L, true);
}

static int push_status(lua_State *L, art_stream *stream, const char *operation,
                       int error) {
  if (error != 0) return art_stream_push_error(L, stream, operation, error);
  lua_pushboolean(L, true);
  return 1;
}

static int window_size(art_stream *stream, int *columns, int *rows) {
  if (stream->type->window_size == NULL) return UV_ENOTTY;
  return stream->type->window_size(stream, columns, rows);
}

/* stream:is_tty() -> boolean
 *
 * Whether it is a terminal; a closed stream is none. */
static int stream_is_tty(lua_State *L) {
  art_stream *stream = *art_stream_self(L, 1);
  int columns, rows;

  lua_pushboolean(L,
                  stream != NULL && window_size(stream, &columns, &rows) == 0);
  return 1;
}

/* stream:window_size() -> columns, rows | nil, message, code
 *
 * The size of a terminal, which may change; 0 where it is not known. "ENOTTY"
 * elsewhere. */
static int stream_window_size(lua_State *L) {
  art_stream *stream = *art_stream_self(L, 1);
  int columns, rows, error;

  if (stream == NULL) return art_stream_push_closed(L);
  error = window_size(stream, &columns, &rows);
  if (error != 0) return art_stream_push_error(L, stream, "window_size", error);
  lua_pushinteger(L, columns);
  lua_pushinteger(L, rows);
  return 2;
}

/* stream:nodelay([on = true]) -> true | nil, message, code
 *
 * Whether small writes are sent at once, which is the default. TCP only. */
static int stream_nodelay(lua_State *L) {
  art_stream **box = art_stream_self(L, 1);
  art_stream *stream = *box;
  bool on = true;

  if (!lua_isnoneornil(L, 2)) {
    luaL_checktype(L, 2, LUA_TBOOLEAN);
    on = lua_toboolean(L, 2);
  }
  if (stream == NULL) return art_stream_push_closed(L);
  return push_status(L, stream, "nodelay",
                     stream->type->set_nodelay != NULL
                         ? stream->type->set_nodelay(stream, on)
                         : UV_ENOTSUP);
}

/* stream:keepalive(seconds) -> true | nil, message, code
 *
 * Probes a silent connection after `seconds` (rounded up; 0 or false: never),
 * so that a vanished peer becomes an error. TCP only. */
static int stream_keepalive(lua_State *L) {
  art_stream **box = art_stream_self(L, 1);
  art_stream *stream = *box;
  double seconds = 0;

  if (!(lua_isboolean(L, 2) && !lua_toboolean(L, 2)))
    seconds = ceil(luaL_checknumber(L, 2));
  if (!(seconds >= 0 && seconds <= 32767))
    art_raise_argument(L, 2, "seconds from 0 to 32767 expected");
  if (stream == NULL) return art_stream_push_closed(L);
  return push_status(
      L, stream, "keepalive",
      stream->type->set_keepalive != NULL
          ? stream->type->set_keepalive(stream, (unsigned) seconds)
          : UV_ENOTSUP);
}

static int stream_tostring(lua_State *L) {
  art_stream **box = art_stream_self(L, 1);
  char peer[ART_ADDRESS_TEXT];

  if (*box == NULL) {
    lua_pushliteral(L, "stream (closed)");
  } else {
    (*box)->type->address(*box, true, peer, sizeof(peer));
    lua_pushfstring(L, "stream (%s)", peer);
  }
  return 1;
}

static const luaL_Reg methods[] = {
    {"close", stream_close},
    {"reset", stream_reset},
    {"is_closed", stream_is_closed},
    {"is_tty", stream_is_tty},
    {"handshake", stream_handshake},
    {"tls_info", stream_tls_info},
    {"timeouts", stream_timeouts},
    {"window_size", stream_window_size},
    {"address", stream_address},
    {"peer", stream_peer},
    {"nodelay", stream_nodelay},
    {"keepalive", stream_keepalive},
    {NULL, NULL},
};

static const luaL_Reg metamethods[] = {
    {"__gc", stream_gc},
    {"__close", stream_close},
    {"__tostring", stream_tostring},
    {NULL, NULL},
};

/* Adds methods to the table on the top of the stack; their upvalue, the
 * metatable, is below it. */
static void set_more_methods(lua_State *L, const luaL_Reg *more) {
  lua_pushvalue(L, -2);
  luaL_setfuncs(L, more, 1);
}

void art_open_stream(lua_State *L) {
  int type = lua_rawgetp(L, LUA_REGISTRYINDEX, &metatable_key);

  lua_pop(L, 1);
  if (type != LUA_TNIL) return;
  lua_newtable(L);
  lua_pushvalue(L, -1);
  luaL_setfuncs(L, metamethods, 1);
  art_set_methods(L, methods);
  lua_getfield(L, -1, "__index");
  set_more_methods(L, art_stream_read_methods);
  set_more_methods(L, art_stream_write_methods);
  lua_pop(L, 1);
  lua_pushliteral(L, "stream");
  lua_setfield(L, -2, "__name");
  lua_pushboolean(L, false);
  lua_setfield(L, -2, "__metatable");
  lua_rawsetp(L, LUA_REGISTRYINDEX, &metatable_key);
}
