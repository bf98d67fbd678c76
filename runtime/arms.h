/* Kept arms: events that a task selects among again and again.
 *
 * Between two selects an arm stays in the queue of what it waits for, and is
 * attempted again only after something happened there: so a select costs the
 * same among four arms and among four thousand. Such an arm, of a type with
 * ASYNCRT_OP_KEPT, is in one of these places:
 *
 *   pending  in no queue: the next select attempts it
 *   kept     in its queue, alone; nothing that could make it ready has happened
 *   brief    in its queue, for one wait: of a type that is not kept, or beside
 *            other ops, among whom each wait has to queue up anew
 *
 * While its task does not wait, a kept arm is dormant: it must get no value.
 * Whoever would complete it drops it instead, to pending, and whoever queues up
 * behind it does the same. */
#ifndef ART_ARMS_H
#define ART_ARMS_H

#include "list.h"
#include "op.h"
#include "runtime.h"

/* The user values of the userdata of art_arms. */
enum {
  ART_ARMS_EVENTS = 1, /* a table: the events by their place, from 1 */
  ART_ARMS_KEYS,       /* a table: their keys, by place */
  ART_ARMS_TABLE,      /* a table: the events by their keys */
  ART_ARMS_PLACES,     /* a table: the places by their keys */
  ART_ARMS_VALUES = ART_ARMS_PLACES
};

/* Behind the userdata, which points at it: ops that are queued up must outlive
 * one whose finalizer is lost. */
typedef struct art_arms {
  art_link link;               /* among all of the runtime */
  asyncrt *rt;                 /* borrowed */
  struct art_task *task;       /* borrowed; that waits with it, or NULL */
  asyncrt_wait wait;           /* of the ops */
  asyncrt_op *ops;             /* owned; the arrays below are behind it */
  asyncrt_prepare_fn *prepare; /* of each event; NULL: a number */
  uint32_t *places;            /* of each op: its place in `pending`, or … */
  uint32_t *pending;
  uint32_t *brief;
  uint32_t capacity;
  uint32_t used; /* ops that were ever taken */
  uint32_t free; /* 1 + the first of them that is free, linked by status */
  uint32_t pending_count;
  uint32_t undrawn; /* of pending: not attempted by the running select */
  uint32_t brief_count;
  uint32_t count;      /* arms */
  uint32_t composites; /* among them, and not among the ops */
  uint32_t changes;    /* counts them: a finalizer may make some at any time */
  int base;            /* the top of the waiting thread's stack */
} art_arms;

/* Pushes new arms, without a metatable. Raises without memory. */
void art_arms_push(lua_State *L);

/* The arms at `index`, a userdata of them. Raises where they were dropped. */
art_arms *art_arms_at(lua_State *L, int index);

/* Sets the arm at the key `key` of the arms at `index` to the event at `event`;
 * nil removes it. Not while a task waits with them. `prepare` is that of the
 * event, NULL for a number. */
void art_arms_set(lua_State *L, int index, int key, int event,
                  art_event_kind kind, asyncrt_prepare_fn prepare);

/* Disarms and frees the arms at `index`, which are about to be collected.
 * Idempotent. */
void art_arms_drop(lua_State *L, int index);

/* Frees those that were never dropped: the Lua state is closed. */
void art_arms_free(asyncrt *rt);

/* True where select takes the table of the arms in their place: another task
 * waits with them, or composites are among them. */
static inline bool art_arms_are_table(const art_arms *arms) {
  return arms->task != NULL || arms->composites > 0;
}

/* Selects among the arms at index 1, the only value on the stack. Attempts the
 * pending ones in drawn order, else suspends the task. Returns the number of
 * results, the key of the chosen arm among them. Goes on in `as_table` where
 * art_arms_are_table. A cancellation point. */
int art_arms_perform(lua_State *L, struct art_task *task, art_done as_table);

/* One attempt of the arms at index 1, the only value on the stack, which are no
 * table: ASYNCRT_NOT_READY, or ASYNCRT_DONE(n) with the key among n results. */
int art_arms_attempt(lua_State *L);

/* The task that waits with the arms was woken. */
void art_arms_rest(art_arms *arms, uint8_t state);

/* Moves a dormant op to pending. */
void art_arms_eject(asyncrt_op *op);

/* `op` is about to be queued behind others, kept arms among them or itself. */
void art_arms_meet(const asyncrt_queue *queue, asyncrt_op *op);

#endif
