/* Wait queues, against an array: first in, first out, and out of the middle. */
#include "check.h"
#include "op.h"

#include <string.h>

#define OPS 300
#define ROUNDS 100000

static asyncrt_wait wait;
static asyncrt_op ops[OPS];
static asyncrt_op *expected[OPS];
static int length;
static uint64_t state = 2463534242u;

static unsigned draw(unsigned bound) {
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return (unsigned) (state % bound);
}

static int place_of(const asyncrt_op *op) {
  int i;

  for (i = 0; i < length; i++)
    if (expected[i] == op) return i;
  return -1;
}

static void check_queue(const asyncrt_queue *queue) {
  const asyncrt_op *op, *previous = NULL;
  int i = 0;

  for (op = queue->first; op != NULL; op = op->next) {
    CHECK(i < length && expected[i] == op);
    CHECK(op->prev == previous);
    previous = op;
    i++;
  }
  CHECK(i == length);
  CHECK(queue->last == previous);
}

int main(void) {
  asyncrt_queue queue = {0};
  int round, i;

  for (i = 0; i < OPS; i++) ops[i].wait = &wait;
  for (round = 0; round < ROUNDS; round++) {
    asyncrt_op *op = &ops[draw(OPS)];
    int place = place_of(op);

    if (place < 0) {
      asyncrt_queue_push(&queue, op);
      expected[length++] = op;
    } else {
      asyncrt_queue_remove(&queue, op);
      length--;
      memmove(&expected[place], &expected[place + 1],
              (size_t) (length - place) * sizeof(expected[0]));
      CHECK(op->prev == NULL && op->next == NULL);
    }
    if (round % 64 == 0) check_queue(&queue);
  }
  while (queue.first != NULL) {
    CHECK(queue.first == expected[0]);
    memmove(&expected[0], &expected[1],
            (size_t) --length * sizeof(expected[0]));
    asyncrt_queue_remove(&queue, queue.first);
  }
  CHECK(length == 0 && queue.last == NULL);
  return EXIT_SUCCESS;
}
