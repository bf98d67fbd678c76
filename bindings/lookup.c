/* Name look-ups on libuv's thread pool. */
#include "lookup.h"

#include "error.h"
#include "runtime.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_POOL 4 /* libuv's threads, unless the environment says more */

/* Outlives the Lua state where a request does: see art_lookup_release. */
struct art_lookups {
  asyncrt *rt;    /* borrowed */
  unsigned users; /* the Lua state, and each request that runs */
  unsigned running, most;
  art_lookup *first, *last; /* those that wait to start */
};

static const char lookups_key; /* their addresses are keys in the registry */
static const char query_key;

static unsigned pool_size(void) {
  const char *text = getenv("UV_THREADPOOL_SIZE");
  long size = text != NULL ? strtol(text, NULL, 10) : DEFAULT_POOL;

  return size < 1 ? 1 : size > 1024 ? 1024 : (unsigned) size;
}

static void release_lookups(art_lookups *lookups) {
  if (lookups != NULL && --lookups->users == 0) free(lookups);
}

static int lookups_gc(lua_State *L) {
  art_lookups **box = lua_touserdata(L, 1);

  release_lookups(*box);
  *box = NULL;
  return 0;
}

static void push_lookups(lua_State *L) {
  art_lookups **box = lua_newuserdatauv(L, sizeof(art_lookups *), 0);

  *box = NULL;
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, lookups_gc);
  lua_setfield(L, -2, "__gc");
  lua_setmetatable(L, -2);
  *box = calloc(1, sizeof(**box));
  if (*box == NULL) art_raise(L, "not enough memory");
  (*box)->rt = art_runtime_of(L);
  (*box)->users = 1;
  (*box)->most = pool_size() > 1 ? pool_size() - 1 : 1;
}

art_lookups *art_lookups_of(lua_State *L) {
  art_lookups *lookups;

  if (art_runtime_of(L)->closed) art_raise(L, "the runtime is closed");
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &lookups_key) != LUA_TUSERDATA) {
    lua_pop(L, 1);
    push_lookups(L);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &lookups_key);
  }
  lookups = *(art_lookups **) lua_touserdata(L, -1);
  lua_pop(L, 1);
  return lookups;
}

/* --- One look-up --- */

static void destroy(art_lookup *lookup) {
  if (lookup->rt != NULL) {
    art_timer_disarm(&lookup->rt->timers, &lookup->limit.timer);
    asyncrt_handle_closed(lookup->rt, &lookup->handle);
  }
  uv_freeaddrinfo(lookup->addresses);
  free(lookup);
}

/* Tells the owner, once. */
static void finish(art_lookup *lookup, int status) {
  void (*on_done)(art_lookup *) = lookup->on_done;

  if (on_done == NULL) return;
  lookup->on_done = NULL;
  lookup->status = status;
  art_timer_disarm(&lookup->rt->timers, &lookup->limit.timer);
  on_done(lookup);
}

static void start_queued(art_lookups *lookups);

/* The request is over; the owner may have gone. */
static void end_request(art_lookup *lookup, int status) {
  art_lookups *lookups = lookup->lookups;

  lookup->running = false;
  lookups->running--;
  start_queued(lookups);
  if (lookup->released)
    destroy(lookup);
  else
    finish(lookup, status);
  release_lookups(lookups);
}

static void on_addresses(uv_getaddrinfo_t *request, int status,
                         struct addrinfo *addresses) {
  art_lookup *lookup = art_container_of(request, art_lookup, request.names);

  lookup->addresses = addresses;
  end_request(lookup, status);
}

static void on_name(uv_getnameinfo_t *request, int status, const char *host,
                    const char *service) {
  art_lookup *lookup = art_container_of(request, art_lookup, request.reverse);

  (void) service;
  if (status == 0) {
    snprintf(lookup->host, sizeof(lookup->host), "%s", host);
  }
  end_request(lookup, status);
}

static int start_request(art_lookup *lookup) {
  struct addrinfo hints = {0};
  uv_loop_t *loop = asyncrt_loop(lookup->rt);

  if (lookup->is_reverse)
    return uv_getnameinfo(loop, &lookup->request.reverse, on_name,
                          &lookup->address.any, NI_NAMEREQD);
  hints.ai_family = lookup->family;
  hints.ai_socktype = SOCK_STREAM;
  return uv_getaddrinfo(loop, &lookup->request.names, on_addresses,
                        lookup->host, NULL, &hints);
}

static void start_queued(art_lookups *lookups) {
  while (lookups->running < lookups->most && lookups->first != NULL) {
    art_lookup *lookup = lookups->first;
    int error;

    lookups->first = lookup->next;
    if (lookups->first == NULL) lookups->last = NULL;
    error = start_request(lookup);
    if (error == 0) {
      lookup->running = true;
      lookups->running++;
      lookups->users++;
      asyncrt_loop_changed(lookups->rt);
    } else {
      /* Told by the timer, for the owner does not expect it yet. */
      lookup->status = error;
      art_timer_disarm(&lookups->rt->timers, &lookup->limit.timer);
      lookup->limit.timer.at = 0;
      art_timer_arm(&lookups->rt->timers, &lookup->limit.timer);
    }
  }
}

static void unqueue(art_lookup *lookup) {
  art_lookup **link = &lookup->lookups->first, *last = NULL;

  while (*link != NULL && *link != lookup) {
    last = *link;
    link = &last->next;
  }
  if (*link == NULL) return;
  *link = lookup->next;
  if (lookup->lookups->last == lookup) lookup->lookups->last = last;
}

static void on_limit(art_callback_timer *timer) {
  art_lookup *lookup = art_container_of(timer, art_lookup, limit);

  unqueue(lookup);
  finish(lookup, lookup->status != 0 ? lookup->status : UV_ETIMEDOUT);
}

static void on_handle_close(asyncrt_handle *handle) {
  art_lookup *lookup = art_container_of(handle, art_lookup, handle);

  if (!lookup->released) art_lookup_release(lookup);
}

void art_lookup_release(art_lookup *lookup) {
  lookup->on_done = NULL;
  unqueue(lookup);
  if (!lookup->running) {
    destroy(lookup);
    return;
  }
  lookup->released = true;
  art_timer_disarm(&lookup->rt->timers, &lookup->limit.timer);
  if (uv_cancel(&lookup->request.any) == 0) return; /* no thread has begun it */
  /* A thread that asks servers which do not answer may take a minute: the end
   * of the run does not wait for that, nor does the runtime live so long. */
  asyncrt_handle_closed(lookup->rt, &lookup->handle);
  lookup->rt = NULL;
}

static art_lookup *new_lookup(art_lookups *lookups, void *owner,
                              void (*on_done)(art_lookup *)) {
  art_lookup *lookup = calloc(1, sizeof(*lookup));
  asyncrt *rt = lookups->rt;

  if (lookup == NULL) return NULL;
  if (art_timers_reserve(&rt->timers, 1) != 0) {
    free(lookup);
    return NULL;
  }
  lookup->rt = rt;
  lookup->lookups = lookups;
  lookup->owner = owner;
  lookup->on_done = on_done;
  lookup->limit.timer.kind = ART_TIMER_CALLBACK;
  lookup->limit.timer.at = art_deadline(asyncrt_now(rt), ART_LOOKUP_LIMIT);
  lookup->limit.fire = on_limit;
  asyncrt_handle_opened(rt, &lookup->handle, "look-up", on_handle_close);
  art_timer_arm(&rt->timers, &lookup->limit.timer);
  return lookup;
}

static void enqueue(art_lookups *lookups, art_lookup *lookup) {
  if (lookups->last != NULL)
    lookups->last->next = lookup;
  else
    lookups->first = lookup;
  lookups->last = lookup;
  start_queued(lookups);
}

art_lookup *art_lookup_start(art_lookups *lookups, const char *host, int family,
                             void *owner, void (*on_done)(art_lookup *)) {
  art_lookup *lookup = new_lookup(lookups, owner, on_done);

  if (lookup == NULL) return NULL;
  lookup->family = family;
  snprintf(lookup->host, sizeof(lookup->host), "%s", host);
  enqueue(lookups, lookup);
  return lookup;
}

art_lookup *art_lookup_start_reverse(art_lookups *lookups,
                                     const art_address *address, void *owner,
                                     void (*on_done)(art_lookup *)) {
  art_lookup *lookup = new_lookup(lookups, owner, on_done);

  if (lookup == NULL) return NULL;
  lookup->is_reverse = true;
  lookup->address = address->socket;
  enqueue(lookups, lookup);
  return lookup;
}

/* --- The op. object = the query, a userdata. --- */

typedef struct query {
  art_lookups *lookups;
  art_lookup *lookup; /* owned; NULL before it is started and after its end */
  asyncrt_op *op;     /* while armed */
  bool is_reverse;
  int family;
  char host[ART_HOST_TEXT]; /* or the text of the address */
  art_address address;
} query;

static void on_query_done(art_lookup *lookup) {
  query *self = lookup->owner;

  asyncrt_op_complete(self->op);
}

static void query_drop(query *self) {
  if (self->lookup != NULL) art_lookup_release(self->lookup);
  self->lookup = NULL;
}

static int query_gc(lua_State *L) {
  query_drop(lua_touserdata(L, 1));
  return 0;
}

/* Starts what the arm waits for: nothing is told before the loop runs. */
static int query_attempt(asyncrt_op *op, lua_State *L) {
  query *self = op->object;

  query_drop(self);
  self->lookup = self->is_reverse
                     ? art_lookup_start_reverse(self->lookups, &self->address,
                                                self, on_query_done)
                     : art_lookup_start(self->lookups, self->host, self->family,
                                        self, on_query_done);
  if (self->lookup != NULL) return ASYNCRT_NOT_READY;
  return ASYNCRT_DONE(asyncrt_push_error(L, "resolve", self->host, UV_ENOMEM));
}

static void query_arm(asyncrt_op *op) {
  query *self = op->object;

  self->op = op;
}

static void query_disarm(asyncrt_op *op) {
  query *self = op->object;

  self->op = NULL;
  if (op->wait->state == ART_WAIT_ABANDONED) query_drop(self);
}

static void push_addresses(lua_State *L, const struct addrinfo *answer) {
  char text[INET6_ADDRSTRLEN];
  lua_Integer count = 0;

  lua_newtable(L);
  for (; answer != NULL; answer = answer->ai_next) {
    const void *address = answer->ai_addr;
    int failed = answer->ai_family == AF_INET
                     ? uv_ip4_name(address, text, sizeof(text))
                     : uv_ip6_name(address, text, sizeof(text));

    if (failed) continue;
    lua_pushstring(L, text);
    lua_rawseti(L, -2, ++count);
  }
}

static int query_finish(asyncrt_op *op, lua_State *L) {
  query *self = op->object;
  art_lookup *lookup = self->lookup;
  int results = 1;

  if (lookup->status != 0)
    results = asyncrt_push_error(L, self->is_reverse ? "reverse" : "resolve",
                                 self->host, lookup->status);
  else if (self->is_reverse)
    lua_pushstring(L, lookup->host);
  else
    push_addresses(L, lookup->addresses);
  query_drop(self);
  return results;
}

static void query_describe(const asyncrt_op *op, char *text, size_t size) {
  const query *self = op->object;

  snprintf(text, size, "%s %s", op->type->name, self->host);
}

static const asyncrt_op_type query_op = {
    "resolve",    query_attempt,  query_arm,           query_disarm,
    query_finish, query_describe, ASYNCRT_OP_EXTERNAL,
};

static asyncrt_op *prepare(lua_State *L, const char *text, query **pushed) {
  art_lookups *lookups = art_lookups_of(L);
  query *self = lua_newuserdatauv(L, sizeof(*self), 0);

  memset(self, 0, sizeof(*self));
  self->lookups = lookups;
  snprintf(self->host, sizeof(self->host), "%s", text);
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &query_key) == LUA_TNIL) {
    lua_pop(L, 1);
    lua_newtable(L);
    lua_pushcfunction(L, query_gc);
    lua_setfield(L, -2, "__gc");
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &query_key);
  }
  lua_setmetatable(L, -2);
  *pushed = self;
  return asyncrt_prepare(L, &query_op, self);
}

asyncrt_op *art_lookup_prepare(lua_State *L, const char *host, int family) {
  query *self;
  asyncrt_op *op = prepare(L, host, &self);

  self->family = family;
  return op;
}

asyncrt_op *art_lookup_prepare_reverse(lua_State *L, const char *text,
                                       const art_address *address) {
  query *self;
  asyncrt_op *op = prepare(L, text, &self);

  self->is_reverse = true;
  self->address = *address;
  return op;
}
