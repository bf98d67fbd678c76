/* Boxes: what joins an object of Lua to one of C. */
#include "box.h"

#include "error.h"
#include "list.h"
#include "runtime.h"

#include <stdlib.h>
#include <string.h>

#define EACH 63 /* boxes in one block */

struct art_box {
  union {
    struct art_box *next; /* among the free ones */
    void *object;         /* borrowed; or NULL: only ever a user's of the box */
  } u;
  unsigned holders; /* the userdata, the object of C */
};

/* Blocks are kept: of boxes there are as many as there once were objects. */
typedef struct art_boxes {
  struct art_boxes *next;
  art_box boxes[EACH];
} art_boxes;

static const void *const no_object = NULL;

static bool add_block(asyncrt *rt) {
  art_boxes *block = malloc(sizeof(*block));
  int i;

  if (block == NULL) return false;
  block->next = rt->boxes;
  rt->boxes = block;
  for (i = 0; i < EACH; i++) {
    block->boxes[i].u.next = rt->free_boxes;
    rt->free_boxes = &block->boxes[i];
  }
  return true;
}

static void let_go(asyncrt *rt, art_box *box) {
  if (--box->holders > 0) return;
  box->u.next = rt->free_boxes;
  rt->free_boxes = box;
}

static art_box *box_of(void *place) {
  return art_container_of(place, art_box, u.object);
}

void *art_box_push(lua_State *L, int values) {
  asyncrt *rt = art_runtime_of(L);
  void **userdata;
  art_box *box;

  if (rt->closed) art_raise(L, "the runtime is closed");
  userdata = lua_newuserdatauv(L, sizeof(void *), values);
  if (rt->free_boxes == NULL && !add_block(rt))
    art_raise(L, "not enough memory");
  box = rt->free_boxes;
  rt->free_boxes = box->u.next;
  box->holders = 1;
  memset(&box->u, 0, sizeof(box->u));
  *userdata = &box->u.object;
  return &box->u.object;
}

void art_box_share(void *place) {
  box_of(place)->holders++;
}

void art_box_empty(asyncrt *rt, void *place) {
  memset(place, 0, sizeof(void *));
  let_go(rt, box_of(place));
}

void art_box_drop(lua_State *L, int index) {
  const void **userdata = lua_touserdata(L, index);
  void *place = art_box_in(userdata);

  if (place == &no_object) return;
  *userdata = &no_object;
  let_go(art_runtime_of(L), box_of(place));
}

void art_boxes_free(asyncrt *rt) {
  while (rt->boxes != NULL) {
    art_boxes *block = rt->boxes;

    rt->boxes = block->next;
    free(block);
  }
}
