/* Name look-ups: getaddrinfo and getnameinfo on libuv's thread pool, never so
 * many at once that nothing is left for files. */
#ifndef ART_LOOKUP_H
#define ART_LOOKUP_H

#include "address.h"
#include "timer.h"

#define ART_LOOKUP_LIMIT 5.0 /* seconds until a look-up is given up */

typedef struct art_lookups art_lookups; /* of a runtime */

typedef struct art_lookup {
  union {
    uv_getaddrinfo_t names;
    uv_getnameinfo_t reverse;
    uv_req_t any;
  } request;
  asyncrt *rt;          /* borrowed; NULL once it has nothing to do with it */
  art_lookups *lookups; /* shared while the request runs */
  asyncrt_handle handle;
  art_callback_timer limit;
  struct art_lookup *next; /* in the queue of those that have not started */
  void (*on_done)(struct art_lookup *lookup); /* NULL once it was called */
  void *owner;
  int status;                 /* 0 or a negative UV_E* */
  struct addrinfo *addresses; /* owned; the answer, or NULL */
  bool running;               /* the request is libuv's */
  bool released;              /* free it once it is not */
  bool is_reverse;
  int family;               /* AF_UNSPEC, AF_INET, AF_INET6 */
  char host[ART_HOST_TEXT]; /* the question; of a reverse one, the answer */
  art_sockaddr address;     /* the question of a reverse look-up */
} art_lookup;

/* The look-ups of the runtime of L. Raises without memory. */
art_lookups *art_lookups_of(lua_State *L);

/* Starts to look up the addresses of `host`. `on_done` is called once, from the
 * loop, unless the look-up is released before. NULL without memory. */
art_lookup *art_lookup_start(art_lookups *lookups, const char *host, int family,
                             void *owner, void (*on_done)(art_lookup *lookup));

/* Starts to look up the name of an address. */
art_lookup *art_lookup_start_reverse(art_lookups *lookups,
                                     const art_address *address, void *owner,
                                     void (*on_done)(art_lookup *lookup));

/* Gives a look-up back, finished or not. */
void art_lookup_release(art_lookup *lookup);

/* Pushes a query and returns its op, which yields a table of the addresses of
 * `host` as strings, or nil, message, code. */
asyncrt_op *art_lookup_prepare(lua_State *L, const char *host, int family);

/* The same for the name of an address: a string. */
asyncrt_op *art_lookup_prepare_reverse(lua_State *L, const char *text,
                                       const art_address *address);

#endif
