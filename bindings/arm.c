/* Arms: what select accepts, in which order. */
#include "arm.h"

#include "error.h"
#include "runtime.h"
#include "timer.h"

#include <lauxlib.h>
#include <math.h>
#include <string.h>

#define FIRST_KEY 2 /* where the keys begin on the stack */

bool art_is_nan(lua_State *L, int index) {
  return lua_type(L, index) == LUA_TNUMBER && isnan(lua_tonumber(L, index));
}

static _Noreturn void raise_no_event(lua_State *L, int key, int value) {
  const char *name = luaL_tolstring(L, key, NULL);

  if (art_is_nan(L, value))
    art_raise(L, "arm '%s' is no event: a time cannot be NaN", name);
  art_raise(L, "arm '%s' is no event (a %s value)%s", name,
            luaL_typename(L, value),
            lua_type(L, value) == LUA_TFUNCTION
                ? "; to run code when an arm is chosen, use :wrap"
                : "");
}

art_event_kind art_arm_kind(lua_State *L, int value,
                            asyncrt_prepare_fn *prepare) {
  if (lua_type(L, value) == LUA_TNUMBER)
    return isnan(lua_tonumber(L, value)) ? ART_EVENT_NONE : ART_EVENT_BASE;
  return art_event_of(L, value, prepare);
}

art_event_kind art_check_arm(lua_State *L, int key, int value,
                             asyncrt_prepare_fn *prepare) {
  art_event_kind kind = art_arm_kind(L, value, prepare);

  if (kind == ART_EVENT_NONE) raise_no_event(L, key, value);
  return kind;
}

art_event_kind art_arm_prepare(lua_State *L, int key, int value,
                               asyncrt_op *op) {
  asyncrt_prepare_fn prepare = NULL;
  art_event_kind kind = art_check_arm(L, key, value, &prepare);

  if (kind == ART_EVENT_COMPOSITE) return kind;
  if (prepare != NULL)
    prepare(L, value, op);
  else
    art_timer_prepare(op, art_deadline(asyncrt_now(art_runtime_of(L)),
                                       lua_tonumber(L, value)));
  return kind;
}

/* Strings by their bytes. */
static bool string_before(lua_State *L, int a, int b) {
  size_t a_length, b_length;
  const char *a_text = lua_tolstring(L, a, &a_length);
  const char *b_text = lua_tolstring(L, b, &b_length);
  int order = memcmp(a_text, b_text, a_length < b_length ? a_length : b_length);

  return order < 0 || (order == 0 && a_length < b_length);
}

enum { RANK_INTEGER, RANK_STRING, RANK_FLOAT, RANK_BOOLEAN, RANK_OBJECT };

static int rank_of(lua_State *L, int index) {
  switch (lua_type(L, index)) {
    case LUA_TNUMBER:
      return lua_isinteger(L, index) ? RANK_INTEGER : RANK_FLOAT;
    case LUA_TSTRING: return RANK_STRING;
    case LUA_TBOOLEAN: return RANK_BOOLEAN;
    default: return RANK_OBJECT;
  }
}

/* Orders keys: integers ascending, then, where `all` is wanted, strings, floats
 * and booleans, then objects, whose addresses grow with the time of their
 * creation under virtual time; else the rest as they come. */
static bool comes_before(lua_State *L, int a, int b, bool all) {
  int a_rank = rank_of(L, a), b_rank = rank_of(L, b);

  if (a_rank == RANK_INTEGER && b_rank == RANK_INTEGER)
    return lua_tointeger(L, a) < lua_tointeger(L, b);
  if (!all) return a_rank == RANK_INTEGER && b_rank != RANK_INTEGER;
  if (a_rank != b_rank) return a_rank < b_rank;
  switch (a_rank) {
    case RANK_STRING: return string_before(L, a, b);
    case RANK_FLOAT: return lua_tonumber(L, a) < lua_tonumber(L, b);
    case RANK_BOOLEAN: return lua_toboolean(L, a) < lua_toboolean(L, b);
    default: return lua_topointer(L, a) < lua_topointer(L, b);
  }
}

/* Moves the last pair, at `last`, to its place among those from `base` on. */
static void sort_in(lua_State *L, int base, int last, bool all) {
  int low = base, high = last;

  if (last == base || !comes_before(L, last, last - 2, all)) return;
  while (low < high) {
    int middle = base + ((low - base) / 2 + (high - base) / 2) / 2 * 2;

    if (comes_before(L, last, middle, all))
      high = middle;
    else
      low = middle + 2;
  }
  lua_rotate(L, low, 2);
}

/* The last of the keys that are in order, where only integers have one. */
typedef struct art_last_key {
  bool is_integer;
  lua_Integer integer;
} art_last_key;

/* Whether the key at `key` comes before the one of the pair below, which is
 * `last`; if not it is the last one from now on. */
static bool is_out_of_order(lua_State *L, int key, bool all,
                            art_last_key *last) {
  art_last_key this = {false, 0};

  if (all) return key > FIRST_KEY && comes_before(L, key, key - 2, true);
  this.is_integer = lua_isinteger(L, key);
  if (this.is_integer) {
    this.integer = lua_tointeger(L, key);
    if (key > FIRST_KEY && !(last->is_integer && this.integer >= last->integer))
      return true;
  }
  *last = this;
  return false;
}

int art_push_arms(lua_State *L) {
  bool all = art_runtime_of(L)->options.virtual_time;
  art_last_key last = {false, 0};
  int key = FIRST_KEY;

  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  lua_pushnil(L);
  while (lua_next(L, 1) != 0) {
    if (lua_type(L, -1) == LUA_TBOOLEAN && !lua_toboolean(L, -1)) {
      lua_pop(L, 1); /* false, like nil, is no arm */
      continue;
    }
    if (key % 16 == 0) luaL_checkstack(L, 2 * LUA_MINSTACK, "too many arms");
    lua_pushvalue(L, key); /* lua_next goes on from it */
    if (is_out_of_order(L, key, all, &last)) {
      lua_insert(L, 2);
      sort_in(L, 3, key + 1, all);
      lua_pushvalue(L, 2);
      lua_remove(L, 2);
    }
    key += 2;
  }
  return (key - FIRST_KEY) / 2;
}
