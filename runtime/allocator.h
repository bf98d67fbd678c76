/* The allocator of a runtime's Lua state. */
#ifndef ART_ALLOCATOR_H
#define ART_ALLOCATOR_H

#include "arena.h"

#include <stddef.h>

#define ART_ALLOCATOR_STEP ((size_t) 16)
#define ART_ALLOCATOR_LARGEST ((size_t) 2048) /* beyond it: malloc */

/* Blocks of up to ART_ALLOCATOR_LARGEST bytes come from slabs, one free list
 * for each multiple of ART_ALLOCATOR_STEP, without headers: Lua tells the size
 * of what it frees. Freed blocks serve later ones of their size; slabs are
 * returned with the state. */
typedef struct art_allocator {
  void *free[ART_ALLOCATOR_LARGEST / ART_ALLOCATOR_STEP + 1];
  struct art_slab *slabs; /* owned */
  size_t slab_count;
  char *next, *end; /* the unused rest of the newest slab */
  size_t used;      /* bytes that Lua holds */
  art_arena arena;  /* of objects, where their order is wanted */
} art_allocator;

/* Puts objects that can be keys of tables at addresses that only grow. */
void art_allocator_keep_order(art_allocator *allocator);

/* A lua_Alloc; `context` is the allocator. */
void *art_allocate(void *context, void *block, size_t old, size_t size);

/* Frees everything, once the state is closed. */
void art_allocator_free(art_allocator *allocator);

#endif
