/* Listeners: what gives streams to those who accept them. Sockets and in-memory
 * listeners share the op and the Lua methods. */
#ifndef ART_LISTENER_H
#define ART_LISTENER_H

#include "asyncrt.h"
#include "bindings.h"
#include "box.h"
#include "poller.h"
#include "stream.h"

typedef struct art_listener art_listener;

/* What a kind of listener does. None of these calls Lua. */
typedef struct art_listener_type {
  const char *kind; /* for reports: "listener" */

  /* Takes a connection. Returns 0 or a negative UV_E*; UV_EAGAIN where
   * art_listener_ready will tell. */
  int (*accept)(art_listener *listener, art_stream **stream);

  /* Starts to tell readiness, once, before the first wait. May be NULL. */
  int (*watch)(art_listener *listener);

  /* Releases what the listener has, ends with art_listener_free. */
  void (*close)(art_listener *listener);

  void (*address)(art_listener *listener, char *text, size_t size);
} art_listener_type;

/* What a listener makes of every stream that it accepts, before anyone has it.
 */
typedef struct art_upgrade {
  /* Returns 0, or a negative UV_E* and the stream as it was. */
  int (*apply)(struct art_upgrade *upgrade, art_stream **stream);
  void (*free)(struct art_upgrade *upgrade);
} art_upgrade;

/* Allocated with malloc, as the first member of the kind's own structure. */
struct art_listener {
  art_watcher watcher; /* first: art_poll_free frees what starts with it */
  asyncrt_handle handle;
  const art_listener_type *type; /* borrowed; static */
  asyncrt *rt;                   /* borrowed; outlives it */
  art_listener **box;            /* shared with the Lua object, or NULL */
  asyncrt_queue waiters;         /* FIFO */
  art_upgrade *upgrade;          /* owned; or NULL */
  bool external; /* its ops are completed from outside the process */
  bool watched;
  bool readable;
  bool woken; /* an op that waits alone was completed and has not finished */
};

/* Initialises the zeroed `listener` as an open handle of `rt`. */
void art_listener_init(art_listener *listener, asyncrt *rt,
                       const art_listener_type *type, int fd);

/* Pushes the Lua object of a listener that is yet to come, and gives it: see
 * art_stream_push. */
art_listener **art_listener_push(lua_State *L, const art_listener_type *type);
void art_listener_give(lua_State *L, art_listener **box,
                       art_listener *listener);

/* The box of the object at `arg` of a method: a pointer to the listener, to
 * NULL once it is closed. Raises where there is none. */
static inline art_listener **art_listener_self(lua_State *L, int arg) {
  return art_box_in(art_check_self(L, arg, "listener"));
}

/* Whether there is a listener, open or closed. */
bool art_is_listener(lua_State *L, int arg);
/* The listener at `arg`; raises where there is none, or where it is closed. */
art_listener *art_check_listener(lua_State *L, int arg);

/* Tells that there may be a connection to accept. */
void art_listener_ready(art_listener *listener);

/* Ends all waits for the listener and closes it. */
void art_listener_close(art_listener *listener);

/* Frees the listener, from a type's `close`. */
void art_listener_free(art_listener *listener);

/* Opens the metatable of a kind: art_listener_push needs it. `methods` are more
 * methods, or NULL. */
void art_open_listener(lua_State *L, const art_listener_type *type,
                       const luaL_Reg *methods);

#endif
