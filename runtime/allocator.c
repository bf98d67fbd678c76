/* The allocator of a runtime's Lua state.
 *
 * A million coroutines are four million blocks of a few sizes: without malloc's
 * headers they take a tenth less, and a busy server reuses warm blocks. */
#include "allocator.h"

#include <lua.h>
#include <stdlib.h>
#include <string.h>

#define SLAB_BYTES ((size_t) 256 * 1024)

/* Sanitizers and valgrind see every block only if each is malloc's own. */
#if defined(__SANITIZE_ADDRESS__) || defined(ART_PLAIN_ALLOCATOR)
#define LARGEST 0u
#else
#define LARGEST ART_ALLOCATOR_LARGEST
#endif

typedef struct art_slab {
  struct art_slab *next;
  size_t unused; /* keeps the blocks aligned to ART_ALLOCATOR_STEP */
} art_slab;

static size_t class_of(size_t size) {
  return (size + ART_ALLOCATOR_STEP - 1) / ART_ALLOCATOR_STEP;
}

static void *take_from_slab(art_allocator *allocator, size_t bytes) {
  art_slab *slab;
  void *block;

  if ((size_t) (allocator->end - allocator->next) < bytes) {
    slab = malloc(SLAB_BYTES);
    if (slab == NULL) return NULL;
    slab->next = allocator->slabs;
    allocator->slabs = slab;
    allocator->next = (char *) (slab + 1);
    allocator->end = (char *) slab + SLAB_BYTES;
  }
  block = allocator->next;
  allocator->next += bytes;
  return block;
}

static void *take(art_allocator *allocator, size_t size) {
  size_t class = class_of(size);
  void *block = allocator->free[class];

  if (block == NULL)
    return take_from_slab(allocator, class * ART_ALLOCATOR_STEP);
  memcpy(&allocator->free[class], block, sizeof(void *));
  return block;
}

static void give(art_allocator *allocator, void *block, size_t size) {
  size_t class = class_of(size);

  memcpy(block, &allocator->free[class], sizeof(void *));
  allocator->free[class] = block;
}

static void *get(art_allocator *allocator, size_t size) {
  return size <= LARGEST ? take(allocator, size) : malloc(size);
}

static void put(art_allocator *allocator, void *block, size_t size) {
  if (art_arena_has(&allocator->arena, block))
    art_arena_give(&allocator->arena, block, size);
  else if (size <= LARGEST)
    give(allocator, block, size);
  else
    free(block);
}

/* A new block, of an object of the type `kind` or of something else. */
static void *get_new(art_allocator *allocator, size_t kind, size_t size) {
  void *block = NULL;

  if (kind >= LUA_TTABLE && kind <= LUA_TTHREAD)
    block = art_arena_take(&allocator->arena, size);
  return block != NULL ? block : get(allocator, size);
}

static void *move(art_allocator *allocator, void *block, size_t old,
                  size_t size) {
  void *moved = get(allocator, size);

  if (moved == NULL) return NULL;
  memcpy(moved, block, old < size ? old : size);
  put(allocator, block, old);
  return moved;
}

void *art_allocate(void *context, void *block, size_t old, size_t size) {
  art_allocator *allocator = context;
  void *result;

  if (block == NULL) {
    if (size == 0) return NULL;
    result = get_new(allocator, old, size);
    if (result != NULL) allocator->used += size;
    return result;
  }
  if (size == 0) {
    allocator->used -= old;
    put(allocator, block, old);
    return NULL;
  }
  if (old > LARGEST && size > LARGEST)
    result = realloc(block, size); /* an object is never resized */
  else if (old <= LARGEST && size <= LARGEST && class_of(old) == class_of(size))
    result = block;
  else
    result = move(allocator, block, old, size);
  if (result != NULL) allocator->used += size - old;
  return result;
}

void art_allocator_keep_order(art_allocator *allocator) {
#if !defined(ART_PLAIN_ALLOCATOR)
  art_arena_open(&allocator->arena);
#else
  (void) allocator;
#endif
}

void art_allocator_free(art_allocator *allocator) {
  while (allocator->slabs != NULL) {
    art_slab *slab = allocator->slabs;

    allocator->slabs = slab->next;
    free(slab);
  }
  art_arena_close(&allocator->arena);
}
