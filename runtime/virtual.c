/* What a script sees of time, chance and the order of tables under virtual
 * time: Lua reads the system's clock, and draws from it the order in which
 * `pairs` visits strings. */
#include "virtual.h"

#include "runtime.h"

#include <lualib.h>
#include <stdlib.h>
#include <string.h>

/* 2000-01-01 00:00:00 UTC: the date at which a run starts. */
#define VIRTUAL_START 946684800

/* --- os --- */

time_t art_date(asyncrt *rt) {
  if (!rt->options.virtual_time) return time(NULL);
  return VIRTUAL_START + (time_t) (asyncrt_now(rt) / ART_NS_PER_SECOND);
}

/* Runs Lua's own function, upvalue 1, in the frame of the one that replaces it:
 * errors name the latter and the line of its caller. */
static int original(lua_State *L) {
  return lua_tocfunction(L, lua_upvalueindex(1))(L);
}

/* os.time([table]): without a table the virtual date */
static int virtual_time(lua_State *L) {
  if (!lua_isnoneornil(L, 1)) return original(L);
  lua_pushinteger(L, (lua_Integer) art_date(art_runtime_of(L)));
  return 1;
}

/* os.date([format [, time]]): without a time the virtual date */
static int virtual_format(lua_State *L) {
  lua_settop(L, 2);
  if (lua_isnil(L, 1)) {
    lua_pushliteral(L, "%c");
    lua_replace(L, 1);
  }
  if (lua_isnil(L, 2)) {
    lua_pushinteger(L, (lua_Integer) art_date(art_runtime_of(L)));
    lua_replace(L, 2);
  }
  return original(L);
}

/* os.clock(): code takes no time, so what has passed is the clock */
static int virtual_clock(lua_State *L) {
  lua_pushnumber(L, (lua_Number) asyncrt_now(art_runtime_of(L)) /
                        ART_NS_PER_SECOND);
  return 1;
}

static void replace(lua_State *L, const char *name, lua_CFunction function) {
  lua_getfield(L, -1, name);
  lua_pushcclosure(L, function, 1);
  lua_setfield(L, -2, name);
}

/* --- pairs --- */

/* A key to be sorted; `place` is its index in the list of keys. */
typedef struct sort_key {
  int rank; /* numbers, strings, booleans, the rest */
  lua_Integer place;
  lua_Number number;
  lua_Integer integer;
  const char *text; /* borrowed; the list keeps the key */
  size_t length;
  uintptr_t address; /* of an object: grows with the time of its creation */
} sort_key;

enum { RANK_NUMBER, RANK_STRING, RANK_BOOLEAN, RANK_REST };

static sort_key key_at(lua_State *L, int index, lua_Integer place) {
  sort_key key = {.rank = RANK_REST, .place = place};

  switch (lua_type(L, index)) {
    case LUA_TNUMBER:
      key.rank = RANK_NUMBER;
      key.number = lua_tonumber(L, index);
      key.integer = lua_isinteger(L, index) ? lua_tointeger(L, index) : 0;
      break;
    case LUA_TSTRING:
      key.rank = RANK_STRING;
      key.text = lua_tolstring(L, index, &key.length);
      break;
    case LUA_TBOOLEAN:
      key.rank = RANK_BOOLEAN;
      key.integer = lua_toboolean(L, index);
      break;
    default: key.address = (uintptr_t) lua_topointer(L, index); break;
  }
  return key;
}

static int compare_text(const sort_key *a, const sort_key *b) {
  size_t shorter = a->length < b->length ? a->length : b->length;
  int order = memcmp(a->text, b->text, shorter);

  if (order != 0) return order;
  return (a->length > b->length) - (a->length < b->length);
}

static int compare(const void *first, const void *second) {
  const sort_key *a = first, *b = second;

  if (a->rank != b->rank) return a->rank - b->rank;
  if (a->rank == RANK_STRING) return compare_text(a, b);
  if (a->number != b->number) return a->number < b->number ? -1 : 1;
  if (a->integer != b->integer) return a->integer < b->integer ? -1 : 1;
  return (a->address > b->address) - (a->address < b->address);
}

/* next_key(table, key): the next of the keys, upvalue 1, that is still there;
 * the first one for nil */
static int next_key(lua_State *L) {
  lua_Integer place =
      lua_isnoneornil(L, 2) ? 0 : lua_tointeger(L, lua_upvalueindex(2));

  for (;;) {
    if (lua_rawgeti(L, lua_upvalueindex(1), ++place) == LUA_TNIL) return 1;
    lua_pushvalue(L, -1);
    if (lua_rawget(L, 1) != LUA_TNIL) break;
    lua_pop(L, 2);
  }
  lua_pushinteger(L, place);
  lua_replace(L, lua_upvalueindex(2));
  return 2;
}

/* The table is at 1. Returns the number of its keys, or 0 where Lua's own order
 * is fixed: where they are numbers, or there is one. */
static lua_Integer count_keys(lua_State *L) {
  lua_Integer keys = 0, others = 0;

  lua_pushnil(L);
  while (lua_next(L, 1) != 0) {
    lua_pop(L, 1);
    keys++;
    if (lua_type(L, -1) != LUA_TNUMBER) others++;
  }
  return others > 0 && keys > 1 ? keys : 0;
}

/* Pushes the list of the keys of the table at 1, in their order. */
static void push_sorted(lua_State *L, lua_Integer count) {
  sort_key *keys = lua_newuserdatauv(L, (size_t) count * sizeof(*keys), 0);
  int unsorted = lua_gettop(L) + 1;
  lua_Integer i = 0;

  lua_createtable(L, (int) count, 0);
  lua_pushnil(L);
  while (lua_next(L, 1) != 0 && i < count) {
    lua_pop(L, 1);
    lua_pushvalue(L, -1);
    lua_rawseti(L, unsorted, i + 1);
    keys[i] = key_at(L, -1, i + 1);
    i++;
  }
  lua_settop(L, unsorted);
  qsort(keys, (size_t) i, sizeof(*keys), compare);
  lua_createtable(L, (int) count, 0);
  for (count = i, i = 0; i < count; i++) {
    lua_rawgeti(L, unsorted, keys[i].place);
    lua_rawseti(L, -2, i + 1);
  }
}

static int metamethod_done(lua_State *L, int status, lua_KContext context) {
  (void) L;
  (void) status;
  (void) context;
  return 3;
}

/* pairs(table)
 *
 * As Lua's, but in the order of the keys: numbers, strings, false and true,
 * then objects in the order of their creation. */
static int ordered_pairs(lua_State *L) {
  lua_Integer count;

  luaL_checkany(L, 1);
  if (luaL_getmetafield(L, 1, "__pairs") != LUA_TNIL) {
    lua_pushvalue(L, 1);
    lua_callk(L, 1, 3, 0, metamethod_done); /* it may wait */
    return 3;
  }
  lua_settop(L, 1);
  if (lua_type(L, 1) != LUA_TTABLE) return original(L);
  count = count_keys(L);
  if (count == 0) return original(L);
  push_sorted(L, count);
  lua_pushinteger(L, 0);
  lua_pushcclosure(L, next_key, 2);
  lua_pushvalue(L, 1);
  lua_pushnil(L);
  return 3;
}

/* --- Opening --- */

void art_open_virtual(lua_State *L) {
  lua_getglobal(L, LUA_OSLIBNAME);
  replace(L, "time", virtual_time);
  replace(L, "date", virtual_format);
  replace(L, "clock", virtual_clock);
  lua_pop(L, 1);
  lua_pushglobaltable(L);
  replace(L, "pairs", ordered_pairs);
  lua_pop(L, 1);
}

void art_seed_math(lua_State *L, uint64_t seed) {
  lua_getglobal(L, LUA_MATHLIBNAME);
  lua_getfield(L, -1, "randomseed");
  lua_pushinteger(L, (lua_Integer) seed);
  lua_call(L, 1, 0);
  lua_pop(L, 1);
}
