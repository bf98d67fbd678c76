/* What the files poller*.c share. */
#ifndef ART_POLLER_INTERNAL_H
#define ART_POLLER_INTERNAL_H

#include "poller.h"

/* The waker: an async handle that wakes the libuv loop. Closing it waits for
 * every handle that is being closed. */
int art_poll_open_waker(asyncrt *rt);
void art_poll_close_waker(asyncrt *rt);

/* Frees what art_poll_free was given. */
void art_poll_free_removed(asyncrt *rt);

/* Nanoseconds as a time limit of epoll_wait: rounded up, so that no timer fires
 * early; -1 for ever. */
int art_poll_milliseconds(uint64_t ns);

#endif
