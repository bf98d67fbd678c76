/* Listeners: the op of accepting, and the Lua methods. */
#include "listener.h"

#include "address.h"
#include "error.h"
#include "runtime.h"

#include <stdio.h>
#include <string.h>

static art_listener *listener_of(const asyncrt_op *op) {
  return *(art_listener **) op->object;
}

/* --- Life --- */

static void on_handle_close(asyncrt_handle *handle) {
  art_listener_close(art_container_of(handle, art_listener, handle));
}

static void on_ready(art_watcher *watcher, unsigned events) {
  if (events & (ART_READABLE | ART_HANGUP))
    art_listener_ready(art_container_of(watcher, art_listener, watcher));
}

void art_listener_init(art_listener *listener, asyncrt *rt,
                       const art_listener_type *type, int fd) {
  listener->watcher.fd = fd;
  listener->watcher.on_ready = on_ready;
  listener->type = type;
  listener->rt = rt;
  listener->external = true;
  listener->readable = true; /* the first accept tries */
  asyncrt_handle_opened(rt, &listener->handle, type->kind, on_handle_close);
}

void art_listener_free(art_listener *listener) {
  if (listener->upgrade != NULL) listener->upgrade->free(listener->upgrade);
  asyncrt_handle_closed(listener->rt, &listener->handle);
  art_poll_free(listener->rt, &listener->watcher);
}

void art_listener_close(art_listener *listener) {
  asyncrt_op *op;

  if (listener->box != NULL) {
    while ((op = listener->waiters.first) != NULL) asyncrt_op_complete(op);
    art_box_empty(listener->rt, listener->box);
    listener->box = NULL;
  }
  listener->type->close(listener);
}

/* --- The op. slot = the object of the stream to come; u.pair.data = the
 * stream, where the completer took one; size = 1 for a waiter that was woken in
 * vain and keeps its place. --- */

static int take(art_listener *listener, art_stream **stream) {
  int error;

  if (!listener->readable) return UV_EAGAIN;
  error = listener->type->accept(listener, stream);
  if (error == UV_EAGAIN) {
    listener->readable = false;
    art_poll_want(listener->rt, &listener->watcher, ART_READABLE);
  }
  if (error != 0 || listener->upgrade == NULL) return error;
  error = listener->upgrade->apply(listener->upgrade, stream);
  if (error != 0) art_stream_close(*stream, true);
  return error;
}

/* One waiter is completed on hope where it waits alone; it accepts in its
 * task, and then wakes the next. An arm of a select needs a connection. */
static void wake(art_listener *listener) {
  asyncrt_op *op;

  while (listener->readable && !listener->woken &&
         (op = listener->waiters.first) != NULL) {
    if (art_op_is_direct(op)) {
      listener->woken = true;
    } else {
      art_stream *stream;
      int error = take(listener, &stream);

      if (error == UV_EAGAIN) return;
      if (error == 0)
        op->u.pair.data = stream;
      else
        op->status = (uint32_t) -error;
    }
    asyncrt_op_complete(op);
  }
}

void art_listener_ready(art_listener *listener) {
  listener->readable = true;
  wake(listener);
}

static int push_closed(lua_State *L) {
  return art_push_failure(L, "closed", "ECLOSED");
}

static int push_error(lua_State *L, art_listener *listener, int error) {
  char address[ART_ADDRESS_TEXT];

  listener->type->address(listener, address, sizeof(address));
  return asyncrt_push_error(L, "accept", address, error);
}

/* Pushes the stream, or the error if that is not 0. */
static int push_taken(lua_State *L, const asyncrt_op *op, art_stream *stream,
                      int error) {
  if (error != 0) return push_error(L, listener_of(op), error);
  art_stream_give(L, art_box_at(L, op->slot), stream);
  lua_pushvalue(L, op->slot);
  return 1;
}

static int accept_attempt(asyncrt_op *op, lua_State *L) {
  art_listener *listener = listener_of(op);
  art_stream *stream = NULL;
  int error;

  if (listener == NULL) return ASYNCRT_DONE(push_closed(L));
  if ((listener->waiters.first == NULL || op->u.pair.size == 1) &&
      !listener->woken) {
    error = take(listener, &stream);
    if (error != UV_EAGAIN)
      return ASYNCRT_DONE(push_taken(L, op, stream, error));
  }
  if (listener->watched) return ASYNCRT_NOT_READY;
  error = listener->type->watch != NULL ? listener->type->watch(listener) : 0;
  if (error != 0) return ASYNCRT_DONE(push_error(L, listener, error));
  listener->watched = true;
  return ASYNCRT_NOT_READY;
}

static void push_front(asyncrt_queue *queue, asyncrt_op *op) {
  op->prev = NULL;
  op->next = queue->first;
  if (op->next != NULL)
    op->next->prev = op;
  else
    queue->last = op;
  queue->first = op;
}

static void accept_arm(asyncrt_op *op) {
  asyncrt_queue *waiters = &listener_of(op)->waiters;

  if (op->u.pair.size == 1)
    push_front(waiters, op);
  else
    asyncrt_queue_push(waiters, op);
  op->u.pair.size = 0;
}

static void accept_disarm(asyncrt_op *op) {
  asyncrt_queue_remove(&listener_of(op)->waiters, op);
}

static int accept_finish(asyncrt_op *op, lua_State *L) {
  art_listener *listener = listener_of(op);
  art_stream *stream = op->u.pair.data;
  int error;

  if (stream != NULL) return push_taken(L, op, stream, 0);
  if (listener == NULL) return push_closed(L);
  if (op->status != 0) return push_error(L, listener, -(int) op->status);
  listener->woken = false;
  error = take(listener, &stream);
  if (error == UV_EAGAIN) {
    op->u.pair.size = 1;
    return ASYNCRT_AGAIN;
  }
  wake(listener); /* before what may fail for want of memory */
  return push_taken(L, op, stream, error);
}

static void accept_describe(const asyncrt_op *op, char *text, size_t size) {
  art_listener *listener = listener_of(op);
  char address[ART_ADDRESS_TEXT] = "closed";

  if (listener != NULL)
    listener->type->address(listener, address, sizeof(address));
  snprintf(text, size, "accept %s", address);
}

#define ACCEPT_TYPE(flags)                                              \
  {                                                                     \
    "accept", accept_attempt, accept_arm, accept_disarm, accept_finish, \
        accept_describe, flags                                          \
  }

static const asyncrt_op_type accept_ops[2] = {ACCEPT_TYPE(0),
                                              ACCEPT_TYPE(ASYNCRT_OP_EXTERNAL)};

/* Pushes the object of the stream to come. */
static void prepare(lua_State *L, asyncrt_op *op, art_listener **box) {
  art_stream_push(L);
  op->slot = lua_gettop(L);
  op->type = &accept_ops[*box != NULL && (*box)->external];
  op->object = box;
  op->status = 0;
  op->u.pair.data = NULL;
  op->u.pair.size = 0;
}

/* --- Lua --- */

/* listener:accept() -> stream | nil, message, code
 *
 * Waits for a connection. A listener is also an event: accept. When all
 * descriptors are in use it waits until a connection is closed; what concerns
 * one connection only is no error. "ECLOSED" once the listener is closed. */
static int listener_accept(lua_State *L) {
  art_listener **box = art_listener_self(L, 1);
  asyncrt_op *op = asyncrt_prepare(L, &accept_ops[0], box);

  prepare(L, op, box);
  return asyncrt_perform(L, op);
}

/* listener:accepts() -> iterator
 *
 * for conn in listener:accepts() do … end ends when the listener is closed; any
 * other failure raises. */
static int accepted(lua_State *L, int results) {
  if (results == 3 && strcmp(lua_tostring(L, -1), "ECLOSED") != 0) {
    lua_pop(L, 1);
    return lua_error(L);
  }
  if (results == 3) lua_pop(L, 2);
  return 1;
}

static int next_accepted(lua_State *L) {
  art_listener **box = art_listener_self(L, 1);
  asyncrt_op *op = asyncrt_prepare(L, &accept_ops[0], box);

  prepare(L, op, box);
  return art_perform_then(L, op, accepted);
}

static int listener_accepts(lua_State *L) {
  art_listener_self(L, 1);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_pushcclosure(L, next_accepted, 1);
  lua_pushvalue(L, 1);
  return 2;
}

static void prepare_event(lua_State *L, int index, asyncrt_op *op) {
  prepare(L, op, art_box_at(L, index));
}

bool art_is_listener(lua_State *L, int arg) {
  asyncrt_prepare_fn prepare_fn = NULL;

  return art_event_of(L, arg, &prepare_fn) == ART_EVENT_BASE &&
         prepare_fn == prepare_event;
}

art_listener *art_check_listener(lua_State *L, int arg) {
  art_listener **box;

  if (!art_is_listener(L, arg)) luaL_typeerror(L, arg, "listener");
  box = art_box_at(L, arg);
  if (*box == NULL) art_raise_argument(L, arg, "the listener is closed");
  return *box;
}

static void prepare_accept_event(lua_State *L, int index, asyncrt_op *op) {
  lua_getiuservalue(L, index, 1);
  prepare(L, op, art_box_at(L, -1));
}

/* listener:accept_evt() -> event */
static int listener_accept_evt(lua_State *L) {
  art_listener_self(L, 1);
  asyncrt_new_event(L, prepare_accept_event, 0, 1);
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, -2, 1);
  return 1;
}

/* listener:address() -> string | nil, "closed", "ECLOSED"
 *
 * Where it listens: with the real port where port 0 was asked for. */
static int listener_address(lua_State *L) {
  art_listener **box = art_listener_self(L, 1);
  char text[ART_ADDRESS_TEXT];

  if (*box == NULL) return push_closed(L);
  (*box)->type->address(*box, text, sizeof(text));
  lua_pushstring(L, text);
  return 1;
}

/* listener:close() -> true
 *
 * Accepted connections stay open. Tasks that wait for a connection wake with
 * nil, "closed", "ECLOSED". Closing twice does nothing. */
static int listener_close(lua_State *L) {
  art_listener **box = art_listener_self(L, 1);

  if (*box != NULL) art_listener_close(*box);
  lua_pushboolean(L, true);
  return 1;
}

static int listener_gc(lua_State *L) {
  art_listener *listener = *(art_listener **) art_box_at(L, 1);

  if (listener != NULL) {
    art_handle_collected(listener->rt, &listener->handle);
    art_listener_close(listener);
  }
  art_box_drop(L, 1);
  return 0;
}

static int listener_is_closed(lua_State *L) {
  lua_pushboolean(L, *art_listener_self(L, 1) == NULL);
  return 1;
}

static int listener_tostring(lua_State *L) {
  art_listener **box = art_listener_self(L, 1);
  char text[ART_ADDRESS_TEXT] = "closed";

  if (*box != NULL) (*box)->type->address(*box, text, sizeof(text));
  lua_pushfstring(L, "listener (%s)", text);
  return 1;
}

static const luaL_Reg shared_methods[] = {
    {"accept", listener_accept},
    {"accept_evt", listener_accept_evt},
    {"accepts", listener_accepts},
    {"address", listener_address},
    {"is_closed", listener_is_closed},
    {"close", listener_close},
    {NULL, NULL},
};

static const luaL_Reg metamethods[] = {
    {"__gc", listener_gc},
    {"__close", listener_close},
    {"__tostring", listener_tostring},
    {NULL, NULL},
};

art_listener **art_listener_push(lua_State *L, const art_listener_type *type) {
  art_listener **box = art_box_push(L, 0);

  lua_rawgetp(L, LUA_REGISTRYINDEX, type);
  lua_setmetatable(L, -2);
  return box;
}

void art_listener_give(lua_State *L, art_listener **box,
                       art_listener *listener) {
  *box = listener;
  listener->box = box;
  art_box_share(box);
  art_handle_taken(L, &listener->handle);
}

void art_open_listener(lua_State *L, const art_listener_type *type,
                       const luaL_Reg *methods) {
  int found = lua_rawgetp(L, LUA_REGISTRYINDEX, type);

  lua_pop(L, 1);
  if (found != LUA_TNIL) return;
  lua_newtable(L);
  lua_pushvalue(L, -1);
  luaL_setfuncs(L, metamethods, 1);
  art_set_methods(L, shared_methods);
  if (methods != NULL) {
    lua_getfield(L, -1, "__index");
    lua_pushvalue(L, -2);
    luaL_setfuncs(L, methods, 1);
    lua_pop(L, 1);
  }
  lua_pushliteral(L, "listener");
  lua_setfield(L, -2, "__name");
  lua_pushboolean(L, false);
  lua_setfield(L, -2, "__metatable");
  asyncrt_set_event(L, prepare_event);
  lua_rawsetp(L, LUA_REGISTRYINDEX, type);
}
