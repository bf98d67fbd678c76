/* load: drives an echo server, or one of HTTP, and checks every byte that comes
 * back.
 *
 *   load -p PORT [-m MODE] [-c CONNECTIONS] [-b BYTES] [-d DEPTH]
 *        [-s SECONDS] [-w SECONDS] [-P PID]
 *
 * Modes:
 *
 *   echo   Every connection keeps `-d` messages of `-b` bytes on their way, and
 *          sends the next one when one is back. `-w` seconds of this warm up,
 *          `-s` seconds are measured.
 *   http   The same with a request in place of a message, whose response has a
 *          length and the body "hello\n". `browser`: a request as long as those
 *          of browsers.
 *   storm  Every connection is opened, echoes one message, and is closed, again
 *          and again.
 *   idle   Every connection echoes one message and is then left alone for `-s`
 *          seconds.
 *   check  Every connection sends `-d` messages, ends its direction, and must
 *          get all of it back, then the end.
 *
 * Prints one JSON object. `-P` names the server, whose CPU time and memory are
 * read where the measured time begins and ends. Any wrong byte, any broken
 * connection and five seconds without a byte are errors: exit status 1. */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_S 1000000000ull
#define STALL_S 5
#define BURST                                           \
  64 /* connections being opened at once: no backlog is \
        smaller, and none may overflow */
#define PERIOD                                                                 \
  65521                  /* bytes until a payload repeats; a prime, so that it \
                            is never in step with a buffer */
#define WRITE_MAX 262144 /* bytes a write */
#define READ_MAX 262144  /* bytes a read */
#define SOURCES                                             \
  16 /* addresses that a storm connects from, for there are \
        about 28,000 ports to each */

#define HEAD_MAX 1024 /* bytes of a response's head */

enum mode {
  MODE_ECHO,
  MODE_HTTP,
  MODE_BROWSER,
  MODE_STORM,
  MODE_IDLE,
  MODE_CHECK
};

static const char *const mode_names[] = {"echo", "http",  "browser", "storm",
                                         "idle", "check", 0};

#define REQUEST "GET / HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n"

static const char *const requests[] = {
    [MODE_HTTP] = REQUEST "\r\n",
    [MODE_BROWSER] = REQUEST
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:109.0) Gecko/20100101 "
    "Firefox/115.0\r\n"
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,"
    "image/webp,*/*;q=0.8\r\n"
    "Accept-Language: en-US,en;q=0.5\r\n"
    "Accept-Encoding: gzip, deflate, br\r\n"
    "Connection: keep-alive\r\n"
    "Cookie: session=0123456789abcdef0123456789abcdef\r\n"
    "Upgrade-Insecure-Requests: 1\r\n"
    "Sec-Fetch-Dest: document\r\n"
    "Sec-Fetch-Mode: navigate\r\n"
    "Sec-Fetch-Site: none\r\n"
    "\r\n"};

static const char http_body[] = "hello\n";

struct connection {
  int fd;
  bool open;        /* connected */
  bool wants_write; /* waits for room in the socket */
  bool counted;     /* was open once: its place in a burst is free again */
  uint64_t to_send; /* bytes of messages that are not written yet */
  uint64_t sent;    /* bytes written */
  uint64_t got;     /* bytes that came back */
  uint64_t partial; /* bytes of the message that is coming back */
  uint32_t oldest, newest; /* into `started`: the messages on their way */
  uint64_t *started;       /* owned by main; when each message was sent, ns */
  char *head;              /* owned by main, HEAD_MAX: a response in parts */
  uint32_t head_size;
};

static enum mode mode = MODE_ECHO;
static int port, server_pid;
static uint32_t connection_count = 1, depth = 1;
static uint64_t message_bytes = 128;
static double seconds = 1, warm_up = 0.2;
static size_t period = PERIOD; /* bytes until the payload repeats */

static bool is_http(void) {
  return mode == MODE_HTTP || mode == MODE_BROWSER;
}

static int epoll_fd;
static unsigned char payload[PERIOD + WRITE_MAX];
static unsigned char received[READ_MAX];
static uint64_t messages, bytes, reads; /* since the measured time began */
static uint32_t opened, opening, settled, finished;

static void fail(const char *format, ...) {
  va_list arguments;

  va_start(arguments, format);
  fputs("load: ", stderr);
  vfprintf(stderr, format, arguments);
  fputc('\n', stderr);
  va_end(arguments);
  exit(1);
}

static uint64_t now(void) {
  struct timespec t;

  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t) t.tv_sec * NS_PER_S + (uint64_t) t.tv_nsec;
}

/* Latencies: a histogram with 64 steps for each power of two, so that a
 * percentile is right to 1.6 percent. */

static uint64_t histogram[64 * 64];

static void record(uint64_t ns) {
  unsigned shift = ns < 128 ? 0 : 57u - (unsigned) __builtin_clzll(ns);

  histogram[64 * shift + (ns >> shift)]++;
}

static double percentile_us(double fraction) {
  uint64_t left = (uint64_t) (fraction * (double) messages);

  for (unsigned i = 0; i < 64 * 64; i++) {
    if (histogram[i] > left) {
      unsigned shift = i < 128 ? 0 : i / 64 - 1;
      return (double) ((uint64_t) (i - 64 * shift) << shift) / 1e3;
    }
    left -= histogram[i];
  }
  return 0;
}

/* What the kernel knows about the processes. */

static double thread_cpu(const char *thread) {
  unsigned long long ns = 0;
  char path[320];
  FILE *file;

  snprintf(path, sizeof(path), "/proc/%d/task/%s/schedstat", server_pid,
           thread);
  file = fopen(path, "r");
  if (file == NULL) return 0; /* it ended meanwhile */
  if (fscanf(file, "%llu", &ns) != 1) ns = 0;
  fclose(file);
  return (double) ns / 1e9;
}

static double server_cpu(void) {
  char path[64];
  double sum = 0;
  DIR *threads;

  snprintf(path, sizeof(path), "/proc/%d/task", server_pid);
  threads = server_pid ? opendir(path) : NULL;
  if (threads == NULL) return 0;
  for (struct dirent *entry; (entry = readdir(threads)) != NULL;) {
    if (entry->d_name[0] != '.') sum += thread_cpu(entry->d_name);
  }
  closedir(threads);
  return sum;
}

static long server_rss(void) {
  char path[64];
  long pages = 0;
  FILE *file;

  snprintf(path, sizeof(path), "/proc/%d/statm", server_pid);
  file = server_pid ? fopen(path, "r") : NULL;
  if (file == NULL) return 0;
  if (fscanf(file, "%*s %ld", &pages) != 1) pages = 0;
  fclose(file);
  return pages * sysconf(_SC_PAGESIZE);
}

static double own_cpu(void) {
  struct timespec t;

  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return (double) t.tv_sec + (double) t.tv_nsec / 1e9;
}

/* Connections. */

static void watch(struct connection *c, int operation) {
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};

  if (c->wants_write) event.events |= EPOLLOUT;
  if (epoll_ctl(epoll_fd, operation, c->fd, &event) != 0) {
    fail("epoll_ctl: %s", strerror(errno));
  }
}

static void bind_source(int fd) {
  static uint32_t next;
  struct sockaddr_in source = {.sin_family = AF_INET};
  int on = 1;

  source.sin_addr.s_addr = htonl(0x7f000002 + next++ % SOURCES);
  setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
  if (bind(fd, (struct sockaddr *) &source, sizeof(source)) != 0) {
    fail("bind: %s", strerror(errno));
  }
}

static void open_connection(struct connection *c) {
  struct sockaddr_in server = {.sin_family = AF_INET};
  int on = 1;

  server.sin_port = htons((uint16_t) port);
  server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (c->fd < 0) fail("socket: %s", strerror(errno));
  setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  if (mode == MODE_STORM) bind_source(c->fd);
  c->open = false;
  c->wants_write = true;
  c->sent = c->got = c->partial = c->to_send = 0;
  c->oldest = c->newest = 0;
  c->started[0] = now(); /* a storm counts the time to connect */
  if (connect(c->fd, (struct sockaddr *) &server, sizeof(server)) != 0 &&
      errno != EINPROGRESS) {
    fail("connect: %s", strerror(errno));
  }
  watch(c, EPOLL_CTL_ADD);
}

static void write_pending(struct connection *c) {
  while (c->to_send > 0) {
    size_t n = c->to_send < WRITE_MAX ? (size_t) c->to_send : WRITE_MAX;
    ssize_t written = send(c->fd, payload + c->sent % period, n, MSG_NOSIGNAL);

    if (written < 0 && errno == EAGAIN) break;
    if (written < 0) fail("send: %s", strerror(errno));
    c->to_send -= (uint64_t) written;
    c->sent += (uint64_t) written;
  }
  if (mode == MODE_CHECK && c->to_send == 0) shutdown(c->fd, SHUT_WR);
  if (c->wants_write != (c->to_send > 0)) {
    c->wants_write = !c->wants_write;
    watch(c, EPOLL_CTL_MOD);
  }
}

static void queue_message(struct connection *c, uint64_t time) {
  c->started[c->newest++ % depth] = time;
  c->to_send += message_bytes;
}

static void message_is_back(struct connection *c, uint64_t time) {
  record(time - c->started[c->oldest++ % depth]);
  messages++;
  switch (mode) {
    case MODE_ECHO:
    case MODE_HTTP:
    case MODE_BROWSER: queue_message(c, time); break;
    case MODE_STORM:
      close(c->fd);
      open_connection(c);
      break;
    case MODE_IDLE: finished++; break;
    case MODE_CHECK: break; /* the end is what finishes it */
  }
}

static void take(struct connection *c, size_t n) {
  if (memcmp(received, payload + c->got % PERIOD, n) != 0) {
    fail("wrong bytes after the first %llu", (unsigned long long) c->got);
  }
  if (n > c->sent - c->got) fail("more came back than was sent");
  c->got += n;
  c->partial += n;
  bytes += n;
  if (c->partial >= message_bytes) {
    uint64_t time = now();

    while (c->partial >= message_bytes) {
      c->partial -= message_bytes;
      message_is_back(c, time);
    }
    if (c->to_send > 0) write_pending(c);
  }
}

/* The size of the response at the start of `text`; 0 where it is not whole. */
static size_t response_size(const char *text, size_t size) {
  static const char field[] = "\r\nContent-Length: 6\r\n";
  const char *end = memmem(text, size, "\r\n\r\n", 4);
  size_t head, body = sizeof(http_body) - 1;

  if (end == NULL) return 0;
  head = (size_t) (end - text) + 4;
  if (memcmp(text, "HTTP/1.1 200 ", 13) != 0 ||
      memmem(text, head, field, sizeof(field) - 1) == NULL)
    fail("wrong response: %.*s", (int) head, text);
  if (size < head + body) return 0;
  if (memcmp(text + head, http_body, body) != 0) fail("wrong body");
  return head + body;
}

static void take_http(struct connection *c, size_t n) {
  const char *text = (const char *) received;
  uint64_t time = now();
  size_t size;

  bytes += n;
  if (c->head_size > 0) {
    if (n > HEAD_MAX - c->head_size) fail("a response is too long");
    memcpy(c->head + c->head_size, received, n);
    n += c->head_size;
    text = c->head;
  }
  while (n > 0 && (size = response_size(text, n)) > 0) {
    if (c->oldest == c->newest) fail("more came back than was asked for");
    text += size;
    n -= size;
    message_is_back(c, time);
  }
  if (n > HEAD_MAX) fail("a response is too long");
  memmove(c->head, text, n);
  c->head_size = (uint32_t) n;
  if (c->to_send > 0) write_pending(c);
}

static void on_end(struct connection *c) {
  if (mode != MODE_CHECK || c->got != message_bytes * depth) {
    fail("the server closed after %llu bytes", (unsigned long long) c->got);
  }
  close(c->fd);
  finished++;
}

static void on_readable(struct connection *c) {
  int fd = c->fd;
  ssize_t n;

  do {
    n = recv(fd, received, READ_MAX, 0);
    reads++;
    if (n < 0 && errno == EAGAIN) return;
    if (n < 0) fail("recv: %s", strerror(errno));
    if (n == 0) {
      on_end(c);
      return;
    }
    if (is_http())
      take_http(c, (size_t) n);
    else
      take(c, (size_t) n);
  } while (n == READ_MAX); /* there may be more */
}

static void on_connected(struct connection *c) {
  int error = 0;
  socklen_t length = sizeof(error);
  uint64_t time = now();

  getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &length);
  if (error != 0) fail("connect: %s", strerror(error));
  c->open = true;
  if (!c->counted) {
    c->counted = true;
    opening--;
    settled++;
  }
  if (mode == MODE_STORM) {
    c->newest = 1;
    c->to_send = message_bytes;
  } else if (mode == MODE_IDLE) {
    queue_message(c, time);
  } else if (mode == MODE_CHECK) {
    for (uint32_t i = 0; i < depth; i++) queue_message(c, time);
  }
  write_pending(c);
}

static void on_event(struct connection *c, uint32_t events) {
  if (!c->open) {
    on_connected(c);
    return;
  }
  if (events & EPOLLOUT) write_pending(c);
  if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) on_readable(c);
}

/* Runs until `deadline`, or, where that is 0, until `*counter` is `target`. */
static void run(struct connection *connections, uint64_t deadline,
                const uint32_t *counter, uint32_t target) {
  static struct epoll_event events[1024];
  uint64_t last_progress = now(), last_reads = reads;

  for (;;) {
    uint64_t time = now();
    int n;

    if (deadline ? time >= deadline : *counter >= target) return;
    while (opened < connection_count && opening < BURST) {
      opening++;
      open_connection(&connections[opened++]);
    }
    n = epoll_wait(epoll_fd, events, 1024, 50);
    for (int i = 0; i < n; i++) on_event(events[i].data.ptr, events[i].events);
    if (n > 0 || reads != last_reads) {
      last_reads = reads;
      last_progress = time;
    } else if (time - last_progress > STALL_S * NS_PER_S) {
      fail("nothing came back for %d s; %u of %u connections are open", STALL_S,
           settled, connection_count);
    }
  }
}

static uint64_t after(double s) {
  return now() + (uint64_t) (s * 1e9);
}

static void measure(struct connection *connections) {
  double cpu, own, elapsed;
  uint64_t start;

  for (uint32_t i = 0; mode != MODE_STORM && i < connection_count; i++) {
    uint64_t time = now();

    for (uint32_t k = 0; k < depth; k++) queue_message(&connections[i], time);
    write_pending(&connections[i]);
  }
  run(connections, after(warm_up), NULL, 0);
  memset(histogram, 0, sizeof(histogram));
  messages = bytes = 0;
  cpu = server_cpu();
  own = own_cpu();
  start = now();
  run(connections, after(seconds), NULL, 0);
  elapsed = (double) (now() - start) / 1e9;
  cpu = server_cpu() - cpu;
  own = own_cpu() - own;
  if (messages == 0) fail("no message came back");
  printf("{\"messages\": %llu, \"per_second\": %.1f, \"mb_per_second\": %.3f, "
         "\"server_us\": %.4f, \"server_cpu\": %.4f, \"load_cpu\": %.4f, "
         "\"p50_us\": %.3f, \"p99_us\": %.3f, \"p999_us\": %.3f}\n",
         (unsigned long long) messages, (double) messages / elapsed,
         (double) bytes / elapsed / 1e6, cpu * 1e6 / (double) messages,
         cpu / elapsed, own / elapsed, percentile_us(.5), percentile_us(.99),
         percentile_us(.999));
}

static void rest(long rss_before) {
  double cpu = server_cpu();

  usleep((useconds_t) (seconds * 1e6));
  printf("{\"rss_before\": %ld, \"rss\": %ld, \"bytes_per_connection\": %.1f, "
         "\"idle_cpu\": %.5f}\n",
         rss_before, server_rss(),
         (double) (server_rss() - rss_before) / connection_count,
         (server_cpu() - cpu) / seconds);
}

static void parse(int argc, char **argv) {
  for (int option; (option = getopt(argc, argv, "p:m:c:b:d:s:w:P:")) != -1;) {
    switch (option) {
      case 'p': port = atoi(optarg); break;
      case 'c': connection_count = (uint32_t) atoi(optarg); break;
      case 'b': message_bytes = (uint64_t) atoll(optarg); break;
      case 'd': depth = (uint32_t) atoi(optarg); break;
      case 's': seconds = atof(optarg); break;
      case 'w': warm_up = atof(optarg); break;
      case 'P': server_pid = atoi(optarg); break;
      case 'm':
        while (mode_names[mode] && strcmp(mode_names[mode], optarg)) mode++;
        if (mode_names[mode] == NULL) fail("no mode %s", optarg);
        break;
      default: exit(2);
    }
  }
  if (mode == MODE_STORM || mode == MODE_IDLE) depth = 1;
  if (!port || !connection_count || !depth || !message_bytes) fail("usage");
}

static void prepare_payload(void) {
  uint32_t state = 1;

  if (is_http()) {
    message_bytes = period = strlen(requests[mode]);
    memcpy(payload, requests[mode], period);
  } else {
    for (size_t i = 0; i < period; i++) {
      state = state * 1664525u + 1013904223u;
      payload[i] = (unsigned char) (state >> 24);
    }
  }
  for (size_t i = period; i < sizeof(payload); i++) {
    payload[i] = payload[i - period];
  }
}

static void prepare(void) {
  struct rlimit files;

  prepare_payload();
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  epoll_fd = epoll_create1(EPOLL_CLOEXEC);
}

int main(int argc, char **argv) {
  struct connection *connections;
  uint64_t *started;
  char *heads;
  long rss;

  parse(argc, argv);
  prepare();
  connections = calloc(connection_count, sizeof(*connections));
  started = calloc((size_t) connection_count * depth, sizeof(*started));
  heads = calloc(connection_count, HEAD_MAX);
  if (connections == NULL || started == NULL || heads == NULL)
    fail("out of memory");
  for (uint32_t i = 0; i < connection_count; i++) {
    connections[i].started = started + (size_t) i * depth;
    connections[i].head = heads + (size_t) i * HEAD_MAX;
  }
  rss = server_rss();
  if (mode <= MODE_STORM) {
    run(connections, 0, &settled, connection_count);
    measure(connections);
  } else {
    run(connections, 0, &finished, connection_count);
    if (mode == MODE_IDLE) rest(rss);
    if (mode == MODE_CHECK)
      printf("{\"bytes\": %llu}\n", (unsigned long long) bytes);
  }
  free(heads);
  free(started);
  free(connections);
  return 0;
}
