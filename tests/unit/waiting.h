/* The queue of an op that only a test completes, and what such an op does. */
#ifndef WAITING_H
#define WAITING_H

#include "asyncrt.h"

static asyncrt_queue waiting;

static int wait_attempt(asyncrt_op *op, lua_State *L) {
  (void) op;
  (void) L;
  return ASYNCRT_NOT_READY;
}

static void wait_arm(asyncrt_op *op) {
  asyncrt_queue_push(&waiting, op);
}

static void wait_disarm(asyncrt_op *op) {
  asyncrt_queue_remove(&waiting, op);
}

#endif
