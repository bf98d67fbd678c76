/* Boxes: what joins an object of Lua to one of C, of which either may go first.
 *
 * A userdata and the object of C share a box, and neither points at the other.
 * The box holds a pointer to the object until that is closed. A userdata may
 * vanish untold: Lua loses a finalizer that finds the stack full. Its box stays
 * then, until the runtime is freed. */
#ifndef ART_BOX_H
#define ART_BOX_H

#include "asyncrt.h"

typedef struct art_box art_box;

/* Pushes a userdata of `values` user values that holds an empty box; returns
 * the place of the pointer in the box, which is NULL. Raises without memory,
 * and while the runtime is freed: what a finalizer opens then would stay open.
 * So whoever opens something pushes its box first. */
void *art_box_push(lua_State *L, int values);

/* The same place of the box that a userdata, which is not NULL, holds. */
static inline void *art_box_in(const void *userdata) {
  return *(void *const *) userdata;
}

static inline void *art_box_at(lua_State *L, int index) {
  return art_box_in(lua_touserdata(L, index));
}

/* The object of C that is put into the box at `place` holds it too, until it
 * empties it. */
void art_box_share(void *place);
void art_box_empty(asyncrt *rt, void *place);

/* The userdata at `index` is being collected, and the object of C closed: lets
 * go of the box. What still has the userdata finds an empty one. Idempotent. */
void art_box_drop(lua_State *L, int index);

void art_boxes_free(asyncrt *rt);

#endif
