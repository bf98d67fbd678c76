/* Waiting for file descriptors: what both ways to do it share. */
#include "poller.h"

#include "poller_internal.h"
#include "runtime.h"
#include "timer.h"

#include <stdlib.h>

static void on_wake(uv_async_t *waker) {
  (void) waker; /* the loop looks around by itself once it is awake */
}

static void on_waker_closed(uv_handle_t *handle) {
  handle->data = NULL;
}

/* The waker has a second use: see art_poll_loop. */
int art_poll_open_waker(asyncrt *rt) {
  int error = uv_async_init(rt->loop, &rt->waker, on_wake);

  if (error < 0) return error;
  rt->waker.data = rt;
  uv_unref((uv_handle_t *) &rt->waker);
  return 0;
}

void art_poll_close_waker(asyncrt *rt) {
  if (rt->waker.data == NULL) return;
  uv_close((uv_handle_t *) &rt->waker, on_waker_closed);
  while (rt->waker.data != NULL) uv_run(rt->loop, UV_RUN_NOWAIT);
}

void art_poll_free_removed(asyncrt *rt) {
  while (rt->to_free != NULL) {
    art_watcher *watcher = rt->to_free;

    rt->to_free = watcher->u.next;
    free(watcher);
  }
}

void art_poll_free(asyncrt *rt, art_watcher *watcher) {
  watcher->u.next = rt->to_free;
  rt->to_free = watcher;
}

void asyncrt_loop_changed(asyncrt *rt) {
  rt->loop_changed = true;
}

int art_poll_milliseconds(uint64_t ns) {
  uint64_t ms;

  if (ns == UINT64_MAX) return -1;
  ms = ns / ART_NS_PER_MS + (ns % ART_NS_PER_MS != 0);
  return ms > INT32_MAX ? INT32_MAX : (int) ms;
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
