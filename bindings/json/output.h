/* asyncrt.json: the text that is being written. */
#ifndef ART_JSON_OUTPUT_H
#define ART_JSON_OUTPUT_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>

typedef struct art_json_output {
  lua_State *L; /* borrowed; where the lack of memory is raised */
  char *data;   /* owned */
  size_t length, capacity;
  int indent; /* spaces for each level; 0 keeps all on one line */
} art_json_output;

/* A larger block for `data`, whose items are of `size` bytes: room for `count`
 * more of them after `used`. Raises without memory; `data` is valid then. */
void *art_json_grow(lua_State *L, void *data, size_t used, size_t count,
                    size_t *capacity, size_t size);

void art_json_add_bytes(art_json_output *out, const char *text, size_t length);
void art_json_add_char(art_json_output *out, char c);
/* Begins a line at this level, if there are lines. */
void art_json_add_line(art_json_output *out, int level);

/* Adds a string in quotes; false where it is not UTF-8. */
bool art_json_add_string(art_json_output *out, const char *text, size_t length);
void art_json_add_integer(art_json_output *out, lua_Integer value);
/* Adds a finite number: the shortest digits that are read as the same, with a
 * point or an exponent, by which it stays a float. */
void art_json_add_float(art_json_output *out, double value);

#endif
