/* asyncrt.json: encoding. The text is written while the value is walked; a tree
 * of jansson would be a second copy, and would show 0.1 as 0.10000000000000001.
 *
 * Between its options and its result, encoding makes no Lua object: so no
 * finalizer can run, encode too, or change a table that is being walked. */
#include "json.h"

#include "encode.h"
#include "options.h"

#include <lauxlib.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define KEPT_SIZE 65536    /* bytes, of each block between two calls */
#define STACK_EACH_LEVEL 8 /* slots that one level needs, without its keys */

/* --- The encoder --- */

static int encoder_gc(lua_State *L) {
  art_json_encoder *e = lua_touserdata(L, 1);

  free(e->out.data);
  free(e->keys);
  *e = (art_json_encoder){0};
  return 0;
}

void art_json_push_encoder(lua_State *L) {
  art_json_encoder *e = lua_newuserdatauv(L, sizeof(*e), 0);

  *e = (art_json_encoder){0};
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, encoder_gc);
  lua_setfield(L, -2, "__gc");
  lua_setmetatable(L, -2);
}

static void encoder_trim(art_json_encoder *e) {
  if (e->out.capacity > KEPT_SIZE) {
    free(e->out.data);
    e->out.data = NULL;
    e->out.capacity = 0;
  }
  if (e->key_capacity > KEPT_SIZE / sizeof(art_json_key)) {
    free(e->keys);
    e->keys = NULL;
    e->key_capacity = 0;
  }
}

/* --- Tables --- */

static void add_value(art_json_encoder *e, const art_json_step *at);

typedef struct shape {
  lua_Integer count, last; /* the number of keys; the highest index */
  bool is_array;
} shape;

static bool is_marked(art_json_encoder *e) {
  bool marked;

  if (!lua_getmetatable(e->L, -1)) return false;
  marked = lua_topointer(e->L, -1) == e->array;
  lua_pop(e->L, 1);
  return marked;
}

/* What the keys of the table on the top make of it. */
static shape find_shape(art_json_encoder *e, const art_json_step *at) {
  lua_State *L = e->L;
  bool marked = is_marked(e);
  shape s = {.is_array = marked};

  for (lua_pushnil(L); lua_next(L, -2) != 0;) {
    bool is_index = lua_isinteger(L, -2);

    lua_pop(L, 1);
    if (is_index ? lua_tointeger(L, -1) < 1 : lua_type(L, -1) != LUA_TSTRING)
      art_json_refuse_key(e, at, "a table");
    if (s.count == 0 && !marked) s.is_array = is_index;
    if (is_index != s.is_array)
      art_json_refuse_key(e, at, s.is_array ? "an array" : "an object");
    s.count++;
    if (is_index && lua_tointeger(L, -1) > s.last)
      s.last = lua_tointeger(L, -1);
  }
  if (s.is_array && s.last != s.count) art_json_refuse_holes(e, at, s.last);
  return s;
}

static void add_array(art_json_encoder *e, art_json_step *inside,
                      lua_Integer count) {
  art_json_add_char(&e->out, '[');
  for (inside->index = 1; inside->index <= count; inside->index++) {
    if (inside->index > 1) art_json_add_char(&e->out, ',');
    art_json_add_line(&e->out, inside->depth);
    lua_rawgeti(e->L, -1, inside->index);
    add_value(e, inside);
    lua_pop(e->L, 1);
  }
  art_json_add_line(&e->out, inside->depth - 1);
  art_json_add_char(&e->out, ']');
}

/* Adds the value on the top, behind its key. */
static void add_member(art_json_encoder *e, const art_json_step *inside,
                       bool first) {
  if (!first) art_json_add_char(&e->out, ',');
  art_json_add_line(&e->out, inside->depth);
  if (!art_json_add_string(&e->out, inside->key, inside->length))
    art_json_refuse(e, inside, "the key is not UTF-8");
  art_json_add_char(&e->out, ':');
  if (e->out.indent > 0) art_json_add_char(&e->out, ' ');
  add_value(e, inside);
}

static void add_members(art_json_encoder *e, art_json_step *inside) {
  lua_State *L = e->L;
  bool first = true;

  for (lua_pushnil(L); lua_next(L, -2) != 0; lua_pop(L, 1)) {
    inside->key = lua_tolstring(L, -2, &inside->length);
    add_member(e, inside, first);
    first = false;
  }
}

static int compare_keys(const void *a, const void *b) {
  const art_json_key *x = a, *y = b;
  size_t shorter = x->length < y->length ? x->length : y->length;
  int order = memcmp(x->text, y->text, shorter);

  if (order != 0) return order;
  return (x->length > y->length) - (x->length < y->length);
}

/* Pushes the keys of the table on the top, and lists them in order. */
static void sort_keys(art_json_encoder *e, const art_json_step *at,
                      size_t count) {
  lua_State *L = e->L;
  int table = lua_gettop(L);
  size_t first = e->key_count;

  if (count > INT_MAX / 2 || !lua_checkstack(L, (int) count + STACK_EACH_LEVEL))
    art_json_refuse(e, at, "too many keys to sort (sort = false takes them)");
  if (count > e->key_capacity - first)
    e->keys = art_json_grow(L, e->keys, first, count, &e->key_capacity,
                            sizeof(art_json_key));
  for (lua_pushnil(L); lua_next(L, table) != 0;) {
    art_json_key *key = &e->keys[e->key_count++];

    lua_pop(L, 1);
    key->text = lua_tolstring(L, -1, &key->length);
    key->slot = lua_gettop(L);
    lua_pushvalue(L, -1);
  }
  qsort(e->keys + first, count, sizeof(art_json_key), compare_keys);
}

static void add_sorted_members(art_json_encoder *e, const art_json_step *at,
                               art_json_step *inside, size_t count) {
  int table = lua_gettop(e->L);
  size_t first = e->key_count;

  sort_keys(e, at, count);
  for (size_t i = 0; i < count; i++) {
    art_json_key key = e->keys[first + i];

    inside->key = key.text;
    inside->length = key.length;
    lua_pushvalue(e->L, key.slot);
    lua_rawget(e->L, table);
    add_member(e, inside, i == 0);
    lua_pop(e->L, 1);
  }
  e->key_count = first;
  lua_settop(e->L, table);
}

static void add_table(art_json_encoder *e, const art_json_step *at) {
  art_json_step inside = {.parent = at, .table = lua_topointer(e->L, -1)};
  shape s;

  inside.depth = at == NULL ? 1 : at->depth + 1;
  if (inside.depth > e->depth) art_json_refuse_depth(e, &inside);
  luaL_checkstack(e->L, STACK_EACH_LEVEL, NULL);
  s = find_shape(e, at);
  if (s.count == 0) {
    art_json_add_bytes(&e->out, s.is_array ? "[]" : "{}", 2);
  } else if (s.is_array) {
    add_array(e, &inside, s.count);
  } else {
    art_json_add_char(&e->out, '{');
    if (e->sort && s.count > 1)
      add_sorted_members(e, at, &inside, (size_t) s.count);
    else
      add_members(e, &inside);
    art_json_add_line(&e->out, inside.depth - 1);
    art_json_add_char(&e->out, '}');
  }
}

/* --- Values --- */

static void add_number(art_json_encoder *e, const art_json_step *at) {
  double value = lua_tonumber(e->L, -1);

  if (lua_isinteger(e->L, -1))
    art_json_add_integer(&e->out, lua_tointeger(e->L, -1));
  else if (isfinite(value))
    art_json_add_float(&e->out, value);
  else
    art_json_refuse(e, at,
                    isnan(value) ? "NaN has no form in JSON"
                                 : "an infinite number has no form in JSON");
}

/* Adds the value on the top of the stack, which stays there. */
static void add_value(art_json_encoder *e, const art_json_step *at) {
  lua_State *L = e->L;
  size_t length;
  const char *text;

  switch (lua_type(L, -1)) {
    case LUA_TBOOLEAN:
      text = lua_toboolean(L, -1) ? "true" : "false";
      art_json_add_bytes(&e->out, text, strlen(text));
      break;
    case LUA_TNUMBER: add_number(e, at); break;
    case LUA_TSTRING:
      text = lua_tolstring(L, -1, &length);
      if (!art_json_add_string(&e->out, text, length))
        art_json_refuse(e, at, "the string is not UTF-8");
      break;
    case LUA_TTABLE: add_table(e, at); break;
    default:
      if (lua_touserdata(L, -1) != e->null || lua_isnil(L, -1))
        art_json_refuse_type(e, at);
      art_json_add_bytes(&e->out, "null", 4);
  }
}

/* json.encode(value [, options]) -> string
 *
 * Options: indent, spaces for each level; sort, objects in the order of their
 * keys, true unless given; depth, how deep tables may nest. Raises for what has
 * no form in JSON, naming where it is. */
int art_json_encode(lua_State *L) {
  static const char *const names[] = {"depth", "indent", "sort", NULL};
  art_json_encoder *e = lua_touserdata(L, ART_JSON_ENCODER);
  int depth, indent;
  bool sort;

  luaL_checkany(L, 1);
  art_check_options(L, 2, names);
  depth = (int) art_option_integer(L, 2, "depth", 1, ART_JSON_DEPTH_MOST,
                                   ART_JSON_DEPTH);
  indent = (int) art_option_integer(L, 2, "indent", 0, 16, 0);
  sort = art_option_boolean(L, 2, "sort", true);

  e->L = e->out.L = L;
  e->null = lua_touserdata(L, ART_JSON_NULL);
  e->array = lua_topointer(L, ART_JSON_ARRAY);
  e->depth = depth;
  e->sort = sort;
  e->key_count = 0;
  e->out.indent = indent;
  e->out.length = 0;
  lua_pushvalue(L, 1);
  add_value(e, NULL);
  lua_pushlstring(L, e->out.data, e->out.length);
  encoder_trim(e);
  return 1;
}
