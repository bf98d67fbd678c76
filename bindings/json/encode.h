/* asyncrt.json: the state of encoding, and how a value is refused. */
#ifndef ART_JSON_ENCODE_H
#define ART_JSON_ENCODE_H

#include "output.h"

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>

typedef struct art_json_key {
  const char *text; /* borrowed: the string is on the stack */
  size_t length;
  int slot; /* where on the stack */
} art_json_key;

/* A userdata that the module keeps: its blocks are used again, and outlive an
 * error. */
typedef struct art_json_encoder {
  lua_State *L; /* borrowed, as what follows up to `sort`, for one call */
  const void *null, *array; /* identities of json.null, the arrays' metatable */
  int depth;
  bool sort;
  art_json_output out;
  art_json_key *keys; /* owned; of the objects being walked, outermost first */
  size_t key_count, key_capacity;
} art_json_encoder;

/* One step on the way from the outermost value to the current one: into a table
 * to one of its values. The outermost value is at NULL. */
typedef struct art_json_step {
  const struct art_json_step *parent;
  const void *table;
  const char *key; /* NULL for an index; borrowed: the string is on the stack */
  size_t length;
  lua_Integer index;
  int depth; /* 1 for the first step */
} art_json_step;

/* Raise for the value at a step, which is on the top of the stack. */
_Noreturn void art_json_refuse(art_json_encoder *e, const art_json_step *at,
                               const char *reason);
_Noreturn void art_json_refuse_type(art_json_encoder *e,
                                    const art_json_step *at);
/* For a table, `what`, whose key on the top of the stack does not fit it. */
_Noreturn void art_json_refuse_key(art_json_encoder *e, const art_json_step *at,
                                   const char *what);
/* For an array whose last index is higher than the number of its values. */
_Noreturn void art_json_refuse_holes(art_json_encoder *e,
                                     const art_json_step *at, lua_Integer last);
/* For the table that `inside` steps into: it lies too deep, most often since it
 * contains itself. */
_Noreturn void art_json_refuse_depth(art_json_encoder *e,
                                     const art_json_step *inside);

#endif
