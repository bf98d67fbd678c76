/* net.connect: an op that races the addresses of a host.
 *
 * Source: RFC 8305, with the order of getaddrinfo (RFC 6724), families taking
 * turns, and a new attempt every 250 ms or as soon as one fails. */
#include "net.h"

#include "address.h"
#include "error.h"
#include "lookup.h"
#include "op.h"
#include "options.h"
#include "runtime.h"
#include "socket.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEFAULT_LIMIT 10.0 /* seconds */
#define STAGGER_NS (250 * (uint64_t) ART_NS_PER_MS)
#define UNIX_RETRY_NS (10 * (uint64_t) ART_NS_PER_MS)
#define MOST_CANDIDATES 16

/* What to connect to, and how. */
typedef struct connect_request {
  art_address address;
  art_address local; /* length 0: any */
  double limit;      /* seconds */
} connect_request;

/* Lives in a userdata on the stack of the task that waits. */
typedef struct connecting {
  connect_request request;
  asyncrt *rt;          /* borrowed */
  art_lookups *lookups; /* borrowed */
  art_stream **box;     /* borrowed; the object of the stream to come … */
  int slot;             /* … and its stack index */
  asyncrt_op *op;       /* while armed */
  art_lookup *lookup;   /* owned, or NULL */
  struct addrinfo only; /* the candidate where no look-up is needed */
  const struct addrinfo *candidates[MOST_CANDIDATES]; /* of the look-up */
  art_socket *sockets[MOST_CANDIDATES]; /* owned; attempts in flight, or NULL */
  int count, next, flying;
  art_socket *connected; /* owned; who won, until the object gets it */
  art_callback_timer limit, stagger;
  int error; /* the one to tell if no attempt succeeds */
} connecting;

static int last_error(void) {
  return uv_translate_sys_error(errno);
}

/* --- Candidates --- */

/* Takes the look-up's answer, a family at a time. */
static void add_candidates(connecting *self, const struct addrinfo *answer) {
  const struct addrinfo *first = answer, *other = answer;
  int family = answer != NULL ? answer->ai_family : AF_UNSPEC;

  while ((first != NULL || other != NULL) && self->count < MOST_CANDIDATES) {
    while (first != NULL && first->ai_family != family) first = first->ai_next;
    if (first != NULL) {
      self->candidates[self->count++] = first;
      first = first->ai_next;
    }
    while (other != NULL && other->ai_family == family) other = other->ai_next;
    if (other != NULL && self->count < MOST_CANDIDATES) {
      self->candidates[self->count++] = other;
      other = other->ai_next;
    }
  }
}

static void add_only_candidate(connecting *self) {
  self->only.ai_addr = &self->request.address.socket.any;
  self->only.ai_addrlen = self->request.address.length;
  self->only.ai_family = self->only.ai_addr->sa_family;
  self->candidates[self->count++] = &self->only;
}

/* --- Attempts --- */

static void arm_timer(connecting *self, art_callback_timer *timer,
                      uint64_t at) {
  art_timer_disarm(&self->rt->timers, &timer->timer);
  timer->timer.at = at;
  art_timer_arm(&self->rt->timers, &timer->timer);
}

/* Its place in the heap is the one that is held for the op. */
static void arm_limit(connecting *self, uint64_t at) {
  arm_timer(self, &self->limit, at);
}

/* Returns UV_ENOMEM without memory. */
static int arm_stagger(connecting *self, uint64_t ns) {
  int error = art_timers_reserve(&self->rt->timers, 1);

  if (error == 0) arm_timer(self, &self->stagger, asyncrt_now(self->rt) + ns);
  return error;
}

/* An address of a family that this host has not says less than a refusal. */
static void set_error(connecting *self, int error) {
  switch (error) {
    case UV_ENETUNREACH:
    case UV_EHOSTUNREACH:
    case UV_EADDRNOTAVAIL:
    case UV_EAFNOSUPPORT:
      if (self->error != 0) return;
  }
  self->error = error;
}

/* Ends all that is under way, but for who won. */
static void stop(connecting *self) {
  int i;

  art_timer_disarm(&self->rt->timers, &self->limit.timer);
  art_timer_disarm(&self->rt->timers, &self->stagger.timer);
  for (i = 0; i < self->count; i++) {
    if (self->sockets[i] == NULL) continue;
    art_stream_close(&self->sockets[i]->stream, true);
    self->sockets[i] = NULL;
  }
  self->flying = 0;
  if (self->lookup != NULL) art_lookup_release(self->lookup);
  self->lookup = NULL;
}

static void start_next(connecting *self);

static void drop_attempt(connecting *self, art_socket *socket, int error) {
  int i;

  for (i = 0; self->sockets[i] != socket; i++) continue;
  self->sockets[i] = NULL;
  self->flying--;
  art_stream_close(&socket->stream, true);
  set_error(self, error);
}

static void on_connected(art_watcher *watcher, unsigned events) {
  art_stream *stream = art_container_of(watcher, art_stream, watcher);
  art_socket *socket = art_container_of(stream, art_socket, stream);
  connecting *self = socket->owner;
  int error = 0, i;
  socklen_t length = sizeof(error);

  getsockopt(watcher->fd, SOL_SOCKET, SO_ERROR, &error, &length);
  if (error != 0) {
    drop_attempt(self, socket, uv_translate_sys_error(error));
    start_next(self);
    return;
  }
  if (!(events & ART_WRITABLE)) return;
  for (i = 0; self->sockets[i] != socket; i++) continue;
  self->sockets[i] = NULL;
  self->connected = socket;
  socket->owner = NULL;
  watcher->on_ready = art_stream_on_ready;
  stream->watched = true;
  stream->hangup = (events & ART_HANGUP) != 0;
  asyncrt_op_complete(self->op);
}

static int bind_local(connecting *self, int fd, int family) {
  const art_address *local = &self->request.local;

  if (local->length == 0) return 0;
  if (local->socket.any.sa_family != family) return UV_EADDRNOTAVAIL;
  return bind(fd, &local->socket.any, local->length) == 0 ? 0 : last_error();
}

/* Begins to connect `fd`. Returns a negative UV_E*, with nothing kept. */
static int start_attempt(connecting *self, int index, int fd) {
  const struct addrinfo *to = self->candidates[index];
  bool tcp = to->ai_family != AF_UNIX;
  art_socket *socket;
  int error = bind_local(self, fd, to->ai_family);

  if (error != 0) return error;
  if (tcp) art_socket_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  if (connect(fd, to->ai_addr, to->ai_addrlen) != 0 && errno != EINPROGRESS &&
      errno != EINTR)
    return last_error();
  socket = art_socket_new(to->ai_addrlen);
  if (socket == NULL) return UV_ENOMEM;
  memcpy(socket->peer, to->ai_addr, to->ai_addrlen);
  socket->owner = self;
  socket->stream.watcher.fd = fd;
  socket->stream.watcher.on_ready = on_connected;
  error = art_poll_add(self->rt, &socket->stream.watcher);
  if (error != 0) {
    free(socket);
    return error;
  }
  art_socket_open(socket, self->rt, fd, tcp, NULL);
  socket->stream.watcher.on_ready = on_connected;
  self->sockets[index] = socket;
  self->flying++;
  return 0;
}

static int start_candidate(connecting *self, int index) {
  const struct addrinfo *to = self->candidates[index];
  int fd = socket(to->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  int error;

  if (fd < 0) return last_error();
  error = start_attempt(self, index, fd);
  if (error != 0) close(fd);
  return error;
}

/* Starts attempts until one is under way. Without any the wait is over, which
 * the timer tells: this may run while the op is being armed. */
static void start_next(connecting *self) {
  while (self->next < self->count) {
    int index = self->next, error = start_candidate(self, index);

    if (error == UV_EAGAIN && self->candidates[index]->ai_family == AF_UNIX) {
      error = arm_stagger(self, UNIX_RETRY_NS); /* backlog full */
      if (error == 0) return;
    }
    self->next++;
    if (error == 0) {
      /* Without memory for it the next one waits for the failure of this. */
      if (self->next < self->count) arm_stagger(self, STAGGER_NS);
      return;
    }
    set_error(self, error);
  }
  if (self->flying == 0) arm_limit(self, 0);
}

static void on_stagger(art_callback_timer *timer) {
  start_next(art_container_of(timer, connecting, stagger));
}

/* Too late, or nothing is left to try. */
static void on_limit(art_callback_timer *timer) {
  connecting *self = art_container_of(timer, connecting, limit);

  if (self->flying > 0 || self->error == 0) self->error = UV_ETIMEDOUT;
  asyncrt_op_complete(self->op);
}

static void on_resolved(art_lookup *lookup) {
  connecting *self = lookup->owner;
  int i;

  if (lookup->status != 0) set_error(self, lookup->status);
  add_candidates(self, lookup->addresses);
  for (i = 0; i < self->count; i++)
    art_address_set_port(self->candidates[i]->ai_addr,
                         self->request.address.port);
  if (self->count == 0 && self->error == 0) self->error = UV_EAI_NONAME;
  start_next(self);
}

/* --- The op. object = the userdata; slot = the text of the address. --- */

static int connect_attempt(asyncrt_op *op, lua_State *L) {
  (void) op;
  (void) L;
  return ASYNCRT_NOT_READY;
}

static void connect_arm(asyncrt_op *op) {
  connecting *self = op->object;
  uint64_t now = asyncrt_now(self->rt);

  self->op = op;
  arm_limit(self, art_deadline(now, self->request.limit));
  if (self->request.address.kind != ART_ADDRESS_NAME) {
    add_only_candidate(self);
    start_next(self);
    return;
  }
  self->lookup = art_lookup_start(self->lookups, self->request.address.host,
                                  AF_UNSPEC, self, on_resolved);
  if (self->lookup != NULL) return;
  self->error = UV_ENOMEM;
  start_next(self);
}

static void connect_disarm(asyncrt_op *op) {
  connecting *self = op->object;

  self->op = NULL;
  stop(self);
}

static int connect_finish(asyncrt_op *op, lua_State *L) {
  connecting *self = op->object;
  art_socket *socket = self->connected;

  if (socket == NULL)
    return asyncrt_push_error(L, "connect", lua_tostring(L, op->slot),
                              self->error);
  art_stream_give(L, self->box, &socket->stream);
  lua_pushvalue(L, self->slot);
  return 1;
}

static void connect_describe(const asyncrt_op *op, char *text, size_t size) {
  const connecting *self = op->object;
  char address[ART_ADDRESS_TEXT];

  if (self->request.address.kind == ART_ADDRESS_NAME)
    snprintf(text, size, "connect %s:%u", self->request.address.host,
             self->request.address.port);
  else {
    art_address_format(&self->request.address.socket.any,
                       self->request.address.length, address, sizeof(address));
    snprintf(text, size, "connect %s", address);
  }
}

static const asyncrt_op_type connect_op = {
    "connect",      connect_attempt,  connect_arm,         connect_disarm,
    connect_finish, connect_describe, ASYNCRT_OP_EXTERNAL,
};

/* --- Lua --- */

/* Pushes the object of the stream to come, and the state of an attempt to
 * connect. */
static connecting *push_connecting(lua_State *L,
                                   const connect_request *request) {
  art_lookups *lookups = art_lookups_of(L);
  art_stream **box = art_stream_push(L);
  connecting *self = lua_newuserdatauv(L, sizeof(*self), 0);

  memset(self, 0, sizeof(*self));
  self->box = box;
  self->slot = lua_gettop(L) - 1;
  self->request = *request;
  self->rt = art_runtime_of(L);
  self->lookups = lookups;
  self->limit.timer.kind = ART_TIMER_CALLBACK;
  self->limit.fire = on_limit;
  self->stagger.timer.kind = ART_TIMER_CALLBACK;
  self->stagger.fire = on_stagger;
  return self;
}

static connect_request read_request(lua_State *L) {
  static const char *const names[] = {"timeout", "local_address", "tls", NULL};
  connect_request request;
  const char *local;

  memset(&request, 0, sizeof(request));
  art_check_address(L, 1, &request.address);
  art_check_options(L, 2, names);
  request.limit = art_option_seconds(L, 2, "timeout", DEFAULT_LIMIT);
  if (lua_type(L, 2) != LUA_TTABLE ||
      lua_getfield(L, 2, "local_address") == LUA_TNIL)
    return request;
  local = lua_tostring(L, -1);
  if (local == NULL || (!art_address_parse_ip(local, 0, &request.local) &&
                        (art_address_parse(local, &request.local) != NULL ||
                         request.local.kind != ART_ADDRESS_IP)))
    art_raise_argument(L, 2, "option 'local_address': IP address expected");
  lua_pop(L, 1);
  return request;
}

/* Makes a stream of an inherited connected socket. */
static int adopt(lua_State *L, int fd) {
  art_stream **box = art_stream_push(L);
  int type = 0, flags = fcntl(fd, F_GETFL);
  socklen_t length = sizeof(type);
  art_sockaddr peer = {0};
  art_socket *socket;

  if (flags < 0 || getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) != 0)
    goto fail;
  length = sizeof(peer);
  if (getpeername(fd, &peer.any, &length) != 0) goto fail;
  if (type != SOCK_STREAM) {
    errno = EINVAL;
    goto fail;
  }
  socket = art_socket_new(length);
  if (socket == NULL) goto fail;
  if (fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ||
      fcntl(fd, F_SETFD, FD_CLOEXEC) < 0) {
    free(socket);
    goto fail;
  }
  memcpy(socket->peer, &peer, length);
  art_socket_open(socket, art_runtime_of(L), fd, peer.any.sa_family != AF_UNIX,
                  NULL);
  art_stream_give(L, box, &socket->stream);
  return 1;
fail:
  return asyncrt_push_error(L, "connect", lua_tostring(L, 1), last_error());
}

/* net.connect(address [, {timeout = 10, local_address=, tls=}])
 *   -> stream | nil, message, code
 *
 * Waits until connected, at most `timeout` seconds. The addresses of a host
 * name are tried one 250 ms after the other, the first that answers wins. */
static int net_connect(lua_State *L) {
  connect_request request = read_request(L);
  asyncrt_op *op;

  if (art_net_wants_tls(L)) return art_net_call_tls(L, "connect");
  if (request.address.kind == ART_ADDRESS_FD)
    return adopt(L, request.address.fd);
  op = asyncrt_prepare(L, &connect_op, push_connecting(L, &request));
  op->slot = 1;
  return asyncrt_perform(L, op);
}

static void prepare_event(lua_State *L, int index, asyncrt_op *op) {
  op->type = &connect_op;
  op->object = push_connecting(L, asyncrt_event_data(L, index));
  lua_getiuservalue(L, index, 1);
  op->slot = lua_gettop(L);
}

/* net.connect_evt(address [, options]) -> event
 *
 * The same as an event; each sync connects anew. One that is not chosen closes
 * its socket: the other side may have seen it. */
static int net_connect_evt(lua_State *L) {
  connect_request request = read_request(L);

  if (request.address.kind == ART_ADDRESS_FD)
    art_raise_argument(L, 1, "an inherited socket is connected already");
  if (art_net_wants_tls(L)) return art_net_call_tls(L, "connect_evt");
  memcpy(asyncrt_new_event(L, prepare_event, sizeof(request), 1), &request,
         sizeof(request));
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, -2, 1);
  return 1;
}

const luaL_Reg art_connect_functions[] = {
    {"connect", net_connect},
    {"connect_evt", net_connect_evt},
    {NULL, NULL},
};
