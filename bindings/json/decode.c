/* asyncrt.json: decoding. Jansson makes a tree of the text, which is turned
 * into Lua values and freed. */
#include "json.h"

#include "error.h"
#include "options.h"

#include <jansson.h>
#include <lauxlib.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>

#define BYTE_ORDER_MARK "\xEF\xBB\xBF"

/* A userdata, so that an error of Lua during the conversion frees the tree. */
typedef struct tree {
  json_t *root; /* owned; NULL before and after the conversion */
} tree;

static void tree_free(tree *t) {
  json_t *root = t->root;

  t->root = NULL;
  json_decref(root);
}

static int tree_gc(lua_State *L) {
  tree_free(lua_touserdata(L, 1));
  return 0;
}

void art_json_push_tree_metatable(lua_State *L) {
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, tree_gc);
  lua_setfield(L, -2, "__gc");
}

static tree *push_tree(lua_State *L) {
  tree *t = lua_newuserdatauv(L, sizeof(*t), 0);

  t->root = NULL;
  lua_pushvalue(L, ART_JSON_TREE);
  lua_setmetatable(L, -2);
  return t;
}

static int size_hint(size_t size) {
  return size < INT_MAX ? (int) size : INT_MAX;
}

static void push_value(lua_State *L, json_t *value);

static void push_array(lua_State *L, const json_t *array) {
  size_t size = json_array_size(array);

  lua_createtable(L, size_hint(size), 0);
  lua_pushvalue(L, ART_JSON_ARRAY);
  lua_setmetatable(L, -2);
  for (size_t i = 0; i < size; i++) {
    push_value(L, json_array_get(array, i));
    lua_rawseti(L, -2, (lua_Integer) i + 1);
  }
}

static void push_object(lua_State *L, json_t *object) {
  void *iterator;

  lua_createtable(L, 0, size_hint(json_object_size(object)));
  for (iterator = json_object_iter(object); iterator != NULL;
       iterator = json_object_iter_next(object, iterator)) {
    lua_pushlstring(L, json_object_iter_key(iterator),
                    json_object_iter_key_len(iterator));
    push_value(L, json_object_iter_value(iterator));
    lua_rawset(L, -3);
  }
}

static void push_value(lua_State *L, json_t *value) {
  luaL_checkstack(L, 4, NULL);
  switch (json_typeof(value)) {
    case JSON_OBJECT: push_object(L, value); break;
    case JSON_ARRAY: push_array(L, value); break;
    case JSON_STRING:
      lua_pushlstring(L, json_string_value(value), json_string_length(value));
      break;
    case JSON_INTEGER: lua_pushinteger(L, json_integer_value(value)); break;
    case JSON_REAL: lua_pushnumber(L, json_real_value(value)); break;
    case JSON_TRUE: lua_pushboolean(L, true); break;
    case JSON_FALSE: lua_pushboolean(L, false); break;
    case JSON_NULL: lua_pushvalue(L, ART_JSON_NULL); break;
  }
}

/* The first byte of `text` that nests too deep, or NULL. It is looked for
 * before jansson sees the text, so that no tree is built in vain. */
static const char *find_depth(const char *text, size_t size, int limit) {
  const char *end = text + size;
  bool in_string = false;
  int depth = 0;

  for (; text < end; text++) {
    if (in_string) {
      if (*text == '\\')
        text++;
      else if (*text == '"')
        in_string = false;
    } else if (*text == '"') {
      in_string = true;
    } else if (*text == '[' || *text == '{') {
      if (++depth > limit) return text;
    } else if (*text == ']' || *text == '}') {
      depth--;
    }
  }
  return NULL;
}

static int fail(lua_State *L, int line, int column, const char *reason,
                const char *code) {
  return art_push_failure(L,
                          lua_pushfstring(L,
                                          "json.decode: line %d, column %d: %s",
                                          line, column, reason),
                          code);
}

/* The same for the byte `at` of `text`. */
static int fail_at(lua_State *L, const char *text, const char *at,
                   const char *reason, const char *code) {
  int line = 1, column = 1;

  for (; text < at; text++) {
    if (*text == '\n') {
      line++;
      column = 1;
    } else if ((*text & 0xC0) != 0x80) { /* not within a character */
      column++;
    }
  }
  return fail(L, line, column, reason, code);
}

static int fail_parse(lua_State *L, const json_error_t *error) {
  const char *code = "ESYNTAX";

  switch (json_error_code(error)) {
    case json_error_unknown: /* nothing else is left without a code */
    case json_error_out_of_memory: return luaL_error(L, "not enough memory");
    case json_error_stack_overflow: code = "ELIMIT"; break;
    case json_error_invalid_utf8: code = "EENCODING"; break;
    case json_error_premature_end_of_input: code = "EOF"; break;
    case json_error_duplicate_key: code = "EDUPLICATE"; break;
    case json_error_numeric_overflow: code = "ERANGE"; break;
    default: break;
  }
  return fail(L, error->line, error->column, error->text, code);
}

/* json.decode(text [, options]) -> value | nil, message, code
 *
 * The value that the text, all of it, stands for. Limits: depth, how deep it
 * nests; size, in bytes; unique, whether a repeated key is an error. */
int art_json_decode(lua_State *L) {
  static const char *const names[] = {"depth", "size", "unique", NULL};
  json_error_t error = {0};
  size_t size, limit, flags = JSON_DECODE_ANY | JSON_ALLOW_NUL;
  const char *text, *at;
  int depth;
  tree *t;

  luaL_checktype(L, 1, LUA_TSTRING);
  text = lua_tolstring(L, 1, &size);
  art_check_options(L, 2, names);
  depth = (int) art_option_integer(L, 2, "depth", 1, ART_JSON_DEPTH_MOST,
                                   ART_JSON_DEPTH);
  limit = art_option_size(L, 2, "size", 0, SIZE_MAX);
  if (art_option_boolean(L, 2, "unique", false))
    flags |= JSON_REJECT_DUPLICATES;

  if (size > limit)
    return art_push_failure(
        L,
        lua_pushfstring(L, "json.decode: the text is longer than %I bytes",
                        (LUAI_UACINT) limit),
        "ELIMIT");
  if (size >= 3 && memcmp(text, BYTE_ORDER_MARK, 3) == 0) {
    text += 3;
    size -= 3;
  }
  at = memchr(text, '\0', size); /* which jansson takes for the end */
  if (at != NULL) return fail_at(L, text, at, "NUL byte", "ESYNTAX");
  at = find_depth(text, size, depth);
  if (at != NULL)
    return fail_at(L, text, at,
                   lua_pushfstring(L, "nested deeper than %d levels", depth),
                   "ELIMIT");

  t = push_tree(L);
  t->root = json_loadb(text, size, flags, &error);
  if (t->root == NULL) return fail_parse(L, &error);
  push_value(L, t->root);
  tree_free(t);
  return 1;
}
