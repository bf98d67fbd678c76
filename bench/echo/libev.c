/* An echo server of libev callbacks, one watcher a connection. */
#include <arpa/inet.h>
#include <errno.h>
#include <ev.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct connection {
  ev_io watcher; /* first: a watcher is its connection */
  char *unsent;  /* owned; bytes that the socket had no room for, or NULL */
  size_t length, offset;
};

static char buffer[65536];

static void drop(struct ev_loop *loop, struct connection *c) {
  ev_io_stop(loop, &c->watcher);
  close(c->watcher.fd);
  free(c->unsent);
  free(c);
}

static void wait_for(struct ev_loop *loop, struct connection *c, int events) {
  ev_io_stop(loop, &c->watcher);
  ev_io_set(&c->watcher, c->watcher.fd, events);
  ev_io_start(loop, &c->watcher);
}

static void on_writable(struct ev_loop *loop, struct connection *c) {
  ssize_t n = send(c->watcher.fd, c->unsent + c->offset, c->length - c->offset,
                   MSG_NOSIGNAL);

  if (n < 0) {
    if (errno != EAGAIN) drop(loop, c);
    return;
  }
  c->offset += (size_t) n;
  if (c->offset < c->length) return;
  free(c->unsent);
  c->unsent = NULL;
  wait_for(loop, c, EV_READ);
}

static void on_readable(struct ev_loop *loop, struct connection *c) {
  ssize_t n = recv(c->watcher.fd, buffer, sizeof(buffer), 0), sent;

  if (n <= 0) {
    if (n == 0 || errno != EAGAIN) drop(loop, c);
    return;
  }
  sent = send(c->watcher.fd, buffer, (size_t) n, MSG_NOSIGNAL);
  if (sent < 0 && errno != EAGAIN) {
    drop(loop, c);
    return;
  }
  if (sent < 0) sent = 0;
  if (sent == n) return;
  c->length = (size_t) (n - sent);
  c->offset = 0;
  c->unsent = malloc(c->length);
  if (c->unsent == NULL) abort();
  memcpy(c->unsent, buffer + sent, c->length);
  wait_for(loop, c, EV_WRITE);
}

static void on_event(struct ev_loop *loop, ev_io *watcher, int events) {
  struct connection *c = (struct connection *) watcher;

  if (events & EV_WRITE)
    on_writable(loop, c);
  else
    on_readable(loop, c);
}

static void on_connection(struct ev_loop *loop, ev_io *watcher, int events) {
  int on = 1;

  (void) events;
  for (int fd; (fd = accept4(watcher->fd, NULL, NULL, SOCK_NONBLOCK)) >= 0;) {
    struct connection *c = calloc(1, sizeof(*c));

    if (c == NULL) abort();
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    ev_io_init(&c->watcher, on_event, fd, EV_READ);
    ev_io_start(loop, &c->watcher);
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
  struct ev_loop *loop = ev_default_loop(0);
  int fd = listen_on(argc > 1 ? atoi(argv[1]) : 0);
  ev_io listener;

  ev_io_init(&listener, on_connection, fd, EV_READ);
  ev_io_start(loop, &listener);
  ev_run(loop, 0);
  return 0;
}
