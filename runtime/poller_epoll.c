/* Waiting for file descriptors with epoll: one edge-triggered set, with the
 * libuv loop as one of its members.
 *
 * A descriptor is added once and costs no further call; what libuv watches is
 * polled through the descriptor of its loop, only while it has something. */
#include "poller_internal.h"
#include "runtime.h"

#include <errno.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <unistd.h>

#define BATCH 256 /* events taken by one call */

int art_poll_init(asyncrt *rt) {
  struct epoll_event event = {.events = EPOLLIN, .data = {.ptr = NULL}};
  int error = art_poll_open_waker(rt);

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

void art_poll_close(asyncrt *rt) {
  art_poll_close_waker(rt);
  art_poll_free_removed(rt);
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

void art_poll_want(asyncrt *rt, art_watcher *watcher, unsigned events) {
  (void) rt, (void) watcher, (void) events; /* the next edge is told anyway */
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

void art_poll_wait(asyncrt *rt, uint64_t timeout) {
  struct epoll_event events[BATCH];
  int count, ms, loop_ms;

  ms = rt->ready_first != NULL ? 0 : art_poll_milliseconds(timeout);
  if (ms != 0 && uv_loop_alive(rt->loop)) {
    loop_ms = uv_backend_timeout(rt->loop);
    if (loop_ms >= 0 && (ms < 0 || loop_ms < ms)) ms = loop_ms;
  }
  /* What was printed is seen while the program waits, on a pipe too. */
  if (ms != 0) fflush(stdout);
  count = epoll_wait(rt->poll_fd, events, BATCH, ms);
  if (count > 0) dispatch(rt, events, count);
  art_poll_loop(rt);
  art_poll_free_removed(rt);
}
