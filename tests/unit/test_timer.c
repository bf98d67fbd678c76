/* The timer heap, against a list that is searched: random arms and disarms. */
#include "check.h"
#include "timer.h"

#include <string.h>

#define TIMERS 2000
#define ROUNDS 200000

typedef struct entry {
  asyncrt_timer timer;
  uint64_t order; /* of arming */
  bool armed;
} entry;

static entry entries[TIMERS];
static uint64_t state = 88172645463325252u;

static uint64_t draw(void) {
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return state;
}

/* The one that must fire first, or NULL. */
static entry *first_of_all(void) {
  entry *first = NULL;
  int i;

  for (i = 0; i < TIMERS; i++) {
    entry *e = &entries[i];

    if (!e->armed) continue;
    if (first == NULL || e->timer.at < first->timer.at ||
        (e->timer.at == first->timer.at && e->order < first->order))
      first = e;
  }
  return first;
}

static void check_heap(const art_timers *timers, uint32_t armed) {
  uint32_t i;

  CHECK(timers->count == armed);
  for (i = 0; i < timers->count; i++) {
    CHECK(timers->heap[i].timer->heap_index == i + 1);
    CHECK(timers->heap[i].at == timers->heap[i].timer->at);
  }
}

static void arm(art_timers *timers, entry *e, uint64_t at, uint64_t order) {
  e->timer.at = at;
  e->order = order;
  e->armed = true;
  CHECK(art_timers_reserve(timers, 1) == 0);
  art_timer_arm(timers, &e->timer);
}

static void test_against_a_list(void) {
  art_timers timers = {0};
  uint64_t order = 0, base = 0;
  uint32_t armed = 0;
  int round;

  for (round = 0; round < ROUNDS; round++) {
    entry *e = &entries[draw() % TIMERS];

    if (!e->armed) {
      /* Few distinct deadlines, so that many are equal. */
      arm(&timers, e, base + draw() % 50, ++order);
      armed++;
    } else if (draw() % 2 == 0) {
      art_timer_disarm(&timers, &e->timer);
      CHECK(e->timer.heap_index == 0);
      e->armed = false;
      armed--;
    }
    if (armed > 0 && draw() % 4 == 0) {
      asyncrt_timer *timer = timers.heap[0].timer;

      if (round % 16 == 0) {
        entry *first = first_of_all();
        CHECK(timer == &first->timer);
      }
      CHECK(art_timers_next(&timers) == timer->at);
      base = timer->at > base ? timer->at : base;
      art_timer_disarm(&timers, timer);
      ((entry *) timer)->armed = false;
      armed--;
    }
    if (round % 1000 == 0) check_heap(&timers, armed);
  }
  /* What is left leaves in order. */
  while (armed > 0) {
    entry *first = first_of_all();

    CHECK(timers.heap[0].timer == &first->timer);
    art_timer_disarm(&timers, &first->timer);
    first->armed = false;
    armed--;
  }
  CHECK(timers.count == 0);
  CHECK(art_timers_next(&timers) == UINT64_MAX);
  art_timers_free(&timers);
}

static void test_equal_deadlines_in_arming_order(void) {
  art_timers timers = {0};
  int i;

  memset(entries, 0, sizeof(entries));
  for (i = 0; i < TIMERS; i++) arm(&timers, &entries[i], 7, (uint64_t) i);
  for (i = 0; i < TIMERS; i++) {
    CHECK(timers.heap[0].timer == &entries[i].timer);
    art_timer_disarm(&timers, timers.heap[0].timer);
  }
  art_timers_free(&timers);
}

static void test_never_takes_no_place(void) {
  art_timers timers = {0};
  asyncrt_timer timer = {.at = UINT64_MAX};

  art_timer_arm(&timers, &timer);
  CHECK(timers.count == 0 && timer.heap_index == 0);
  art_timer_disarm(&timers, &timer);
  art_timer_disarm(&timers, &timer);
  CHECK(timers.count == 0);
  art_timers_free(&timers);
}

static void test_reserved_room_is_kept(void) {
  art_timers timers = {0};
  uint32_t i, capacity;

  memset(entries, 0, sizeof(entries));
  CHECK(art_timers_reserve(&timers, 1000) == 0);
  capacity = timers.capacity;
  CHECK(capacity >= 1000);
  for (i = 0; i < 1000; i++) arm(&timers, &entries[i], 1000 - i, i);
  CHECK(timers.capacity == capacity);
  check_heap(&timers, 1000);
  art_timers_free(&timers);
  CHECK(timers.heap == NULL && timers.count == 0 && timers.capacity == 0);
}

static void test_held_places_are_for_their_holders(void) {
  art_timers timers = {0};
  uint32_t i, capacity;

  memset(entries, 0, sizeof(entries));
  CHECK(art_timers_hold(&timers, 2) == 0);
  for (i = 0; i < 1000; i++) {
    arm(&timers, &entries[i], i, i);
    CHECK(timers.count + 2 <= timers.capacity);
  }
  capacity = timers.capacity;
  while (timers.count + 2 < capacity) {
    arm(&timers, &entries[i], i, i);
    i++;
  }
  CHECK(timers.capacity == capacity);
  art_timer_arm(&timers, &entries[i].timer);
  art_timer_arm(&timers, &entries[i + 1].timer);
  CHECK(timers.capacity == capacity && timers.count == capacity);
  art_timers_release(&timers, 2);
  CHECK(timers.held == 0);
  art_timers_free(&timers);
}

/* Seconds become a deadline: rounded up, never wrapped around. */
static void test_deadlines(void) {
  const uint64_t now = 5000000000u;

  CHECK(art_deadline(now, 0.0) == 0);
  CHECK(art_deadline(now, -0.0) == 0);
  CHECK(art_deadline(now, -1.0) == 0);
  CHECK(art_deadline(now, -1e300) == 0);
  CHECK(art_deadline(now, 1.0) == now + 1000000000u);
  CHECK(art_deadline(now, 1e-9) == now + 1);
  CHECK(art_deadline(now, 1e-12) == now + 1);
  CHECK(art_deadline(now, 5e-324) == now + 1);
  CHECK(art_deadline(now, 1.0000000001) == now + 1000000001u);
  CHECK(art_deadline(now, 9007199254740992.0) == UINT64_MAX);
  CHECK(art_deadline(now, 9.3e9) == UINT64_MAX);
  CHECK(art_deadline(now, 9e9) == now + 9000000000000000000u);
  CHECK(art_deadline(now, 1e300) == UINT64_MAX);
  CHECK(art_deadline(now, 1.0 / 0.0) == UINT64_MAX);
  CHECK(art_deadline(now, -1.0 / 0.0) == 0);
  CHECK(art_deadline(UINT64_MAX / 2, 9.2e9) > UINT64_MAX / 2);
  CHECK(art_deadline(UINT64_MAX - 5, 1.0) == UINT64_MAX);
  CHECK(art_deadline(UINT64_MAX, 1e-9) == UINT64_MAX);
}

int main(void) {
  test_against_a_list();
  test_equal_deadlines_in_arming_order();
  test_never_takes_no_place();
  test_reserved_room_is_kept();
  test_held_places_are_for_their_holders();
  test_deadlines();
  return EXIT_SUCCESS;
}
