/* Waiting for file descriptors: by epoll where there is one, else by uv_poll.
 */
#ifndef ART_POLLER_H
#define ART_POLLER_H

#include "asyncrt.h"

enum { ART_READABLE = 1, ART_WRITABLE = 2, ART_HANGUP = 4 };

/* A watched descriptor. `on_ready` is told each edge once: after it, read (or
 * write) until EAGAIN or a short count before the next one counts. With
 * ART_HANGUP, the peer has closed or the socket failed: read until EOF. */
typedef struct art_watcher {
  int fd;
  bool watched;
  void (*on_ready)(struct art_watcher *watcher, unsigned events);
  union {
    struct art_watcher *next; /* in the runtime's list of watchers to free */
    void *poll;               /* until then; owned: what watches it */
  } u;
} art_watcher;

int art_poll_init(asyncrt *rt);
void art_poll_close(asyncrt *rt);

/* Starts to watch; events from before count. Returns a negative UV_E*. */
int art_poll_add(asyncrt *rt, art_watcher *watcher);

/* Stops watching; close the descriptor after it. */
void art_poll_remove(asyncrt *rt, art_watcher *watcher);

/* Tells that reading (or writing) found nothing (or no room): the next edge is
 * waited for. */
void art_poll_want(asyncrt *rt, art_watcher *watcher, unsigned events);

/* Frees, with free(), the structure that starts with `watcher` once no event
 * of the current batch can point at it. */
void art_poll_free(asyncrt *rt, art_watcher *watcher);

/* Runs the loop's callbacks without waiting. Before each art_poll_wait, so that
 * libuv hands what was started since to its own epoll set; before its timeout
 * is known, since a callback may set a timer or close the last handle. */
void art_poll_loop(asyncrt *rt);

/* Waits at most `timeout` ns (UINT64_MAX: for ever) and calls on_ready and the
 * loop's callbacks. */
void art_poll_wait(asyncrt *rt, uint64_t timeout);

#endif
