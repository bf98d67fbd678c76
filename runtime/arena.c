/* An arena whose addresses only grow. */
#include "arena.h"

#include <sys/mman.h>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#define GAP STEP /* poisoned, between blocks */
#else
#define GAP 0
#define ASAN_POISON_MEMORY_REGION(block, size) ((void) (block), (void) (size))
#define ASAN_UNPOISON_MEMORY_REGION(block, size) ((void) (block), (void) (size))
#endif

#define ARENA_BYTES ((size_t) 64 << 30)
#define CHUNK_BYTES ((size_t) 64 << 10)
#define STEP ((size_t) 16)
#define LARGEST (CHUNK_BYTES / 4)

static void *reserve(size_t size) {
  void *space = mmap(NULL, size, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

  return space != MAP_FAILED ? space : NULL;
}

void art_arena_open(art_arena *arena) {
  arena->base = reserve(ARENA_BYTES);
  arena->live = reserve(ARENA_BYTES / CHUNK_BYTES * sizeof(*arena->live));
  arena->size = ARENA_BYTES;
  arena->next = 0;
  if (arena->base == NULL || arena->live == NULL) art_arena_close(arena);
}

void art_arena_close(art_arena *arena) {
  if (arena->base != NULL) {
    ASAN_UNPOISON_MEMORY_REGION(arena->base, arena->next);
    munmap(arena->base, ARENA_BYTES);
  }
  if (arena->live != NULL)
    munmap(arena->live, ARENA_BYTES / CHUNK_BYTES * sizeof(*arena->live));
  arena->base = NULL;
  arena->live = NULL;
  arena->size = 0;
}

/* Gives the memory of a chunk back that has no live block and will get none. */
static void release(art_arena *arena, size_t chunk) {
  char *start = arena->base + chunk * CHUNK_BYTES;

  ASAN_UNPOISON_MEMORY_REGION(start, CHUNK_BYTES);
  madvise(start, CHUNK_BYTES, MADV_DONTNEED);
  ASAN_POISON_MEMORY_REGION(start, CHUNK_BYTES);
}

/* Goes on in the next chunk: no block lies in two. */
static void leave_chunk(art_arena *arena) {
  size_t chunk = arena->next / CHUNK_BYTES;

  arena->next = (chunk + 1) * CHUNK_BYTES;
  if (arena->live[chunk] == 0) release(arena, chunk);
}

void *art_arena_take(art_arena *arena, size_t size) {
  size_t whole = (size + GAP + STEP - 1) / STEP * STEP, start;

  if (size > LARGEST || arena->size - arena->next < CHUNK_BYTES) return NULL;
  if (CHUNK_BYTES - arena->next % CHUNK_BYTES < whole) leave_chunk(arena);
  start = arena->next;
  if (arena->size - start < CHUNK_BYTES) return NULL;
  arena->next += whole;
  arena->live[start / CHUNK_BYTES]++;
  ASAN_POISON_MEMORY_REGION(arena->base + start + size, whole - size);
  return arena->base + start;
}

void art_arena_give(art_arena *arena, void *block, size_t size) {
  size_t chunk = (size_t) ((char *) block - arena->base) / CHUNK_BYTES;

  ASAN_POISON_MEMORY_REGION(block, size);
  if (--arena->live[chunk] == 0 && chunk != arena->next / CHUNK_BYTES)
    release(arena, chunk);
}
