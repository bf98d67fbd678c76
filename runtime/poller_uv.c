/* Waiting for file descriptors with uv_poll, wherever libuv runs.
 *
 * uv_poll tells again and again what has not been dealt with. What was told is
 * told again once; if nobody has asked for more by then, it is left out until
 * somebody does: reading what arrives costs no further call this way. */
#include "poller_internal.h"
#include "runtime.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct polled {
  uv_poll_t handle;
  art_watcher *watcher; /* borrowed; NULL once it was removed */
  unsigned wanted;      /* ART_READABLE …: what it is asked for */
  unsigned told;        /* … and has said since somebody wanted it */
} polled;

static void on_closed(uv_handle_t *handle) {
  free(handle->data);
}

static void on_polled(uv_poll_t *handle, int status, int events);

/* Tells libuv what is wanted. It cannot fail for a descriptor it has taken. */
static void ask(polled *self) {
  int events = 0;

  if (self->wanted & ART_READABLE) events |= UV_READABLE;
  if (self->wanted & ART_WRITABLE) events |= UV_WRITABLE;
  if (self->wanted & ART_HANGUP) events |= UV_DISCONNECT;
  if (events != 0)
    uv_poll_start(&self->handle, events, on_polled);
  else
    uv_poll_stop(&self->handle);
}

static void on_polled(uv_poll_t *handle, int status, int events) {
  polled *self = handle->data;
  unsigned ready = 0, wanted = self->wanted;

  if (events & UV_READABLE) ready |= ART_READABLE;
  if (events & UV_WRITABLE) ready |= ART_WRITABLE;
  if ((events & UV_DISCONNECT) || status < 0)
    ready |= ART_READABLE | ART_WRITABLE | ART_HANGUP;
  if (status < 0) wanted = 0; /* libuv has stopped the handle */
  /* Room to write and a hang-up stay: they are told once. */
  wanted &= ~(ready & (self->told | ART_WRITABLE | ART_HANGUP));
  self->told |= ready;
  if (wanted != self->wanted) {
    self->wanted = wanted;
    ask(self);
  }
  self->watcher->on_ready(self->watcher, ready);
}

int art_poll_init(asyncrt *rt) {
  int error = art_poll_open_waker(rt);

  if (error < 0) return error;
  error = uv_timer_init(rt->loop, &rt->poll_timer);
  if (error < 0) return error;
  rt->poll_timer.data = rt;
  uv_unref((uv_handle_t *) &rt->poll_timer);
  rt->loop_changed = true;
  return 0;
}

void art_poll_close(asyncrt *rt) {
  if (rt->poll_timer.data != NULL)
    uv_close((uv_handle_t *) &rt->poll_timer, NULL);
  art_poll_close_waker(rt);
  art_poll_free_removed(rt);
}

int art_poll_add(asyncrt *rt, art_watcher *watcher) {
  polled *self = calloc(1, sizeof(*self));
  int flags = fcntl(watcher->fd, F_GETFL), error;

  if (self == NULL) return UV_ENOMEM;
  error = uv_poll_init(rt->loop, &self->handle, watcher->fd);
  if (error < 0) {
    free(self);
    return error;
  }
  /* A terminal may be shared with who expects it to block. */
  fcntl(watcher->fd, F_SETFL, flags);
  self->handle.data = self;
  self->watcher = watcher;
  self->wanted = ART_READABLE | ART_WRITABLE | ART_HANGUP;
  uv_unref((uv_handle_t *) &self->handle);
  ask(self);
  watcher->u.poll = self;
  watcher->watched = true;
  rt->watched++;
  return 0;
}

void art_poll_remove(asyncrt *rt, art_watcher *watcher) {
  polled *self = watcher->u.poll;

  if (!watcher->watched) return;
  uv_close((uv_handle_t *) &self->handle, on_closed);
  watcher->u.poll = NULL;
  watcher->watched = false;
  rt->watched--;
  rt->loop_changed = true;
}

void art_poll_want(asyncrt *rt, art_watcher *watcher, unsigned events) {
  polled *self = watcher->u.poll;

  (void) rt;
  if (!watcher->watched) return;
  self->told &= ~events;
  if ((self->wanted & events) == events) return;
  self->wanted |= events;
  ask(self);
}

static void on_time(uv_timer_t *timer) {
  (void) timer; /* the loop need not wait any longer */
}

void art_poll_wait(asyncrt *rt, uint64_t timeout) {
  int ms = rt->ready_first != NULL ? 0 : art_poll_milliseconds(timeout);

  /* What was printed is seen while the program waits, on a pipe too. */
  if (ms != 0) fflush(stdout);
  uv_update_time(rt->loop);
  if (ms > 0) uv_timer_start(&rt->poll_timer, on_time, (uint64_t) ms, 0);
  uv_ref((uv_handle_t *) &rt->waker);
  uv_run(rt->loop, ms == 0 ? UV_RUN_NOWAIT : UV_RUN_ONCE);
  uv_unref((uv_handle_t *) &rt->waker);
  if (ms > 0) uv_timer_stop(&rt->poll_timer);
  art_poll_free_removed(rt);
}
