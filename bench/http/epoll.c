/* HTTP on epoll alone: whatever ends with an empty line is answered with the
 * same bytes. What the kernel allows; no server. */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

static const char response[] = "HTTP/1.1 200 OK\r\n"
                               "Content-Type: text/plain\r\n"
                               "Date: Mon, 01 Jan 2024 00:00:00 GMT\r\n"
                               "Content-Length: 6\r\n"
                               "\r\n"
                               "hello\n";

static int epoll_fd;

static void watch(int fd) {
  struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

  epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event);
}

/* A request comes in one piece, and a response fits into the socket. */
static void on_readable(int fd) {
  static char buffer[65536];
  ssize_t n = recv(fd, buffer, sizeof(buffer), 0);

  if (n < 4 || memcmp(buffer + n - 4, "\r\n\r\n", 4) != 0 ||
      send(fd, response, sizeof(response) - 1, MSG_NOSIGNAL) < 0)
    close(fd);
}

static void on_connection(int listener) {
  int on = 1;

  for (int fd; (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0;) {
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    watch(fd);
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
  int listener = listen_on(argc > 1 ? atoi(argv[1]) : 0);

  epoll_fd = epoll_create1(0);
  watch(listener);
  for (;;) {
    int n = epoll_wait(epoll_fd, events, 1024, -1);

    for (int i = 0; i < n; i++) {
      if (events[i].data.fd == listener)
        on_connection(listener);
      else
        on_readable(events[i].data.fd);
    }
  }
}
