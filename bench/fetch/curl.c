/* The peer of asyncrt's HTTP client: libcurl's multi handle in a loop around
 * epoll, that keeps each page in memory and does nothing else.
 *
 *   curl FILE JOBS ROUNDS
 *
 * fetches the URLs that FILE lists ROUNDS times, JOBS at once, and prints the
 * pages, the bytes, and the seconds of the clock and of the CPU. */
#define _GNU_SOURCE
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>

typedef struct page {
  CURL *easy;
  char *data;
  size_t size, capacity;
} page;

static char **urls;
static size_t url_count, url_capacity, next_url, total, active;
static long long bytes, failures;
static CURLM *multi;
static int epoll_fd;
static long timeout_ms = -1;

static void die(const char *what) {
  perror(what);
  exit(1);
}

static void read_urls(const char *path) {
  FILE *file = fopen(path, "r");
  char line[4096];

  if (file == NULL) die(path);
  while (fgets(line, sizeof(line), file) != NULL) {
    line[strcspn(line, "\n")] = '\0';
    if (url_count == url_capacity) {
      url_capacity = url_capacity > 0 ? 2 * url_capacity : 1024;
      urls = realloc(urls, url_capacity * sizeof(*urls));
      if (urls == NULL) die("realloc");
    }
    urls[url_count++] = strdup(line);
  }
  fclose(file);
}

static size_t on_body(char *data, size_t size, size_t count, void *user) {
  page *self = user;

  size *= count;
  if (self->capacity - self->size < size) {
    size_t capacity = 2 * self->capacity + size;
    char *grown = realloc(self->data, capacity);

    if (grown == NULL) return 0;
    self->data = grown;
    self->capacity = capacity;
  }
  memcpy(self->data + self->size, data, size);
  self->size += size;
  return size;
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *user,
                     void *known) {
  struct epoll_event event = {0};

  (void) easy, (void) user;
  event.data.fd = fd;
  if (what == CURL_POLL_REMOVE) {
    epoll_ctl(epoll_fd, EPOLL_CTL_DEL, fd, &event);
    curl_multi_assign(multi, fd, NULL);
    return 0;
  }
  if (what & CURL_POLL_IN) event.events |= EPOLLIN;
  if (what & CURL_POLL_OUT) event.events |= EPOLLOUT;
  epoll_ctl(epoll_fd, known != NULL ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd,
            &event);
  curl_multi_assign(multi, fd, &epoll_fd);
  return 0;
}

static int on_timer(CURLM *self, long ms, void *user) {
  (void) self, (void) user;
  timeout_ms = ms;
  return 0;
}

static void start(page *self) {
  if (next_url == total) return;
  self->size = 0;
  active++;
  curl_easy_setopt(self->easy, CURLOPT_URL, urls[next_url++ % url_count]);
  curl_multi_add_handle(multi, self->easy);
}

static void open_page(page *self) {
  self->easy = curl_easy_init();
  curl_easy_setopt(self->easy, CURLOPT_PRIVATE, self);
  curl_easy_setopt(self->easy, CURLOPT_WRITEFUNCTION, on_body);
  curl_easy_setopt(self->easy, CURLOPT_WRITEDATA, self);
  curl_easy_setopt(self->easy, CURLOPT_ACCEPT_ENCODING, "");
  curl_easy_setopt(self->easy, CURLOPT_BUFFERSIZE, 65536L);
  curl_easy_setopt(self->easy, CURLOPT_TIMEOUT, 60L);
  curl_easy_setopt(self->easy, CURLOPT_NOSIGNAL, 1L);
  start(self);
}

static void collect(void) {
  CURLMsg *message;
  int left;

  while ((message = curl_multi_info_read(multi, &left)) != NULL) {
    CURL *easy = message->easy_handle;
    page *self;
    long status = 0;

    if (message->data.result != CURLE_OK) failures++;
    curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **) &self);
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    if (status != 200) failures++;
    bytes += (long long) self->size;
    curl_multi_remove_handle(multi, easy);
    active--;
    start(self);
  }
}

static double seconds(struct timeval time) {
  return (double) time.tv_sec + (double) time.tv_usec * 1e-6;
}

static double cpu(void) {
  struct rusage usage;

  getrusage(RUSAGE_SELF, &usage);
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

static double now(void) {
  struct timespec time;

  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double) time.tv_sec + (double) time.tv_nsec * 1e-9;
}

static void run(void) {
  int running;

  while (active > 0) {
    struct epoll_event events[256];
    int count = epoll_wait(epoll_fd, events, 256, (int) timeout_ms), i;

    if (count == 0)
      curl_multi_socket_action(multi, CURL_SOCKET_TIMEOUT, 0, &running);
    for (i = 0; i < count; i++) {
      unsigned what = events[i].events;

      curl_multi_socket_action(multi, events[i].data.fd,
                               ((what & EPOLLIN) ? CURL_CSELECT_IN : 0) |
                                   ((what & EPOLLOUT) ? CURL_CSELECT_OUT : 0) |
                                   ((what & EPOLLERR) ? CURL_CSELECT_ERR : 0),
                               &running);
    }
    collect();
  }
}

int main(int argc, char **argv) {
  size_t jobs, i;
  page *pages;
  double cpu_before, before;

  if (argc != 4) return 2;
  read_urls(argv[1]);
  jobs = strtoul(argv[2], NULL, 10);
  total = url_count * strtoul(argv[3], NULL, 10);
  curl_global_init(CURL_GLOBAL_DEFAULT);
  multi = curl_multi_init();
  epoll_fd = epoll_create1(EPOLL_CLOEXEC);
  curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, on_socket);
  curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, on_timer);
  pages = calloc(jobs, sizeof(*pages));
  if (pages == NULL) die("calloc");
  before = now();
  cpu_before = cpu();
  for (i = 0; i < jobs; i++) open_page(&pages[i]);
  run();
  printf("%zu %lld %.4f %.4f\n", total, bytes, now() - before,
         cpu() - cpu_before);
  if (failures > 0) fprintf(stderr, "%lld failures\n", failures);
  return failures > 0;
}
