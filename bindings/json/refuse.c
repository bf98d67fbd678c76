/* asyncrt.json: what cannot be encoded, and where it is. */
#include "encode.h"

#include "error.h"
#include "utf8.h"

#include <lauxlib.h>
#include <stdio.h>

#define SHOWN_STEPS 16 /* of a path, at its beginning and at its end */
#define SHOWN_KEY 64   /* bytes of a key */

static bool is_name(const char *text, size_t length) {
  if (length == 0 || length > SHOWN_KEY) return false;
  for (size_t i = 0; i < length; i++) {
    char c = text[i];

    if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
          (c >= '0' && c <= '9' && i > 0)))
      return false;
  }
  return true;
}

static void add_quoted(luaL_Buffer *b, const char *text, size_t length) {
  size_t shown = length < SHOWN_KEY ? length : SHOWN_KEY;

  luaL_addchar(b, '"');
  for (size_t i = 0; i < shown;) {
    int size = art_utf8_size(text + i, length - i);
    unsigned char c = (unsigned char) text[i];

    if (size <= 0 || c < 0x20 || c == 0x7f) {
      char hex[8];

      snprintf(hex, sizeof(hex), "\\x%02X", c);
      luaL_addstring(b, hex);
      i++;
    } else {
      if (c == '"' || c == '\\') luaL_addchar(b, '\\');
      luaL_addlstring(b, text + i, (size_t) size);
      i += (size_t) size;
    }
  }
  luaL_addstring(b, shown < length ? "…\"" : "\"");
}

static void add_path(luaL_Buffer *b, const art_json_step *at, int last) {
  if (at == NULL) {
    luaL_addchar(b, '$');
    return;
  }
  add_path(b, at->parent, last);
  if (at->depth > SHOWN_STEPS && at->depth <= last - SHOWN_STEPS) {
    if (at->depth == SHOWN_STEPS + 1) luaL_addstring(b, "…");
  } else if (at->key == NULL) {
    char index[32];

    snprintf(index, sizeof(index), "[" LUA_INTEGER_FMT "]", at->index);
    luaL_addstring(b, index);
  } else if (is_name(at->key, at->length)) {
    luaL_addchar(b, '.');
    luaL_addlstring(b, at->key, at->length);
  } else {
    luaL_addchar(b, '[');
    add_quoted(b, at->key, at->length);
    luaL_addchar(b, ']');
  }
}

static const char *push_path(lua_State *L, const art_json_step *at) {
  luaL_Buffer b;

  luaL_buffinit(L, &b);
  add_path(&b, at, at == NULL ? 0 : at->depth);
  luaL_pushresult(&b);
  return lua_tostring(L, -1);
}

void art_json_refuse(art_json_encoder *e, const art_json_step *at,
                     const char *reason) {
  lua_State *L = e->L;

  luaL_checkstack(L, LUA_MINSTACK, NULL);
  art_raise(L, "json.encode: %s: %s", push_path(L, at), reason);
}

void art_json_refuse_type(art_json_encoder *e, const art_json_step *at) {
  lua_State *L = e->L;

  luaL_checkstack(L, LUA_MINSTACK, NULL);
  art_json_refuse(e, at,
                  lua_pushfstring(L, "a %s value has no form in JSON",
                                  luaL_typename(L, -1)));
}

void art_json_refuse_key(art_json_encoder *e, const art_json_step *at,
                         const char *what) {
  lua_State *L = e->L;

  luaL_checkstack(L, LUA_MINSTACK, NULL);
  if (lua_type(L, -1) == LUA_TSTRING) {
    luaL_Buffer b;
    size_t length;
    const char *text = lua_tolstring(L, -1, &length);

    luaL_buffinit(L, &b);
    add_quoted(&b, text, length);
    luaL_pushresult(&b);
  } else if (lua_type(L, -1) == LUA_TNUMBER) {
    lua_pushvalue(L, -1);
  } else {
    lua_pushfstring(L, "(a %s)", luaL_typename(L, -1));
  }
  art_json_refuse(
      e, at,
      lua_pushfstring(L, "%s has the key %s", what, lua_tostring(L, -1)));
}

void art_json_refuse_holes(art_json_encoder *e, const art_json_step *at,
                           lua_Integer last) {
  lua_State *L = e->L;

  luaL_checkstack(L, LUA_MINSTACK, NULL);
  art_json_refuse(e, at,
                  lua_pushfstring(L, "an array with holes up to index %I",
                                  (LUAI_UACINT) last));
}

void art_json_refuse_depth(art_json_encoder *e, const art_json_step *inside) {
  const art_json_step *inner, *outer, *again = NULL, *first = NULL;
  lua_State *L = e->L;

  /* The outermost table that is met again within itself. */
  for (inner = inside; inner->parent != NULL; inner = inner->parent)
    for (outer = inner->parent; outer != NULL; outer = outer->parent)
      if (outer->table == inner->table) {
        again = inner;
        first = outer;
        break;
      }
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  if (again == NULL)
    art_json_refuse(
        e, inside->parent,
        lua_pushfstring(L, "nested deeper than %d levels", e->depth));
  art_json_refuse(e, again->parent,
                  lua_pushfstring(L, "the table at %s, inside itself",
                                  push_path(L, first->parent)));
}
