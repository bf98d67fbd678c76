/* An arena whose addresses only grow: the order of the objects in it is that of
 * their creation. Under virtual time it makes the order of keys that are
 * objects the same in every run. */
#ifndef ART_ARENA_H
#define ART_ARENA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Address space is never used again, memory is: a chunk without a live block is
 * given back to the system. */
typedef struct art_arena {
  char *base;     /* owned; NULL: there is none */
  size_t size;    /* bytes of address space; 0 where there is none */
  size_t next;    /* offset of the first unused byte */
  uint32_t *live; /* owned; for each chunk, the blocks that begin in it */
} art_arena;

/* Reserves the address space. Without it art_arena_take gives nothing. */
void art_arena_open(art_arena *arena);
void art_arena_close(art_arena *arena);

/* A block after all others, or NULL where it is too large or none is left. */
void *art_arena_take(art_arena *arena, size_t size);
void art_arena_give(art_arena *arena, void *block, size_t size);

static inline bool art_arena_has(const art_arena *arena, const void *block) {
  return (uintptr_t) block - (uintptr_t) arena->base < arena->size;
}

#endif
