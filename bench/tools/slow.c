/* slow: clients of an HTTP server that send a byte of an endless head a second,
 * and come again where they are refused.
 *
 *   slow PORT CLIENTS
 *
 * They come evenly within ten seconds, after which the tool says `ready` and
 * goes on. Ended by SIGTERM it says how many were refused. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define COMING_S 10
#define TURNS 1000   /* in a second, in each of which a share of them sends */
#define ADDRESSES 16 /* that they come from: each has some 28,000 ports */

struct client {
  int fd;
  size_t sent;
};

static const char head[] = "GET / HTTP/1.1\r\nHost: example.org\r\nX: ";
static volatile sig_atomic_t ended;
static struct sockaddr_in server = {.sin_family = AF_INET};
static unsigned long refused;

static void on_signal(int number) {
  (void) number;
  ended = 1;
}

static void die(const char *what) {
  perror(what);
  exit(1);
}

static void open_client(struct client *client) {
  static uint32_t next;
  struct sockaddr_in source = {.sin_family = AF_INET};
  int on = 1;

  client->sent = 0;
  client->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  if (client->fd < 0) die("socket");
  source.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + next++ % ADDRESSES);
  setsockopt(client->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
  if (bind(client->fd, (struct sockaddr *) &source, sizeof(source)) != 0)
    die("bind");
  if (connect(client->fd, (struct sockaddr *) &server, sizeof(server)) != 0 &&
      errno != EINPROGRESS)
    die("connect");
}

/* Sends a byte, or comes again. */
static void turn(struct client *client) {
  char answer[1024];
  ssize_t n = recv(client->fd, answer, sizeof(answer), 0);

  if (n < 0 && errno == EAGAIN) {
    char byte = client->sent < sizeof(head) - 1 ? head[client->sent] : 'a';

    client->sent++;
    n = send(client->fd, &byte, 1, MSG_NOSIGNAL);
    if (n == 1 || errno == EAGAIN) return;
  }
  refused++;
  close(client->fd);
  open_client(client);
}

static void sleep_until(struct timespec *time) {
  time->tv_nsec += 1000000000 / TURNS;
  if (time->tv_nsec >= 1000000000) {
    time->tv_nsec -= 1000000000;
    time->tv_sec++;
  }
  clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, time, NULL);
}

static void allow_files(void) {
  struct rlimit files;

  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
}

int main(int argc, char **argv) {
  size_t count = argc == 3 ? strtoul(argv[2], NULL, 10) : 0, open = 0, k;
  struct client *clients = calloc(count, sizeof(*clients));
  struct timespec time;

  if (count == 0 || clients == NULL) return 2;
  server.sin_port = htons((uint16_t) atoi(argv[1]));
  server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  allow_files();
  signal(SIGTERM, on_signal);
  clock_gettime(CLOCK_MONOTONIC, &time);
  for (k = 0; !ended; k++) {
    size_t i, coming = count * (k + 1) / ((size_t) COMING_S * TURNS);
    bool all_came = open == count;

    for (i = k % TURNS; i < open; i += TURNS) turn(&clients[i]);
    while (open < count && open < coming) open_client(&clients[open++]);
    if (!all_came && open == count) {
      puts("ready");
      fflush(stdout);
    }
    sleep_until(&time);
  }
  printf("%lu\n", refused);
  free(clients);
  return 0;
}
