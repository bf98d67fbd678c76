/* net.listen: sockets that accept connections. */
#include "net.h"

#include "address.h"
#include "error.h"
#include "listener.h"
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
#include <sys/stat.h>
#include <unistd.h>

#define DEFAULT_CONNECTIONS 10000
#define RETRY_NS (100 * (uint64_t) ART_NS_PER_MS) /* without a descriptor */
#define MESSAGE_NS ART_NS_PER_SECOND /* between two messages about it */

typedef struct socket_listener {
  art_listener listener; /* first */
  art_quota *quota;      /* shared with its connections */
  art_socket *spare;     /* owned; for the next connection, or NULL */
  art_starved starved;
  art_callback_timer retry;
  uint64_t last_message;
  unsigned process_limit; /* open sockets of the whole process */
  int family;
  dev_t device; /* of the path of a Unix socket, which is removed at the end */
  ino_t inode;
  char *path; /* owned; or NULL */
} socket_listener;

static socket_listener *self_of(art_listener *listener) {
  return art_container_of(listener, socket_listener, listener);
}

static int last_error(void) {
  return uv_translate_sys_error(errno);
}

/* --- Accepting --- */

/* Waits for a socket to be closed, here or, what no one tells, elsewhere. */
static int starve(socket_listener *self, const char *reason) {
  asyncrt *rt = self->listener.rt;
  uint64_t now = asyncrt_now(rt);
  char address[ART_ADDRESS_TEXT];

  if (self->last_message == 0 || now - self->last_message >= MESSAGE_NS) {
    self->last_message = now;
    art_socket_address(self->listener.watcher.fd, false, address,
                       sizeof(address));
    art_log("accept %s: %s; waiting until a connection is closed", address,
            reason);
  }
  art_starved_add(&self->starved);
  if (self->retry.timer.heap_index == 0) {
    self->retry.timer.at = now + RETRY_NS;
    art_timer_arm(&rt->timers, &self->retry.timer);
  }
  return UV_EAGAIN;
}

static void relieve(socket_listener *self) {
  art_starved_remove(&self->starved);
  art_timer_disarm(&self->listener.rt->timers, &self->retry.timer);
}

static bool is_full(const socket_listener *self) {
  return self->quota->open >= self->quota->limit ||
         art_socket_count() >= self->process_limit;
}

/* A socket is being closed, maybe in the middle of the disarming of a wait that
 * has an arm here: the listener looks again from the timer. */
static void on_free(art_starved *starved) {
  socket_listener *self = art_container_of(starved, socket_listener, starved);
  art_timers *timers = &self->listener.rt->timers;

  if (is_full(self)) {
    art_starved_add(starved);
    return;
  }
  art_timer_disarm(timers, &self->retry.timer);
  self->retry.timer.at = 0;
  art_timer_arm(timers, &self->retry.timer);
}

static void on_retry(art_callback_timer *timer) {
  socket_listener *self = art_container_of(timer, socket_listener, retry);

  relieve(self);
  art_listener_ready(&self->listener);
}

/* Whether a failure of accept4 concerns one connection, which is gone. Linux
 * passes pending errors of the new socket on to accept. */
static bool is_of_connection(int error) {
  switch (error) {
    case EINTR:
    case ECONNABORTED:
    case EPROTO:
    case ENOPROTOOPT:
    case EPERM:
    case ETIMEDOUT:
    case ENETDOWN:
    case ENETUNREACH:
    case EHOSTDOWN:
    case EHOSTUNREACH:
    case ENONET: return true;
    default: return false;
  }
}

static socklen_t address_size(int family) {
  return family == AF_INET    ? sizeof(struct sockaddr_in)
         : family == AF_INET6 ? sizeof(struct sockaddr_in6)
                              : sizeof(struct sockaddr_un);
}

/* The structure is allocated first: without memory no connection is lost. */
static int socket_accept(art_listener *listener, art_stream **stream) {
  socket_listener *self = self_of(listener);
  art_socket *socket;
  int fd;

  if (is_full(self)) return starve(self, "too many connections");
  if (self->spare == NULL) {
    self->spare = art_socket_new(address_size(self->family));
    if (self->spare == NULL) return starve(self, "not enough memory");
  }
  socket = self->spare;
  do {
    socket->peer_length = socket->peer_capacity;
    fd = accept4(listener->watcher.fd, (struct sockaddr *) socket->peer,
                 &socket->peer_length, SOCK_NONBLOCK | SOCK_CLOEXEC);
  } while (fd < 0 && is_of_connection(errno));
  if (fd < 0) {
    if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS ||
        errno == ENOMEM)
      return starve(self, uv_strerror(last_error()));
    return last_error();
  }
  if (socket->peer_length > socket->peer_capacity)
    socket->peer_length = socket->peer_capacity;
  self->spare = NULL;
  art_socket_open(socket, listener->rt, fd, self->family != AF_UNIX,
                  self->quota);
  *stream = &socket->stream;
  return 0;
}

static int socket_watch(art_listener *listener) {
  return art_poll_add(listener->rt, &listener->watcher);
}

/* Removes the path of a Unix socket, unless it is another's by now. */
static void remove_path(socket_listener *self) {
  struct stat status;

  if (self->path == NULL) return;
  if (stat(self->path, &status) == 0 && status.st_dev == self->device &&
      status.st_ino == self->inode)
    unlink(self->path);
  free(self->path);
}

static void socket_close(art_listener *listener) {
  socket_listener *self = self_of(listener);

  relieve(self);
  art_timers_release(&listener->rt->timers, 1);
  if (listener->watcher.watched)
    art_poll_remove(listener->rt, &listener->watcher);
  remove_path(self);
  close(listener->watcher.fd);
  art_quota_release(self->quota);
  free(self->spare);
  art_listener_free(listener);
}

static void socket_address(art_listener *listener, char *text, size_t size) {
  art_socket_address(listener->watcher.fd, false, text, size);
}

static const art_listener_type socket_type = {
    "listener", socket_accept, socket_watch, socket_close, socket_address,
};

/* --- Listening --- */

typedef struct listen_options {
  int backlog;
  bool reuse_port;
  unsigned max_connections;
} listen_options;

static int set_options(int fd, const art_address *address,
                       const listen_options *options) {
  int error;

  if (address->kind == ART_ADDRESS_UNIX) return 0;
  error = art_socket_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
  if (error == 0 && options->reuse_port)
    error = art_socket_option(fd, SOL_SOCKET, SO_REUSEPORT, 1);
  /* "[::]" takes IPv4 too, whatever the system's default is. */
  if (error == 0 && address->socket.any.sa_family == AF_INET6)
    error = art_socket_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
  /* Linux: accepted sockets inherit it. */
  if (error == 0) error = art_socket_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  return error;
}

/* Whether a path is a socket whose server has gone. Connecting to a file that
 * is no socket is refused too. */
static bool is_stale(const art_address *address) {
  struct stat status;
  bool stale;
  int fd;

  if (lstat(address->socket.un.sun_path, &status) != 0 ||
      !S_ISSOCK(status.st_mode))
    return false;
  fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return false;
  stale = connect(fd, &address->socket.any, address->length) != 0 &&
          errno == ECONNREFUSED;
  close(fd);
  return stale;
}

static int bind_address(int fd, const art_address *address) {
  if (bind(fd, &address->socket.any, address->length) == 0) return 0;
  if (errno != EADDRINUSE || address->kind != ART_ADDRESS_UNIX ||
      address->socket.un.sun_path[0] == '\0' || !is_stale(address))
    return last_error();
  unlink(address->socket.un.sun_path);
  return bind(fd, &address->socket.any, address->length) == 0 ? 0
                                                              : last_error();
}

/* An inherited descriptor that listens already. */
static int adopt(int fd) {
  int listens = 0;
  socklen_t length = sizeof(listens);
  int flags = fcntl(fd, F_GETFL);

  if (flags < 0 || getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &length))
    return last_error();
  if (!listens) return UV_EINVAL;
  if (fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ||
      fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
    return last_error();
  return fd;
}

/* Returns a listening descriptor or a negative UV_E*. */
static int open_socket(const art_address *address,
                       const listen_options *options) {
  int fd, error;

  if (address->kind == ART_ADDRESS_FD) return adopt(address->fd);
  fd = socket(address->socket.any.sa_family,
              SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return last_error();
  error = set_options(fd, address, options);
  if (error == 0) error = bind_address(fd, address);
  if (error == 0 && listen(fd, options->backlog) != 0) error = last_error();
  if (error == 0) return fd;
  close(fd);
  return error;
}

static int family_of(int fd) {
  art_sockaddr address = {0};
  socklen_t length = sizeof(address);

  if (getsockname(fd, &address.any, &length) != 0) return AF_UNSPEC;
  return address.any.sa_family;
}

static void remember_path(socket_listener *self, const art_address *address) {
  const char *path = address->socket.un.sun_path;
  struct stat status;

  if (address->kind != ART_ADDRESS_UNIX || path[0] == '\0' ||
      stat(path, &status) != 0)
    return;
  self->device = status.st_dev;
  self->inode = status.st_ino;
  self->path = strdup(path);
}

/* NULL without memory. */
static socket_listener *new_listener(asyncrt *rt, int fd,
                                     const art_address *address,
                                     const listen_options *options) {
  socket_listener *self = calloc(1, sizeof(*self));
  art_quota *quota = calloc(1, sizeof(*quota));

  if (self == NULL || quota == NULL || art_timers_hold(&rt->timers, 1) != 0) {
    free(self);
    free(quota);
    return NULL;
  }
  quota->users = 1;
  quota->limit = options->max_connections;
  self->quota = quota;
  self->process_limit = art_socket_limit();
  self->family = family_of(fd);
  art_list_init(&self->starved.link);
  self->starved.on_free = on_free;
  self->retry.timer.kind = ART_TIMER_CALLBACK;
  self->retry.fire = on_retry;
  remember_path(self, address);
  art_listener_init(&self->listener, rt, &socket_type, fd);
  return self;
}

static int listen_at(lua_State *L, const char *text, const art_address *address,
                     const listen_options *options) {
  art_listener **box = art_listener_push(L, &socket_type);
  int fd = open_socket(address, options);
  socket_listener *self;

  if (fd < 0) return asyncrt_push_error(L, "listen", text, fd);
  self = new_listener(art_runtime_of(L), fd, address, options);
  if (self == NULL) {
    if (address->kind != ART_ADDRESS_FD) close(fd);
    return asyncrt_push_error(L, "listen", text, UV_ENOMEM);
  }
  art_listener_give(L, box, &self->listener);
  return 1;
}

static listen_options read_options(lua_State *L) {
  static const char *const names[] = {"backlog", "reuseport", "max_connections",
                                      "tls", NULL};
  listen_options options;

  art_check_options(L, 2, names);
  options.backlog =
      (int) art_option_integer(L, 2, "backlog", 1, 65535, SOMAXCONN);
  options.reuse_port = art_option_boolean(L, 2, "reuseport", false);
  options.max_connections = (unsigned) art_option_integer(
      L, 2, "max_connections", 1, INT32_MAX, DEFAULT_CONNECTIONS);
  return options;
}

/* The look-up of the name at 1 is done. */
static int listen_resolved(lua_State *L, int results) {
  const char *text = lua_tostring(L, 1);
  listen_options options = read_options(L);
  art_address address;
  uint16_t port;

  if (results != 1) return results;
  art_address_parse(text, &address);
  port = address.port;
  lua_rawgeti(L, -1, 1);
  if (!art_address_parse_ip(lua_tostring(L, -1), port, &address))
    return asyncrt_push_error(L, "listen", text, UV_EAI_NONAME);
  return listen_at(L, text, &address, &options);
}

/* net.listen(address [, {backlog=, reuseport=, max_connections=, tls=}])
 *   -> listener | nil, message, code
 *
 * Listens for connections; waits only to look up a host name. `max_connections`
 * (10,000, and in any case fewer than the process may open) bounds the accepted
 * connections that are open at once: the rest waits in the kernel. */
static int net_listen(lua_State *L) {
  art_address address;
  listen_options options;

  art_check_address(L, 1, &address);
  options = read_options(L);
  if (art_net_wants_tls(L)) return art_net_call_tls(L, "listen");
  if (address.kind == ART_ADDRESS_NAME)
    return art_perform_then(L, art_lookup_prepare(L, address.host, AF_UNSPEC),
                            listen_resolved);
  return listen_at(L, lua_tostring(L, 1), &address, &options);
}

const luaL_Reg art_listen_functions[] = {
    {"listen", net_listen},
    {NULL, NULL},
};

void art_open_listen(lua_State *L) {
  art_open_listener(L, &socket_type, NULL);
}
