/* An echo server on epoll alone, level-triggered: what the kernel allows. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

struct connection {
  int fd;
  char *unsent; /* owned; bytes that the socket had no room for, or NULL */
  size_t length, offset;
};

static int epoll_fd;
static char buffer[65536];

static void watch(struct connection *c, int operation, unsigned events) {
  struct epoll_event event = {.events = events, .data.ptr = c};

  epoll_ctl(epoll_fd, operation, c->fd, &event);
}

static void drop(struct connection *c) {
  close(c->fd);
  free(c->unsent);
  free(c);
}

static void on_writable(struct connection *c) {
  ssize_t n =
      send(c->fd, c->unsent + c->offset, c->length - c->offset, MSG_NOSIGNAL);

  if (n < 0) {
    if (errno != EAGAIN) drop(c);
    return;
  }
  c->offset += (size_t) n;
  if (c->offset < c->length) return;
  free(c->unsent);
  c->unsent = NULL;
  watch(c, EPOLL_CTL_MOD, EPOLLIN);
}

/* Reads no more until the kept bytes are sent: the client has to slow down. */
static void keep(struct connection *c, const char *data, size_t length) {
  c->unsent = malloc(length);
  if (c->unsent == NULL) abort();
  memcpy(c->unsent, data, length);
  c->length = length;
  c->offset = 0;
  watch(c, EPOLL_CTL_MOD, EPOLLOUT);
}

static void on_readable(struct connection *c) {
  ssize_t n = recv(c->fd, buffer, sizeof(buffer), 0), sent;

  if (n <= 0) {
    if (n == 0 || errno != EAGAIN) drop(c);
    return;
  }
  sent = send(c->fd, buffer, (size_t) n, MSG_NOSIGNAL);
  if (sent < 0 && errno != EAGAIN) {
    drop(c);
    return;
  }
  if (sent < 0) sent = 0;
  if (sent < n) keep(c, buffer + sent, (size_t) (n - sent));
}

static void on_connection(int listener) {
  int on = 1;

  for (int fd; (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0;) {
    struct connection *c = calloc(1, sizeof(*c));

    if (c == NULL) abort();
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    c->fd = fd;
    watch(c, EPOLL_CTL_ADD, EPOLLIN);
  }
}

static int listen_on(int port) {
  struct sockaddr_in address = {.sin_family = AF_INET};
  int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

  address.sin_port = htons((uint16_t) port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  if (bind(fd, (struct sockaddr *) &address, sizeof(address)) != 0 ||
      listen(fd, 1024) != 0) {
    perror("listen");
    exit(1);
  }
  return fd;
}

int main(int argc, char **argv) {
  static struct epoll_event events[1024];
  struct connection listener = {.fd = listen_on(argc > 1 ? atoi(argv[1]) : 0)};

  epoll_fd = epoll_create1(0);
  watch(&listener, EPOLL_CTL_ADD, EPOLLIN);
  for (;;) {
    int n = epoll_wait(epoll_fd, events, 1024, -1);

    for (int i = 0; i < n; i++) {
      struct connection *c = events[i].data.ptr;

      if (c == &listener)
        on_connection(c->fd);
      else if (c->unsent != NULL)
        on_writable(c);
      else
        on_readable(c);
    }
  }
}
