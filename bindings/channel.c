/* asyncrt.core.channel: channels, first in, first out. */
#include "bindings.h"
#include "error.h"
#include "op.h"
#include "runtime.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* The user values of a channel. A small buffer is a ring of further user
 * values; a large one is a ring in a table that grows up to the capacity. */
enum { CHANNEL_NAME = 1, CHANNEL_REASON, CHANNEL_TABLE, CHANNEL_RING = 3 };

#define SMALL_CAPACITY 256 /* values kept in user values */
#define UNBOUNDED SIZE_MAX

typedef struct art_channel {
  const char *tag;  /* first, and &channel_tag: see art_check_tagged */
  const char *name; /* borrowed, from the user value; or NULL */
  asyncrt_queue receivers, senders;
  size_t capacity;
  size_t count, head; /* buffered values; place of the first */
  size_t ring;        /* places in the ring */
  bool small;
  bool closed;
} art_channel;

static const char channel_tag;

/* What the completer left in op->status. */
enum { WOKEN_BY_CLOSE, WOKEN_BY_VALUE };

/* --- The buffer --- */

/* Makes room in the ring of the channel at `index`. A finalizer may run, before
 * anything changes. */
static void grow(lua_State *L, art_channel *ch, int index) {
  size_t was = ch->ring, ring = was > 0 ? 2 * was : 16, i;

  if (ring > ch->capacity) ring = ch->capacity;
  lua_createtable(L, ring < INT32_MAX ? (int) ring : INT32_MAX, 0);
  if (ch->ring != was) { /* it has grown meanwhile */
    lua_pop(L, 1);
    return;
  }
  lua_getiuservalue(L, index, CHANNEL_TABLE);
  for (i = 0; was > 0 && i < ch->count; i++) {
    lua_rawgeti(L, -1, (lua_Integer) ((ch->head + i) % was) + 1);
    lua_rawseti(L, -3, (lua_Integer) i + 1);
  }
  lua_pop(L, 1);
  lua_setiuservalue(L, index, CHANNEL_TABLE);
  ch->head = 0;
  ch->ring = ring;
}

/* Appends the value on the top, which is popped; there is room. */
static void buffer_push(lua_State *L, art_channel *ch, int index) {
  size_t place;

  if (ch->small) {
    place = ch->head + ch->count;
    if (place >= ch->ring) place -= ch->ring;
    lua_setiuservalue(L, index, CHANNEL_RING + (int) place);
  } else {
    place = (ch->head + ch->count) % ch->ring;
    lua_getiuservalue(L, index, CHANNEL_TABLE);
    lua_insert(L, -2);
    lua_rawseti(L, -2, (lua_Integer) place + 1);
    lua_pop(L, 1);
  }
  ch->count++;
}

/* Pushes the first value. */
static void buffer_pop(lua_State *L, art_channel *ch, int index) {
  int type;

  if (ch->small) {
    lua_getiuservalue(L, index, CHANNEL_RING + (int) ch->head);
    type = lua_type(L, -1);
    if (type != LUA_TNUMBER && type != LUA_TBOOLEAN) {
      lua_pushnil(L); /* the value may be collected once it was received */
      lua_setiuservalue(L, index, CHANNEL_RING + (int) ch->head);
    }
  } else {
    lua_getiuservalue(L, index, CHANNEL_TABLE);
    lua_rawgeti(L, -1, (lua_Integer) ch->head + 1);
    lua_pushboolean(L, 0);
    lua_rawseti(L, -3, (lua_Integer) ch->head + 1);
    lua_remove(L, -2);
  }
  if (++ch->head == ch->ring) ch->head = 0;
  ch->count--;
}

/* Moves the value of a waiting sender to L and completes it. */
static void take_from(lua_State *L, asyncrt_op *sender) {
  lua_State *from = asyncrt_op_thread(sender);

  lua_pushvalue(from, sender->slot);
  lua_xmove(from, L, 1);
  sender->status = WOKEN_BY_VALUE;
  asyncrt_op_complete(sender);
}

/* --- recv --- */

static int push_closed(lua_State *L, int index) {
  lua_pushnil(L);
  lua_getiuservalue(L, index, CHANNEL_REASON);
  return 2;
}

static int recv_attempt(asyncrt_op *op, lua_State *L) {
  art_channel *ch = op->object;
  int index = (int) op->u.integer;

  if (ch->count > 0) {
    buffer_pop(L, ch, index);
    if (ch->senders.first != NULL) {
      take_from(L, ch->senders.first);
      buffer_push(L, ch, index);
    }
    return ASYNCRT_DONE(1);
  }
  if (ch->senders.first != NULL) {
    take_from(L, ch->senders.first);
    return ASYNCRT_DONE(1);
  }
  if (ch->closed) return ASYNCRT_DONE(push_closed(L, index));
  return ASYNCRT_NOT_READY;
}

static void recv_arm(asyncrt_op *op) {
  art_channel *ch = op->object;

  op->status = WOKEN_BY_CLOSE;
  asyncrt_queue_push(&ch->receivers, op);
}

static void recv_disarm(asyncrt_op *op) {
  art_channel *ch = op->object;

  asyncrt_queue_remove(&ch->receivers, op);
}

static int recv_finish(asyncrt_op *op, lua_State *L) {
  /* The sender has moved its value to the top of this thread's stack. */
  if (op->status == WOKEN_BY_VALUE) return 1;
  return push_closed(L, (int) op->u.integer);
}

static void describe(const asyncrt_op *op, char *text, size_t size,
                     const char *verb) {
  const art_channel *ch = op->object;

  if (ch->name != NULL)
    snprintf(text, size, "%s \"%s\"", verb, ch->name);
  else
    snprintf(text, size, "%s channel %p", verb, (const void *) ch);
}

static void recv_describe(const asyncrt_op *op, char *text, size_t size) {
  describe(op, text, size, "recv");
}

static const asyncrt_op_type recv_op = {
    "recv",      recv_attempt,  recv_arm,        recv_disarm,
    recv_finish, recv_describe, ASYNCRT_OP_KEPT,
};

/* --- send --- */

static int push_sent(lua_State *L, bool sent) {
  if (sent) {
    lua_pushboolean(L, 1);
    return 1;
  }
  lua_pushnil(L);
  lua_pushliteral(L, "closed");
  return 2;
}

static int send_attempt(asyncrt_op *op, lua_State *L) {
  art_channel *ch = op->object;
  asyncrt_op *receiver;

  for (;;) {
    if (ch->closed) return ASYNCRT_DONE(push_sent(L, false));
    receiver = asyncrt_queue_first(&ch->receivers);
    if (receiver != NULL) break;
    if (ch->count == ch->capacity) return ASYNCRT_NOT_READY;
    if (ch->count < ch->ring) break;
    grow(L, ch, (int) op->u.integer); /* then look at everything again */
  }
  lua_pushvalue(L, op->slot);
  if (receiver != NULL) {
    lua_xmove(L, asyncrt_op_thread(receiver), 1);
    receiver->status = WOKEN_BY_VALUE;
    asyncrt_op_complete(receiver);
  } else {
    buffer_push(L, ch, (int) op->u.integer);
  }
  return ASYNCRT_DONE(push_sent(L, true));
}

static void send_arm(asyncrt_op *op) {
  art_channel *ch = op->object;

  op->status = WOKEN_BY_CLOSE;
  asyncrt_queue_push(&ch->senders, op);
}

static void send_disarm(asyncrt_op *op) {
  art_channel *ch = op->object;

  asyncrt_queue_remove(&ch->senders, op);
}

static int send_finish(asyncrt_op *op, lua_State *L) {
  return push_sent(L, op->status == WOKEN_BY_VALUE);
}

static void send_describe(const asyncrt_op *op, char *text, size_t size) {
  describe(op, text, size, "send");
}

static const asyncrt_op_type send_op = {
    "send", send_attempt, send_arm, send_disarm, send_finish, send_describe, 0,
};

/* --- Methods --- */

static art_channel *check_channel(lua_State *L) {
  return art_check_tagged(L, 1, &channel_tag, sizeof(art_channel),
                          "asyncrt.channel");
}

static void check_value(lua_State *L) {
  if (lua_isnoneornil(L, 2))
    art_raise_argument(L, 2,
                       "nil cannot be sent: it is what recv returns at the "
                       "end; send false, or close the channel");
}

/* channel:send(value) -> true | nil, "closed"
 *
 * Waits until a receiver or a place in the buffer takes `value`, in the order
 * of the senders. nil raises. A cancellation point. */
static int channel_send(lua_State *L) {
  art_channel *ch = check_channel(L);
  asyncrt_op *op;

  check_value(L);
  op = asyncrt_prepare(L, &send_op, ch);
  op->slot = 2;
  op->u.integer = 1;
  return asyncrt_perform(L, op);
}

/* channel:recv() -> value | nil, reason
 *
 * Waits for the next value, in the order of the receivers. Once the channel is
 * closed and empty: nil and the reason. A cancellation point. */
static int channel_recv(lua_State *L) {
  art_channel *ch = check_channel(L);
  asyncrt_op *op = asyncrt_prepare(L, &recv_op, ch);

  op->u.integer = 1;
  return asyncrt_perform(L, op);
}

static void prepare_channel(lua_State *L, int index, asyncrt_op *op) {
  op->type = &recv_op;
  op->object = lua_touserdata(L, index);
  op->u.integer = index;
}

static void prepare_recv(lua_State *L, int index, asyncrt_op *op) {
  lua_getiuservalue(L, index, 1);
  prepare_channel(L, lua_gettop(L), op);
}

static void prepare_send(lua_State *L, int index, asyncrt_op *op) {
  prepare_recv(L, index, op);
  op->type = &send_op;
  lua_getiuservalue(L, index, 2);
  op->slot = lua_gettop(L);
}

/* channel:recv_evt() -> event: what recv does */
static int channel_recv_evt(lua_State *L) {
  check_channel(L);
  asyncrt_new_event(L, prepare_recv, 0, 1);
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, -2, 1);
  return 1;
}

/* channel:send_evt(value) -> event: what send does */
static int channel_send_evt(lua_State *L) {
  check_channel(L);
  check_value(L);
  asyncrt_new_event(L, prepare_send, 0, 2);
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, -2, 1);
  lua_pushvalue(L, 2);
  lua_setiuservalue(L, -2, 2);
  return 1;
}

/* for value in channel:iter() do … end
 *
 * Receives until the channel is closed and empty. */
static int channel_iter(lua_State *L) {
  check_channel(L);
  lua_getfield(L, 1, "recv");
  lua_pushvalue(L, 1);
  return 2;
}

/* channel:close([reason = "closed"]) -> boolean
 *
 * Buffered values can still be received; then receivers get nil, `reason`.
 * Waiting senders get nil, "closed", and their values are dropped. Returns
 * false if it was closed already: the first reason stays. Never waits. */
static int channel_close(lua_State *L) {
  art_channel *ch = check_channel(L);
  bool first;

  lua_settop(L, 2);
  if (lua_isnil(L, 2)) {
    lua_pushliteral(L, "closed");
    lua_replace(L, 2);
  }
  first = !ch->closed;
  if (first) {
    lua_setiuservalue(L, 1, CHANNEL_REASON);
    ch->closed = true;
    while (ch->receivers.first != NULL)
      asyncrt_op_complete(ch->receivers.first);
    while (ch->senders.first != NULL) asyncrt_op_complete(ch->senders.first);
  }
  lua_pushboolean(L, first);
  return 1;
}

/* channel:is_closed() -> boolean */
static int channel_is_closed(lua_State *L) {
  lua_pushboolean(L, check_channel(L)->closed);
  return 1;
}

/* #channel -> integer: the values in the buffer */
static int channel_len(lua_State *L) {
  lua_pushinteger(L, (lua_Integer) check_channel(L)->count);
  return 1;
}

static int channel_tostring(lua_State *L) {
  art_channel *ch = check_channel(L);

  art_push_named(L, "channel", ch->name, ch);
  return 1;
}

static size_t check_capacity(lua_State *L, int arg) {
  lua_Number capacity = luaL_checknumber(L, arg);
  lua_Integer places;

  if (capacity == HUGE_VAL) return UNBOUNDED;
  if (!lua_numbertointeger(capacity, &places) ||
      (lua_Number) places != capacity || places < 0 || places > INT32_MAX)
    art_raise_argument(L, arg,
                       "a capacity is an integer from 0 to 2^31 - 1, or "
                       "math.huge");
  return (size_t) places;
}

/* channel([capacity = 0] [, name]) -> channel
 *
 * 0: a rendezvous, a send waits for its recv. n: n values wait without their
 * senders. math.huge: sends never wait, and memory is the limit. Any number of
 * tasks may send and receive. */
static int channel_new(lua_State *L) {
  bool named_only = lua_type(L, 1) == LUA_TSTRING && lua_isnoneornil(L, 2);
  int arg = named_only ? 1 : 2;
  size_t capacity =
      named_only || lua_isnoneornil(L, 1) ? 0 : check_capacity(L, 1);
  bool small = capacity <= SMALL_CAPACITY;
  const char *name = art_check_name(L, arg);
  art_channel *ch;

  lua_settop(L, 2);
  ch = lua_newuserdatauv(L, sizeof(*ch),
                         small ? CHANNEL_RING - 1 +
                                     (capacity > 0 ? (int) capacity : 0)
                               : CHANNEL_TABLE);
  memset(ch, 0, sizeof(*ch));
  ch->tag = &channel_tag;
  ch->capacity = capacity;
  ch->small = small;
  ch->ring = small ? capacity : 0;
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_setmetatable(L, -2);
  ch->name = art_keep_name(L, name, arg, CHANNEL_NAME);
  return 1;
}

static const luaL_Reg methods[] = {
    {"close", channel_close},       {"is_closed", channel_is_closed},
    {"iter", channel_iter},         {"recv", channel_recv},
    {"recv_evt", channel_recv_evt}, {"send", channel_send},
    {"send_evt", channel_send_evt}, {NULL, NULL},
};

static const luaL_Reg metamethods[] = {
    {"__len", channel_len},
    {"__tostring", channel_tostring},
    {NULL, NULL},
};

int art_open_channel(lua_State *L) {
  lua_newtable(L);
  lua_pushliteral(L, "asyncrt.channel");
  lua_setfield(L, -2, "__name");
  art_set_methods(L, methods);
  lua_pushvalue(L, -1);
  luaL_setfuncs(L, metamethods, 1);
  asyncrt_set_event(L, prepare_channel);
  lua_createtable(L, 0, 1);
  lua_insert(L, -2);
  lua_pushcclosure(L, channel_new, 1);
  lua_setfield(L, -2, "channel");
  return 1;
}
