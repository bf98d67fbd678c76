/* Strings kept by their bytes: a table of Lua strings, and beside it, for C,
 * where the bytes of each are. */
#include "http_strings.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define PLACES 256 /* each has two strings */
#define LONGEST 256

static const char strings_key; /* its address is the key in the registry */

typedef struct kept_string {
  const char *text; /* borrowed; of the string in the table; NULL for none */
  uint32_t size, hash;
} kept_string;

struct art_http_place {
  kept_string strings[2]; /* those of `place` are 2 * place + 1 and + 2 */
  uint32_t missed[2];     /* hashes of the last two that were not there */
  uint32_t oldest;        /* of the two strings */
};

/* The uppermost bits are those that every byte has had a part in. */
static uint32_t place_of(uint32_t hash) {
  return hash / (UINT32_MAX / PLACES + 1);
}

static lua_Integer index_of(uint32_t hash, uint32_t which) {
  return 2 * (lua_Integer) place_of(hash) + which + 1;
}

static uint64_t load_8(const char *text) {
  uint64_t bytes;

  memcpy(&bytes, text, sizeof(bytes));
  return bytes;
}

/* Of the first, the middle and the last bytes: strings of one length that
 * differ elsewhere only are rare, and merely not kept side by side. */
static uint32_t hash_of(const char *text, size_t size) {
  const uint64_t factor = UINT64_C(0x9e3779b97f4a7c15);
  uint64_t hash = size;

  if (size >= 8) {
    hash = (hash ^ load_8(text)) * factor;
    hash = (hash ^ load_8(text + size / 2 - 4)) * factor;
    hash ^= load_8(text + size - 8);
  } else if (size >= 4) {
    uint32_t first, last;

    memcpy(&first, text, sizeof(first));
    memcpy(&last, text + size - 4, sizeof(last));
    hash ^= (uint64_t) last << 32 | first;
  } else if (size > 0) {
    hash ^= (uint64_t) (unsigned char) text[0] << 8 |
            (uint64_t) (unsigned char) text[size / 2] << 16 |
            (uint64_t) (unsigned char) text[size - 1] << 24;
  }
  return (uint32_t) ((hash * factor) >> 32);
}

/* Whether a string that is not there has not been there lately either: one that
 * comes once is not to drive out the others. */
static bool is_wanted(art_http_place *place, uint32_t hash) {
  if (place->strings[place->oldest].text == NULL || place->missed[0] == hash ||
      place->missed[1] == hash)
    return true;
  place->missed[1] = place->missed[0];
  place->missed[0] = hash;
  return false;
}

static void push_new(lua_State *L, const art_http_strings *strings,
                     uint32_t hash, const char *text, size_t size) {
  art_http_place *place = &strings->places[place_of(hash)];
  kept_string *kept;

  lua_pushlstring(L, text, size); /* may run finalizers, which come here too */
  if (!is_wanted(place, hash)) return;
  kept = &place->strings[place->oldest];
  lua_pushvalue(L, -1);
  lua_rawseti(L, strings->table, index_of(hash, place->oldest));
  kept->text = lua_tostring(L, -1);
  kept->size = (uint32_t) size;
  kept->hash = hash;
  place->oldest ^= 1;
}

void art_http_push_string(lua_State *L, const art_http_strings *strings,
                          const char *text, size_t size) {
  art_http_place *place;
  uint32_t hash;
  uint32_t i;

  if (size > LONGEST) {
    lua_pushlstring(L, text, size);
    return;
  }
  hash = hash_of(text, size);
  place = &strings->places[place_of(hash)];
  for (i = 0; i < 2; i++) {
    const kept_string *kept = &place->strings[i];

    if (kept->hash != hash || kept->size != size || kept->text == NULL ||
        memcmp(kept->text, text, size) != 0)
      continue;
    lua_rawgeti(L, strings->table, index_of(hash, i));
    return;
  }
  push_new(L, strings, hash, text, size);
}

art_http_strings art_http_strings_at(lua_State *L, int table) {
  art_http_strings strings = {NULL, table};

  lua_rawgeti(L, table, 2 * PLACES + 1);
  strings.places = lua_touserdata(L, -1);
  lua_pop(L, 1);
  return strings;
}

art_http_strings art_http_push_strings(lua_State *L) {
  const size_t size = PLACES * sizeof(art_http_place);

  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &strings_key) == LUA_TNIL) {
    lua_pop(L, 1);
    lua_createtable(L, 2 * PLACES + 1, 0);
    memset(lua_newuserdatauv(L, size, 0), 0, size);
    lua_rawseti(L, -2, 2 * PLACES + 1);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &strings_key);
  }
  return art_http_strings_at(L, lua_gettop(L));
}
