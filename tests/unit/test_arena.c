/* The arena: addresses that only grow, memory that does not. */
#include "arena.h"
#include "check.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define SIZE ((size_t) 100)
#define BLOCKS 10000
#define ROUNDS 100

static size_t resident_pages(const art_arena *arena) {
  static unsigned char vector[1 << 16];
  size_t page = (size_t) sysconf(_SC_PAGESIZE), count, resident = 0, i;

  count = (arena->next + page - 1) / page;
  if (count > sizeof(vector)) count = sizeof(vector);
  CHECK(mincore(arena->base, count * page, vector) == 0);
  for (i = 0; i < count; i++) resident += vector[i] & 1;
  return resident;
}

static void test_addresses_grow_whatever_is_freed(void) {
  art_arena arena = {0};
  char *block, *last = NULL;
  int i;

  art_arena_open(&arena);
  for (i = 0; i < BLOCKS; i++) {
    size_t size = 1 + (size_t) i * 37 % 3000;

    block = art_arena_take(&arena, size);
    CHECK(block != NULL && block > last);
    CHECK(((size_t) block & 15) == 0);
    CHECK(art_arena_has(&arena, block));
    memset(block, i, size);
    if (i % 3 != 0) art_arena_give(&arena, block, size);
    last = block;
  }
  art_arena_close(&arena);
  CHECK(!art_arena_has(&arena, last));
}

static void test_memory_of_freed_blocks_goes_back(void) {
  art_arena arena = {0};
  char *blocks[64] = {NULL};
  int i;

  art_arena_open(&arena);
  for (i = 0; i < BLOCKS * ROUNDS; i++) {
    char **place = &blocks[i % 64];

    if (*place != NULL) art_arena_give(&arena, *place, SIZE);
    *place = art_arena_take(&arena, SIZE);
    CHECK(*place != NULL);
    memset(*place, 1, SIZE);
  }
  CHECK(arena.next > SIZE * BLOCKS * ROUNDS);
  CHECK(resident_pages(&arena) <= 64);
  art_arena_close(&arena);
}

static void test_a_chunk_that_died_young_goes_back(void) {
  art_arena arena = {0};
  int i;

  art_arena_open(&arena);
  for (i = 0; i < 1000; i++) {
    char *block = art_arena_take(&arena, 16000);

    CHECK(block != NULL);
    memset(block, 1, 16000);
    art_arena_give(&arena, block, 16000); /* none is ever live for long */
  }
  CHECK(resident_pages(&arena) <= 64);
  art_arena_close(&arena);
}

static void test_what_is_too_large_is_left_to_others(void) {
  art_arena arena = {0};
  int on_the_stack;

  CHECK(art_arena_take(&arena, 1) == NULL);
  CHECK(!art_arena_has(&arena, &on_the_stack));
  art_arena_open(&arena);
  CHECK(art_arena_take(&arena, (size_t) 1 << 20) == NULL);
  CHECK(!art_arena_has(&arena, &on_the_stack));
  arena.next = arena.size - 100;
  CHECK(art_arena_take(&arena, 16) == NULL); /* the space is used up */
  arena.next = 0;
  art_arena_close(&arena);
}

int main(void) {
  test_addresses_grow_whatever_is_freed();
  test_memory_of_freed_blocks_goes_back();
  test_a_chunk_that_died_young_goes_back();
  test_what_is_too_large_is_left_to_others();
  return 0;
}
