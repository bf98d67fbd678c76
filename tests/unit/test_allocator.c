/* The allocator of the Lua state: blocks keep their contents, do not overlap,
 * and are aligned, in the first slabs and in those that come later. */
#include "allocator.h"
#include "check.h"

#include <stdint.h>
#include <string.h>

#define BLOCKS 40000
#define ROUNDS 200000
#define MOST 1500 /* bytes: 30 MB in all, more than the small slabs hold */

static unsigned char *blocks[BLOCKS];
static size_t sizes[BLOCKS];
static uint64_t state = 88172645463325252u;

static size_t draw(size_t bound) {
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return (size_t) (state % bound);
}

static unsigned char mark(size_t i) {
  return (unsigned char) (i * 37 + 1);
}

static void check_block(size_t i) {
  size_t at = sizes[i] / 2;

  if (blocks[i] == NULL) return;
  CHECK((uintptr_t) blocks[i] % 16 == 0);
  CHECK(blocks[i][0] == mark(i) && blocks[i][at] == mark(i));
  CHECK(blocks[i][sizes[i] - 1] == mark(i));
}

int main(void) {
  art_allocator allocator = {0};
  size_t round, i, used = 0;

  for (round = 0; round < ROUNDS; round++) {
    size_t size = draw(3) > 0 ? 1 + draw(MOST) : 0;

    i = draw(BLOCKS);
    check_block(i);
    used += size;
    used -= sizes[i];
    blocks[i] = art_allocate(&allocator, blocks[i], sizes[i], size);
    sizes[i] = size;
    CHECK((blocks[i] != NULL) == (size > 0));
    CHECK(allocator.used == used);
    if (size > 0) memset(blocks[i], mark(i), size);
  }
  for (i = 0; i < BLOCKS; i++) {
    check_block(i);
    art_allocate(&allocator, blocks[i], sizes[i], 0);
  }
  CHECK(allocator.used == 0);
  art_allocator_free(&allocator);
  return 0;
}
