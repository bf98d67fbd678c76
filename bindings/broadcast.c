/* asyncrt.core.broadcast: every subscriber gets every value. */
#include "bindings.h"
#include "error.h"
#include "list.h"
#include "op.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define FIRST_RING 16 /* places of a new subscriber, if it may have as many */

/* What a send does where a subscriber has no room. */
typedef enum art_policy { BLOCK, DROP, CLOSE } art_policy;

static const char *const policies[] = {"block", "drop", "close", NULL};

/* User values. The table has the subscribers by their addresses. */
enum { BROADCAST_SUBSCRIBERS = 1, BROADCAST_REASON };
enum { SUBSCRIBER_RING = 1, SUBSCRIBER_REASON, SUBSCRIBER_BROADCAST };

typedef struct art_broadcast {
  asyncrt_queue senders; /* wait only while a subscriber is full */
  art_link subscribers;  /* the open ones, in the order of subscribing */
  size_t capacity;       /* of each */
  uint32_t count, full;  /* subscribers; those without room */
  uint32_t changes;      /* of the list and of what subscribers have room for */
  uint8_t policy;
  bool closed;
} art_broadcast;

typedef struct art_subscriber {
  art_link link;
  art_broadcast *broadcast; /* borrowed; NULL once it is closed */
  asyncrt_queue receivers;  /* wait only while nothing is buffered */
  size_t count, head, ring; /* values; place of the first; places */
  lua_Integer dropped;
} art_subscriber;

/* What the completer left in op->status. */
enum { WOKEN_BY_CLOSE, WOKEN_BY_VALUE };

/* --- The buffer of a subscriber --- */

/* Makes room for one more value in the ring of the subscriber at `index`. A
 * finalizer may run, before anything changes. */
static void grow(lua_State *L, art_subscriber *s, size_t capacity, int index) {
  size_t was = s->ring, ring = was > 0 ? 2 * was : FIRST_RING, i;

  index = lua_absindex(L, index);
  if (ring > capacity) ring = capacity;
  lua_createtable(L, (int) ring, 0);
  if (s->ring != was) { /* it has grown meanwhile */
    lua_pop(L, 1);
    return;
  }
  lua_getiuservalue(L, index, SUBSCRIBER_RING);
  for (i = 0; s->ring > 0 && i < s->count; i++) {
    lua_rawgeti(L, -1, (lua_Integer) ((s->head + i) % s->ring) + 1);
    lua_rawseti(L, -3, (lua_Integer) i + 1);
  }
  lua_pop(L, 1);
  lua_setiuservalue(L, index, SUBSCRIBER_RING);
  s->head = 0;
  s->ring = ring;
}

/* Appends the value at `value`; there is room. */
static void buffer_push(lua_State *L, art_subscriber *s, int index, int value) {
  size_t place = (s->head + s->count) % s->ring;

  index = lua_absindex(L, index);
  lua_getiuservalue(L, index, SUBSCRIBER_RING);
  lua_pushvalue(L, value);
  lua_rawseti(L, -2, (lua_Integer) place + 1);
  lua_pop(L, 1);
  s->count++;
}

/* Pushes the first value. */
static void buffer_pop(lua_State *L, art_subscriber *s, int index) {
  lua_getiuservalue(L, index, SUBSCRIBER_RING);
  lua_rawgeti(L, -1, (lua_Integer) s->head + 1);
  lua_pushboolean(L, 0);
  lua_rawseti(L, -3, (lua_Integer) s->head + 1);
  lua_remove(L, -2);
  s->head = (s->head + 1) % s->ring;
  s->count--;
}

/* --- Delivering --- */

static art_subscriber *subscriber_at(art_link *link) {
  return art_container_of(link, art_subscriber, link);
}

/* Closes an open subscriber of the table at `table` with the reason on the top,
 * which is popped. Buffered values stay. */
static void close_subscriber(lua_State *L, art_subscriber *s, int table) {
  art_broadcast *b = s->broadcast;

  table = lua_absindex(L, table);
  lua_rawgetp(L, table, s);
  lua_insert(L, -2);
  lua_setiuservalue(L, -2, SUBSCRIBER_REASON);
  lua_pop(L, 1); /* it stays in the table until it is closed */
  s->broadcast = NULL;
  art_list_remove(&s->link);
  b->count--;
  b->changes++;
  if (s->count == b->capacity) b->full--;
  while (s->receivers.first != NULL) asyncrt_op_complete(s->receivers.first);
  lua_pushnil(L);
  lua_rawsetp(L, table, s);
}

/* Makes room wherever a value may be buffered: from then on delivering one
 * needs no memory, so that it cannot fail half-way and runs no finalizer. Those
 * that run here may change everything. */
static void reserve(lua_State *L, art_broadcast *b, int table) {
  art_link *link = b->subscribers.next;

  while (link != &b->subscribers) {
    art_subscriber *s = subscriber_at(link);
    uint32_t changes = b->changes;

    if (s->count == s->ring && s->ring < b->capacity) {
      lua_rawgetp(L, table, s);
      grow(L, s, b->capacity, -1);
      lua_pop(L, 1);
    }
    link = b->changes == changes ? link->next : b->subscribers.next;
  }
}

/* `reason` is that of a subscriber which is closed for want of room. */
static void deliver_to(lua_State *L, art_broadcast *b, art_subscriber *s,
                       int table, int reason, int value) {
  asyncrt_op *receiver = asyncrt_queue_first(&s->receivers);

  if (receiver != NULL) {
    lua_pushvalue(L, value);
    lua_xmove(L, asyncrt_op_thread(receiver), 1);
    receiver->status = WOKEN_BY_VALUE;
    asyncrt_op_complete(receiver);
  } else if (s->count < b->capacity) {
    lua_rawgetp(L, table, s);
    buffer_push(L, s, -1, value);
    lua_pop(L, 1);
    if (s->count == b->capacity) b->full++;
  } else if (b->policy == DROP) {
    s->dropped++;
  } else {
    lua_pushvalue(L, reason);
    close_subscriber(L, s, table);
  }
}

/* Gives the value on the top, which is popped, to all subscribers. */
static void deliver(lua_State *L, art_broadcast *b, int table) {
  int value = lua_gettop(L);
  art_link *link, *next;

  b->changes++;
  for (link = b->subscribers.next; link != &b->subscribers; link = next) {
    next = link->next;
    deliver_to(L, b, subscriber_at(link), table, table + 1, value);
  }
  lua_settop(L, value - 1);
}

/* Lets the senders that wait go on as far as there is room. */
static void go_on(lua_State *L, art_broadcast *b, int table) {
  while (b->senders.first != NULL && b->full == 0) {
    asyncrt_op *sender;
    lua_State *from;

    reserve(L, b, table);
    sender = b->senders.first;
    if (sender == NULL || b->full > 0) return;
    from = asyncrt_op_thread(sender);
    lua_pushvalue(from, sender->slot);
    lua_xmove(from, L, 1);
    sender->status = WOKEN_BY_VALUE;
    asyncrt_op_complete(sender);
    deliver(L, b, table);
  }
}

/* Pushes the table of the subscribers of the broadcast at `index`, and above it
 * the reason that deliver needs; returns the index of the table. */
static int push_subscribers(lua_State *L, int index) {
  lua_getiuservalue(L, index, BROADCAST_SUBSCRIBERS);
  lua_pushliteral(L, "overflow");
  return lua_gettop(L) - 1;
}

/* The same, of the broadcast of the subscriber at `index`. */
static int push_siblings(lua_State *L, int index) {
  lua_getiuservalue(L, index, SUBSCRIBER_BROADCAST);
  return push_subscribers(L, -1);
}

/* --- send: slot = the value; u.integer = the broadcast --- */

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
  art_broadcast *b = op->object;
  int table;

  if (b->policy == BLOCK && b->full > 0 && !b->closed) return ASYNCRT_NOT_READY;
  table = push_subscribers(L, (int) op->u.integer);
  reserve(L, b, table);
  if (b->closed) return ASYNCRT_DONE(push_sent(L, false));
  if (b->policy == BLOCK && b->full > 0) return ASYNCRT_NOT_READY;
  lua_pushvalue(L, op->slot);
  deliver(L, b, table);
  return ASYNCRT_DONE(push_sent(L, true));
}

static void send_arm(asyncrt_op *op) {
  art_broadcast *b = op->object;

  op->status = WOKEN_BY_CLOSE;
  asyncrt_queue_push(&b->senders, op);
}

static void send_disarm(asyncrt_op *op) {
  art_broadcast *b = op->object;

  asyncrt_queue_remove(&b->senders, op);
}

static int send_finish(asyncrt_op *op, lua_State *L) {
  return push_sent(L, op->status == WOKEN_BY_VALUE);
}

static void send_describe(const asyncrt_op *op, char *text, size_t size) {
  snprintf(text, size, "send broadcast %p", op->object);
}

static const asyncrt_op_type send_op = {
    "send", send_attempt, send_arm, send_disarm, send_finish, send_describe, 0,
};

/* --- recv: u.integer = the subscriber --- */

static int push_closed(lua_State *L, int index) {
  lua_pushnil(L);
  lua_getiuservalue(L, index, SUBSCRIBER_REASON);
  return 2;
}

static bool is_full(const art_subscriber *s) {
  return s->broadcast != NULL && s->count == s->broadcast->capacity;
}

/* Takes the first value of a subscriber; where that was full, for senders may
 * wait for its room, the siblings were pushed at `table`. */
static void take_first(lua_State *L, art_subscriber *s, int index, int table) {
  art_broadcast *b = s->broadcast;
  bool was_full = is_full(s);

  buffer_pop(L, s, index);
  if (!was_full) return;
  b->full--;
  go_on(L, b, table);
}

static int recv_attempt(asyncrt_op *op, lua_State *L) {
  art_subscriber *s = op->object;
  int index = (int) op->u.integer, table = 0;

  if (is_full(s)) {
    table = push_siblings(L, index);
    /* May raise; a finalizer may even close it. */
    if (s->broadcast != NULL) reserve(L, s->broadcast, table);
  }
  if (s->count > 0) {
    take_first(L, s, index, table);
    return ASYNCRT_DONE(1);
  }
  if (s->broadcast == NULL) return ASYNCRT_DONE(push_closed(L, index));
  return ASYNCRT_NOT_READY;
}

static void recv_arm(asyncrt_op *op) {
  art_subscriber *s = op->object;

  op->status = WOKEN_BY_CLOSE;
  asyncrt_queue_push(&s->receivers, op);
}

static void recv_disarm(asyncrt_op *op) {
  art_subscriber *s = op->object;

  asyncrt_queue_remove(&s->receivers, op);
}

static int recv_finish(asyncrt_op *op, lua_State *L) {
  /* The sender has moved its value to the top of this thread's stack. */
  if (op->status == WOKEN_BY_VALUE) return 1;
  return push_closed(L, (int) op->u.integer);
}

static void recv_describe(const asyncrt_op *op, char *text, size_t size) {
  const art_subscriber *s = op->object;

  snprintf(text, size, "recv broadcast %p", (const void *) s->broadcast);
}

static const asyncrt_op_type recv_op = {
    "recv",      recv_attempt,  recv_arm,        recv_disarm,
    recv_finish, recv_describe, ASYNCRT_OP_KEPT,
};

/* --- Methods of a broadcast --- */

static art_broadcast *check_broadcast(lua_State *L) {
  return art_check_self(L, 1, "asyncrt.broadcast");
}

static void check_value(lua_State *L) {
  if (lua_isnoneornil(L, 2))
    art_raise_argument(L, 2,
                       "nil cannot be sent: it is what recv returns at the "
                       "end; send false, or close the broadcast");
}

/* broadcast:send(value) -> true | nil, "closed"
 *
 * Gives `value`, not nil, to every subscriber. Where one has no room: under
 * "block" it waits until all have, in the order of the senders; under "drop"
 * that one does not get it; under "close" that one is closed. A cancellation
 * point; a send that is cancelled has reached nobody. */
static int broadcast_send(lua_State *L) {
  art_broadcast *b = check_broadcast(L);
  asyncrt_op *op;

  check_value(L);
  op = asyncrt_prepare(L, &send_op, b);
  op->slot = 2;
  op->u.integer = 1;
  return asyncrt_perform(L, op);
}

static void prepare_send(lua_State *L, int index, asyncrt_op *op) {
  lua_getiuservalue(L, index, 1);
  op->type = &send_op;
  op->object = lua_touserdata(L, -1);
  op->u.integer = lua_gettop(L);
  lua_getiuservalue(L, index, 2);
  op->slot = lua_gettop(L);
}

/* broadcast:send_evt(value) -> event: what send does */
static int broadcast_send_evt(lua_State *L) {
  check_broadcast(L);
  check_value(L);
  asyncrt_new_event(L, prepare_send, 0, 2);
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, -2, 1);
  lua_pushvalue(L, 2);
  lua_setiuservalue(L, -2, 2);
  return 1;
}

/* Sets the reason of the subscriber on the top: that of the broadcast at 1. */
static void start_closed(lua_State *L) {
  lua_getiuservalue(L, 1, BROADCAST_REASON);
  lua_setiuservalue(L, -2, SUBSCRIBER_REASON);
}

/* broadcast:subscribe() -> subscription, to be closed
 *
 * Gets every value sent from now on. Of a closed broadcast: a closed one. */
static int broadcast_subscribe(lua_State *L) {
  art_broadcast *b = check_broadcast(L);
  art_subscriber *s;
  int table;

  lua_settop(L, 1);
  table = push_subscribers(L, 1);
  s = lua_newuserdatauv(L, sizeof(*s), SUBSCRIBER_BROADCAST);
  memset(s, 0, sizeof(*s));
  lua_pushvalue(L, lua_upvalueindex(2));
  lua_setmetatable(L, -2);
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, -2, SUBSCRIBER_BROADCAST);
  if (!b->closed) grow(L, s, b->capacity, -1);
  if (b->closed) {
    start_closed(L);
    return 1;
  }
  lua_pushvalue(L, -1);
  lua_rawsetp(L, table, s);
  s->broadcast = b;
  art_list_append(&b->subscribers, &s->link);
  b->count++;
  return 1;
}

/* Leaves the reason for a close, "closed" unless given, at 2. */
static void check_reason(lua_State *L) {
  lua_settop(L, 2);
  if (!lua_isnil(L, 2)) return;
  lua_pushliteral(L, "closed");
  lua_replace(L, 2);
}

/* broadcast:close([reason = "closed"]) -> boolean
 *
 * Closes every subscription: values that it has can still be received, then
 * comes nil, `reason`. Senders that wait get nil, "closed". Returns false if it
 * was closed already. Never waits. */
static int broadcast_close(lua_State *L) {
  art_broadcast *b = check_broadcast(L);
  int table;

  check_reason(L);
  table = push_subscribers(L, 1);
  if (b->closed) {
    lua_pushboolean(L, 0);
    return 1;
  }
  lua_pushvalue(L, 2);
  lua_setiuservalue(L, 1, BROADCAST_REASON);
  b->closed = true;
  while (!art_list_empty(&b->subscribers)) {
    lua_pushvalue(L, 2);
    close_subscriber(L, subscriber_at(b->subscribers.next), table);
  }
  while (b->senders.first != NULL) asyncrt_op_complete(b->senders.first);
  lua_pushboolean(L, 1);
  return 1;
}

/* broadcast:is_closed() -> boolean */
static int broadcast_is_closed(lua_State *L) {
  lua_pushboolean(L, check_broadcast(L)->closed);
  return 1;
}

/* broadcast:count() -> integer: the open subscriptions */
static int broadcast_count(lua_State *L) {
  lua_pushinteger(L, check_broadcast(L)->count);
  return 1;
}

static int broadcast_tostring(lua_State *L) {
  const art_broadcast *b = check_broadcast(L);

  lua_pushfstring(L, "broadcast %p (%d subscriptions)", (const void *) b,
                  (int) b->count);
  return 1;
}

/* --- Methods of a subscription --- */

static art_subscriber *check_subscriber(lua_State *L) {
  return art_check_self(L, 1, "asyncrt.subscription");
}

/* subscription:recv() -> value | nil, reason
 *
 * Waits for the next value. Once it is closed and empty: nil and the reason,
 * "overflow" where the policy closed it. A cancellation point. */
static int subscriber_recv(lua_State *L) {
  art_subscriber *s = check_subscriber(L);
  asyncrt_op *op = asyncrt_prepare(L, &recv_op, s);

  op->u.integer = 1;
  return asyncrt_perform(L, op);
}

static void prepare_recv(lua_State *L, int index, asyncrt_op *op) {
  op->type = &recv_op;
  op->object = lua_touserdata(L, index);
  op->u.integer = index;
}

static void prepare_recv_evt(lua_State *L, int index, asyncrt_op *op) {
  lua_getiuservalue(L, index, 1);
  prepare_recv(L, lua_gettop(L), op);
}

/* subscription:recv_evt() -> event: what recv does */
static int subscriber_recv_evt(lua_State *L) {
  check_subscriber(L);
  asyncrt_new_event(L, prepare_recv_evt, 0, 1);
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, -2, 1);
  return 1;
}

/* for value in subscription:iter() do … end
 *
 * Receives until it is closed and empty. */
static int subscriber_iter(lua_State *L) {
  check_subscriber(L);
  lua_getfield(L, 1, "recv");
  lua_pushvalue(L, 1);
  return 2;
}

/* subscription:close([reason = "closed"]) -> boolean
 *
 * Ends it: nothing more is sent to it; what it has can still be received.
 * Returns false if it was closed already. Never waits. */
static int subscriber_close(lua_State *L) {
  art_subscriber *s = check_subscriber(L);
  art_broadcast *b;
  int table;

  check_reason(L);
  table = push_siblings(L, 1);
  b = s->broadcast;
  if (b == NULL) {
    lua_pushboolean(L, 0);
    return 1;
  }
  lua_pushvalue(L, 2);
  close_subscriber(L, s, table);
  go_on(L, b, table);
  lua_pushboolean(L, 1);
  return 1;
}

/* The second argument of a closer is an error, not a reason. */
static int subscriber_leave(lua_State *L) {
  lua_settop(L, 1);
  subscriber_close(L);
  return 0;
}

/* subscription:is_closed() -> boolean */
static int subscriber_is_closed(lua_State *L) {
  lua_pushboolean(L, check_subscriber(L)->broadcast == NULL);
  return 1;
}

/* subscription:dropped() -> integer: how many values it missed under "drop" */
static int subscriber_dropped(lua_State *L) {
  lua_pushinteger(L, check_subscriber(L)->dropped);
  return 1;
}

/* #subscription -> integer: the values in its buffer */
static int subscriber_len(lua_State *L) {
  lua_pushinteger(L, (lua_Integer) check_subscriber(L)->count);
  return 1;
}

static int subscriber_tostring(lua_State *L) {
  const art_subscriber *s = check_subscriber(L);

  lua_pushfstring(L, "subscription %p (%s)", (const void *) s,
                  s->broadcast != NULL ? "open" : "closed");
  return 1;
}

/* --- Making --- */

static size_t check_capacity(lua_State *L, int arg) {
  lua_Number capacity = luaL_checknumber(L, arg);

  if (capacity == HUGE_VAL) return INT32_MAX;
  return (size_t) art_check_integer(L, arg, 1, INT32_MAX);
}

/* broadcast(capacity [, policy = "block"]) -> broadcast
 *
 * A value sent goes to every subscriber, which buffers up to `capacity`, 1 or
 * more, of them; `policy` says what happens where it is full: "block", "drop"
 * or "close". */
static int broadcast_new(lua_State *L) {
  size_t capacity = check_capacity(L, 1);
  int policy = luaL_checkoption(L, 2, "block", policies);
  art_broadcast *b = lua_newuserdatauv(L, sizeof(*b), BROADCAST_REASON);

  memset(b, 0, sizeof(*b));
  b->capacity = capacity;
  b->policy = (uint8_t) policy;
  art_list_init(&b->subscribers);
  lua_newtable(L);
  lua_setiuservalue(L, -2, BROADCAST_SUBSCRIBERS);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_setmetatable(L, -2);
  return 1;
}

static const luaL_Reg broadcast_methods[] = {
    {"close", broadcast_close},
    {"count", broadcast_count},
    {"is_closed", broadcast_is_closed},
    {"send", broadcast_send},
    {"send_evt", broadcast_send_evt},
    {"subscribe", broadcast_subscribe},
    {NULL, NULL},
};

static const luaL_Reg broadcast_metamethods[] = {
    {"__tostring", broadcast_tostring},
    {NULL, NULL},
};

static const luaL_Reg subscriber_methods[] = {
    {"close", subscriber_close},
    {"dropped", subscriber_dropped},
    {"is_closed", subscriber_is_closed},
    {"iter", subscriber_iter},
    {"recv", subscriber_recv},
    {"recv_evt", subscriber_recv_evt},
    {NULL, NULL},
};

static const luaL_Reg subscriber_metamethods[] = {
    {"__close", subscriber_leave},
    {"__len", subscriber_len},
    {"__tostring", subscriber_tostring},
    {NULL, NULL},
};

int art_open_broadcast(lua_State *L) {
  lua_createtable(L, 0, 1);
  lua_newtable(L); /* of broadcasts */
  lua_pushliteral(L, "asyncrt.broadcast");
  lua_setfield(L, -2, "__name");
  lua_newtable(L); /* of subscriptions */
  lua_pushliteral(L, "asyncrt.subscription");
  lua_setfield(L, -2, "__name");
  art_set_methods(L, subscriber_methods);
  lua_pushvalue(L, -1);
  luaL_setfuncs(L, subscriber_metamethods, 1);
  asyncrt_set_event(L, prepare_recv);

  lua_newtable(L);
  lua_pushvalue(L, -3);
  lua_pushvalue(L, -3);
  luaL_setfuncs(L, broadcast_methods, 2);
  lua_setfield(L, -3, "__index");
  lua_pop(L, 1);
  lua_pushvalue(L, -1);
  luaL_setfuncs(L, broadcast_metamethods, 1);
  lua_pushcclosure(L, broadcast_new, 1);
  lua_setfield(L, -2, "broadcast");
  return 1;
}
