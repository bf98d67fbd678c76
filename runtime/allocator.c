/* The allocator of a runtime's Lua state.
 *
 * A million coroutines are four million blocks of a few sizes: without malloc's
 * headers they take a tenth less, and a busy server reuses warm blocks. */
#include "allocator.h"

#include <lua.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define SLAB_BYTES ((size_t) 256 * 1024)

/* A state that has grown to some megabytes grows on by huge pages: the kernel
 * makes one of these as fast as a few of the small ones it stands for. */
#define HUGE_BYTES ((size_t) 2 * 1024 * 1024)
#define SMALL_SLABS 16 /* before the first huge one */

/* Sanitizers and valgrind see every block only if each is malloc's own. */
#if defined(__SANITIZE_ADDRESS__) || defined(ART_PLAIN_ALLOCATOR)
#define LARGEST 0u
#else
#define LARGEST ART_ALLOCATOR_LARGEST
#endif

typedef struct art_slab {
  struct art_slab *next;
  size_t mapped; /* bytes of mmap, or 0: of malloc */
} art_slab;

static size_t class_of(size_t size) {
  return (size + ART_ALLOCATOR_STEP - 1) / ART_ALLOCATOR_STEP;
}

/* HUGE_BYTES at a multiple of them, or NULL. */
static art_slab *new_huge_slab(void) {
#ifdef MADV_HUGEPAGE
  char *space = mmap(NULL, 2 * HUGE_BYTES, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  size_t before;
  art_slab *slab;

  if (space == MAP_FAILED) return NULL;
  before = (HUGE_BYTES - (uintptr_t) space % HUGE_BYTES) % HUGE_BYTES;
  if (before > 0) munmap(space, before);
  munmap(space + before + HUGE_BYTES, HUGE_BYTES - before);
  slab = (art_slab *) (void *) (space + before);
  madvise(slab, HUGE_BYTES, MADV_HUGEPAGE);
  slab->mapped = HUGE_BYTES;
  return slab;
#else
  return NULL;
#endif
}

static art_slab *new_slab(const art_allocator *allocator) {
  art_slab *slab = NULL;

  if (allocator->slab_count >= SMALL_SLABS) slab = new_huge_slab();
  if (slab != NULL) return slab;
  slab = malloc(SLAB_BYTES);
  if (slab != NULL) slab->mapped = 0;
  return slab;
}

static void *take_from_slab(art_allocator *allocator, size_t bytes) {
  art_slab *slab;
  void *block;

  if ((size_t) (allocator->end - allocator->next) < bytes) {
    slab = new_slab(allocator);
    if (slab == NULL) return NULL;
    slab->next = allocator->slabs;
    allocator->slabs = slab;
    allocator->slab_count++;
    allocator->next = (char *) (slab + 1);
    allocator->end =
        (char *) slab + (slab->mapped > 0 ? slab->mapped : SLAB_BYTES);
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
    if (slab->mapped > 0)
      munmap(slab, slab->mapped);
    else
      free(slab);
  }
  art_arena_close(&allocator->arena);
}
