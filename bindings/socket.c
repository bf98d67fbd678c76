/* Sockets as streams. */
#include "socket.h"

#include "error.h"
#include "runtime.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define SPARE_DESCRIPTORS 32 /* for files, pipes and the libraries' own use */

static int last_error(void) {
  return uv_translate_sys_error(errno);
}

/* --- The count of open sockets --- */

/* Descriptors are the process's, so their count is too. */
static atomic_uint open_sockets;
static _Thread_local art_link starved_list;

unsigned art_socket_count(void) {
  return open_sockets;
}

unsigned art_socket_limit(void) {
  struct rlimit limit;

  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= UINT32_MAX)
    return UINT32_MAX;
  if (limit.rlim_cur <= 2 * SPARE_DESCRIPTORS)
    return (unsigned) (limit.rlim_cur / 2);
  return (unsigned) limit.rlim_cur - SPARE_DESCRIPTORS;
}

void art_starved_add(art_starved *starved) {
  if (starved_list.next == NULL) art_list_init(&starved_list);
  if (art_list_empty(&starved->link))
    art_list_append(&starved_list, &starved->link);
}

void art_starved_remove(art_starved *starved) {
  art_list_remove(&starved->link);
}

/* Tells each that waits, once: it may have to wait again. */
static void count_closed(void) {
  unsigned count = 0;
  art_link *link;

  open_sockets--;
  if (starved_list.next == NULL) return;
  for (link = starved_list.next; link != &starved_list; link = link->next)
    count++;
  for (; count > 0 && !art_list_empty(&starved_list); count--) {
    art_starved *starved =
        art_container_of(starved_list.next, art_starved, link);

    art_list_remove(&starved->link);
    starved->on_free(starved);
  }
}

void art_quota_release(art_quota *quota) {
  if (--quota->users == 0) free(quota);
}

/* --- The stream --- */

static art_socket *socket_of(art_stream *stream) {
  return art_container_of(stream, art_socket, stream);
}

static ssize_t socket_recv(art_stream *stream, char *data, size_t size) {
  ssize_t received;

  do received = recv(stream->watcher.fd, data, size, 0);
  while (received < 0 && errno == EINTR);
  return received < 0 ? last_error() : received;
}

static ssize_t send_parts(int fd, const struct iovec *parts, int count) {
  struct msghdr message = {0};

  message.msg_iov = (struct iovec *) (uintptr_t) parts;
  message.msg_iovlen = (size_t) count;
  return sendmsg(fd, &message, MSG_NOSIGNAL);
}

static ssize_t socket_send(art_stream *stream, const struct iovec *parts,
                           int count) {
  int fd = stream->watcher.fd;
  ssize_t sent;

  do
    sent = count == 1 ? send(fd, parts->iov_base, parts->iov_len, MSG_NOSIGNAL)
                      : send_parts(fd, parts, count);
  while (sent < 0 && errno == EINTR);
  return sent < 0 ? last_error() : sent;
}

static int socket_shutdown(art_stream *stream) {
  /* A peer that has gone already needs no notice. */
  if (shutdown(stream->watcher.fd, SHUT_WR) == 0 || errno == ENOTCONN) return 0;
  return last_error();
}

static int socket_watch(art_stream *stream) {
  return stream->watcher.watched ? 0
                                 : art_poll_add(stream->rt, &stream->watcher);
}

static void socket_close(art_stream *stream, bool reset) {
  art_socket *self = socket_of(stream);
  struct linger now = {1, 0};
  int fd = stream->watcher.fd;

  if (stream->watcher.watched) art_poll_remove(stream->rt, &stream->watcher);
  if (reset) setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
  close(fd);
  if (self->quota != NULL) {
    self->quota->open--;
    art_quota_release(self->quota);
  }
  art_stream_free(stream);
  count_closed();
}

static void socket_address(art_stream *stream, bool peer, char *text,
                           size_t size) {
  art_socket *self = socket_of(stream);
  art_sockaddr address;

  if (!peer) {
    art_socket_address(stream->watcher.fd, false, text, size);
    return;
  }
  memcpy(&address, self->peer, self->peer_length);
  art_address_format(&address.any, self->peer_length, text, size);
  /* Who connects to a path has no name; the path says more. */
  if (strcmp(text, "unix:") == 0)
    art_socket_address(stream->watcher.fd, false, text, size);
}

/* Both directions have ended, by a reset as a rule: a peer that has only said
 * that it sends no more looks the same as one that has closed. */
static bool socket_gone(art_stream *stream) {
  struct pollfd state = {.fd = stream->watcher.fd};

  return poll(&state, 1, 0) > 0;
}

static int socket_set_nodelay(art_stream *stream, bool on) {
  if (!socket_of(stream)->tcp) return UV_ENOTSUP;
  return art_socket_option(stream->watcher.fd, IPPROTO_TCP, TCP_NODELAY, on);
}

static int socket_set_keepalive(art_stream *stream, unsigned seconds) {
  int fd = stream->watcher.fd, value = (int) seconds;
  int error;

  if (!socket_of(stream)->tcp) return UV_ENOTSUP;
  error = art_socket_option(fd, SOL_SOCKET, SO_KEEPALIVE, value > 0);
  if (value == 0 || error != 0) return error;
  error = art_socket_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, value);
  if (error == 0)
    error = art_socket_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, value);
  return error;
}

static const art_stream_type socket_type = {
    .kind = "socket",
    .recv = socket_recv,
    .send = socket_send,
    .shutdown = socket_shutdown,
    .watch = socket_watch,
    .close = socket_close,
    .address = socket_address,
    .gone = socket_gone,
    .set_nodelay = socket_set_nodelay,
    .set_keepalive = socket_set_keepalive,
    .can_splice = true,
};

art_socket *art_socket_new(socklen_t peer_capacity) {
  art_socket *self = calloc(1, sizeof(*self) + peer_capacity);

  if (self != NULL) self->peer_length = self->peer_capacity = peer_capacity;
  return self;
}

void art_socket_open(art_socket *self, asyncrt *rt, int fd, bool tcp,
                     art_quota *quota) {
  self->tcp = tcp;
  self->quota = quota;
  if (quota != NULL) {
    quota->users++;
    quota->open++;
  }
  open_sockets++;
  art_stream_init(&self->stream, rt, &socket_type, fd);
}

int art_socket_option(int fd, int level, int option, int value) {
  return setsockopt(fd, level, option, &value, sizeof(value)) == 0
             ? 0
             : last_error();
}

void art_socket_address(int fd, bool peer, char *text, size_t size) {
  art_sockaddr address;
  socklen_t length = sizeof(address);
  int failed = peer ? getpeername(fd, &address.any, &length)
                    : getsockname(fd, &address.any, &length);

  art_address_format(&address.any, failed ? 0 : length, text, size);
}
