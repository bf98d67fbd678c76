/* Waiting for file descriptors: one edge-triggered epoll set, with the libuv
 * loop as one of its members.
 *
 * A descriptor is added once and costs no further call; what libuv watches is
 * polled through the descriptor of its loop, only while it has something. */
#include "poller.h"

#include "runtime.h"
#include "timer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#define BATCH 256 /* events taken by one call */

static void on_wake(uv_async_t *waker) {
  (void) waker; /* the loop looks around by itself once it is awake */
}

static void on_waker_closed(uv_handle_t *handle) {
  handle->data = NULL;
}

/* The waker has a second use: see art_poll_loop. */
static int open_waker(asyncrt *rt) {
  int error = uv_async_init(rt->loop, &rt->waker, on_wake);

  if (error < 0) return error;
  rt->waker.data = rt;
  uv_unref((uv_handle_t *) &rt->waker);
  return 0;
}

static void close_waker(asyncrt *rt) {
  if (rt->waker.data == NULL) return;
  uv_close((uv_handle_t *) &rt->waker, on_waker_closed);
  while (rt->waker.data != NULL) uv_run(rt->loop, UV_RUN_NOWAIT);
}

int art_poll_init(asyncrt *rt) {
  struct epoll_event event = {.events = EPOLLIN, .data = {.ptr = NULL}};
  int error = open_waker(rt);

  if (error < 0) return error;
  rt->poll_fd = epoll_create1(EPOLL_CLOEXEC);
  if (rt->poll_fd < 0) return -errno;
  if (epoll_ctl(rt->poll_fd, EPOLL_CTL_ADD, uv_backend_fd(rt->loop), &event)) {
    error = -errno;
    close(rt->poll_fd);
    rt->poll_fd = -1;
    return error;
  }
  rt->loop_changed = true;
  return 0;
}

static void free_removed(asyncrt *rt) {
  while (rt->to_free != NULL) {
    art_watcher *watcher = rt->to_free;

    rt->to_free = watcher->next;
    free(watcher);
  }
}

void art_poll_close(asyncrt *rt) {
  close_waker(rt);
  free_removed(rt);
  if (rt->poll_fd >= 0) close(rt->poll_fd);
  rt->poll_fd = -1;
}

int art_poll_add(asyncrt *rt, art_watcher *watcher) {
  struct epoll_event event = {
      .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
      .data = {.ptr = watcher},
  };

  if (epoll_ctl(rt->poll_fd, EPOLL_CTL_ADD, watcher->fd, &event) != 0)
    return -errno;
  watcher->watched = true;
  rt->watched++;
  return 0;
}

void art_poll_remove(asyncrt *rt, art_watcher *watcher) {
  struct epoll_event event = {0};

  if (!watcher->watched) return;
  /* Closing would do, were the descriptor not shared with a child process. */
  epoll_ctl(rt->poll_fd, EPOLL_CTL_DEL, watcher->fd, &event);
  watcher->watched = false;
  rt->watched--;
}

void art_poll_free(asyncrt *rt, art_watcher *watcher) {
  watcher->next = rt->to_free;
  rt->to_free = watcher;
}

void asyncrt_loop_changed(asyncrt *rt) {
  rt->loop_changed = true;
}

/* Milliseconds for epoll_wait: rounded up, so that no timer fires early. */
static int milliseconds(uint64_t ns) {
  uint64_t ms;

  if (ns == UINT64_MAX) return -1;
  ms = ns / ART_NS_PER_MS + (ns % ART_NS_PER_MS != 0);
  return ms > INT32_MAX ? INT32_MAX : (int) ms;
}

static void dispatch(asyncrt *rt, const struct epoll_event *events, int count) {
  int i;

  for (i = 0; i < count; i++) {
    art_watcher *watcher = events[i].data.ptr;
    unsigned ready = 0;

    if (watcher == NULL) {
      rt->loop_changed = true;
      continue;
    }
    if (!watcher->watched) continue; /* removed earlier in this batch */
    if (events[i].events & EPOLLIN) ready |= ART_READABLE;
    if (events[i].events & EPOLLOUT) ready |= ART_WRITABLE;
    if (events[i].events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
      ready |= ART_READABLE | ART_WRITABLE | ART_HANGUP;
    watcher->on_ready(watcher, ready);
  }
}

/* Runs the libuv loop's callbacks without waiting, where it may have some.
 * libuv does not poll for a loop whose handles are all unreferenced, as those
 * of signals are: the reference to the waker makes it. */
void art_poll_loop(asyncrt *rt) {
  if (!rt->loop_changed && !uv_loop_alive(rt->loop)) return;
  rt->loop_changed = false;
  uv_ref((uv_handle_t *) &rt->waker);
  uv_run(rt->loop, UV_RUN_NOWAIT);
  uv_unref((uv_handle_t *) &rt->waker);
}

void art_poll_wait(asyncrt *rt, uint64_t timeout) {
  struct epoll_event events[BATCH];
  int count, ms, loop_ms;

  ms = rt->ready_first != NULL ? 0 : milliseconds(timeout);
  if (ms != 0 && uv_loop_alive(rt->loop)) {
    loop_ms = uv_backend_timeout(rt->loop);
    if (loop_ms >= 0 && (ms < 0 || loop_ms < ms)) ms = loop_ms;
  }
  /* What was printed is seen while the program waits, on a pipe too. */
  if (ms != 0) fflush(stdout);
  count = epoll_wait(rt->poll_fd, events, BATCH, ms);
  if (count > 0) dispatch(rt, events, count);
  art_poll_loop(rt);
  free_removed(rt);
}
