/* Replay: what a run of the same script and seed must repeat.
 *
 * Nothing here may depend on an address or on the order of a table. */
#include "replay.h"

#include "runtime.h"
#include "task.h"

#include <stdlib.h>

/* --- A random order of ready tasks --- */

int art_ready_reserve(asyncrt *rt) {
  uint32_t capacity = rt->drawn_capacity > 0 ? 2 * rt->drawn_capacity : 64;
  art_task **drawn;

  if (rt->tasks < rt->drawn_capacity) return 0;
  drawn = realloc(rt->drawn, capacity * sizeof(art_task *));
  if (drawn == NULL) return UV_ENOMEM;
  rt->drawn = drawn;
  rt->drawn_capacity = capacity;
  return 0;
}

/* The run queue is emptied into the array, one task is drawn, and another one
 * goes back: so a run queue that is empty still means that none is ready. */
art_task *art_ready_draw(asyncrt *rt) {
  art_task *task;
  uint32_t place;

  for (task = rt->ready_first; task != NULL; task = task->ready_next)
    rt->drawn[rt->drawn_count++] = task;
  rt->ready_first = rt->ready_last = NULL;
  place = art_random(rt, rt->drawn_count);
  task = rt->drawn[place];
  rt->drawn[place] = rt->drawn[--rt->drawn_count];
  if (rt->drawn_count > 0) art_task_ready(rt->drawn[--rt->drawn_count]);
  return task;
}

/* --- The hash of a run --- */

static uint64_t add_number(uint64_t hash, uint64_t number) {
  hash = (hash ^ number) * 0x9e3779b97f4a7c15u;
  return hash ^ (hash >> 29);
}

static uint64_t add_text(uint64_t hash, const char *text) {
  for (; *text != '\0'; text++) hash = add_number(hash, (unsigned char) *text);
  return add_number(hash, 0);
}

static void add(asyncrt *rt, const art_task *task, const char *what,
                uint32_t chosen) {
  uint64_t hash = add_number(rt->trace_hash, task->id);

  hash = add_number(add_text(hash, what), chosen);
  rt->trace_hash = add_number(hash, asyncrt_now(rt));
}

void art_replay_step(asyncrt *rt, const art_task *task) {
  const asyncrt_wait *wait = &task->wait;

  switch (wait->state) {
    case ART_WAIT_COMMITTED:
      add(rt, task, wait->ops[wait->chosen].type->name, wait->chosen);
      break;
    case ART_WAIT_ABANDONED: add(rt, task, "cancelled", 0); break;
    case ART_WAIT_QUEUED: add(rt, task, "turn", 0); break;
    default: add(rt, task, "start", 0); break;
  }
}

void art_replay_arm(asyncrt *rt, const asyncrt_op *op, uint32_t chosen) {
  if (rt->current != NULL) add(rt, rt->current, op->type->name, chosen);
}

uint64_t asyncrt_trace_hash(asyncrt *rt) {
  return rt->trace_hash;
}
