/* asyncrt.core.bytes: moving bytes without making Lua strings of them. */
#include "bindings.h"
#include "error.h"
#include "options.h"
#include "runtime.h"
#include "splice.h"
#include "stream_internal.h"

#define MOST_BYTES (1 << 30)
#define DEFAULT_BYTES 65536

static const char metatable_key; /* its address is the key in the registry */

/* --- Buffers --- */

art_bytes *art_to_bytes(lua_State *L, int arg) {
  void *bytes = lua_touserdata(L, arg);
  int equal;

  if (bytes == NULL || !lua_getmetatable(L, arg)) return NULL;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &metatable_key);
  equal = lua_rawequal(L, -1, -2);
  lua_pop(L, 2);
  return equal ? bytes : NULL;
}

static art_bytes *check_bytes(lua_State *L) {
  return art_check_self(L, 1, "buffer");
}

/* buffer([capacity = 65536]) -> buffer
 *
 * Bytes that stream:read_into fills and stream:write sends, again and again
 * without work for the collector. */
static int new_buffer(lua_State *L) {
  lua_Integer capacity = DEFAULT_BYTES;
  art_bytes *bytes;

  if (!lua_isnoneornil(L, 1)) capacity = art_check_integer(L, 1, 1, MOST_BYTES);
  bytes = lua_newuserdatauv(L, sizeof(*bytes) + (size_t) capacity, 0);
  bytes->size = 0;
  bytes->capacity = (size_t) capacity;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &metatable_key);
  lua_setmetatable(L, -2);
  return 1;
}

/* buffer:tostring() -> string */
static int bytes_tostring(lua_State *L) {
  art_bytes *bytes = check_bytes(L);

  lua_pushlstring(L, bytes->data, bytes->size);
  return 1;
}

/* #buffer -> how many bytes are in it */
static int bytes_length(lua_State *L) {
  lua_pushinteger(L, (lua_Integer) check_bytes(L)->size);
  return 1;
}

/* buffer:capacity() -> how many bytes it has room for */
static int bytes_capacity(lua_State *L) {
  lua_pushinteger(L, (lua_Integer) check_bytes(L)->capacity);
  return 1;
}

/* --- Copying. On the stack: the streams, how much is left, how much was
 * copied, how much the last time. The first upvalue is the splice. --- */

enum { FROM = 1, TO, LEFT, COPIED, LAST };

/* Where a whole buffer was received there is more, and the kernel's pages are
 * worth to be moved in the place of the bytes. */
static size_t move(lua_State *L, art_stream *from, art_stream *to) {
  art_splice *splice = lua_touserdata(L, lua_upvalueindex(1));
  size_t left = (size_t) lua_tointeger(L, LEFT);

  if (lua_tointeger(L, LAST) >= ART_BUFFER && art_splice_can(splice, from, to))
    return art_splice_move(splice, from, to, left);
  return art_stream_move(from, to, left);
}

static void count_moved(lua_State *L, lua_Integer moved) {
  if (moved == 0) return; /* there is nothing yet */
  lua_pushinteger(L, lua_tointeger(L, LEFT) - moved);
  lua_replace(L, LEFT);
  lua_pushinteger(L, lua_tointeger(L, COPIED) + moved);
  lua_replace(L, COPIED);
  lua_pushinteger(L, moved);
  lua_replace(L, LAST);
}

static int copied(lua_State *L, int results) {
  lua_pushvalue(L, COPIED);
  return results + 1;
}

static int have_room(lua_State *L, int results);

static int have_bytes(lua_State *L, int results) {
  art_stream **from = art_box_at(L, FROM), **to = art_box_at(L, TO);
  size_t moved;

  if (results > 0) return copied(L, results);
  if (*to == NULL) return copied(L, art_stream_push_closed(L));
  if ((*to)->shut)
    return copied(L, art_stream_push_error(L, *to, "write", UV_EPIPE));
  if ((*to)->writing || (*to)->writers.first != NULL)
    art_raise(L, "another task is already writing to this stream");
  moved = move(L, *from, *to);
  if ((*to)->write_error != 0)
    return copied(L,
                  art_stream_push_error(L, *to, "write", (*to)->write_error));
  if (moved == 0 && (*from)->ended) return copied(L, 0);
  if (moved == 0 && (*from)->read_error != 0)
    return copied(L,
                  art_stream_push_error(L, *from, "read", (*from)->read_error));
  count_moved(L, (lua_Integer) moved);
  return art_stream_await_room(L, to, have_room);
}

static int have_room(lua_State *L, int results) {
  art_stream **from = art_box_at(L, FROM);

  if (results > 0) return copied(L, results);
  if (lua_tointeger(L, LEFT) == 0) return copied(L, 0);
  return art_stream_await_bytes(L, from, have_bytes);
}

/* copy(from, to [, {max=}]) -> bytes | nil, message, code, bytes
 *
 * Copies until the end of `from`, or `max` bytes, and waits for whichever of
 * the streams is the slower one. Neither is closed, and what is the last may
 * still be queued in `to`. A cancelled copy has moved what it has moved. */
static int copy(lua_State *L) {
  static const char *const names[] = {"max", NULL};
  art_stream **to = art_stream_at(L, TO);
  size_t most;

  art_stream_at(L, FROM);
  art_check_options(L, LEFT, names);
  most = art_option_size(L, LEFT, "max", 0, SIZE_MAX);
  lua_settop(L, LEFT);
  lua_pushinteger(L, (lua_Integer) (most < INT64_MAX ? most : INT64_MAX));
  lua_replace(L, LEFT);
  lua_pushinteger(L, 0);
  lua_pushinteger(L, 0);
  return art_stream_await_room(L, to, have_room);
}

/* set_stream_methods(table)
 *
 * Adds functions to the methods of all streams. */
static int set_stream_methods(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  art_stream_push_methods(L);
  for (lua_pushnil(L); lua_next(L, 1) != 0; lua_pop(L, 1)) {
    lua_pushvalue(L, -2);
    lua_pushvalue(L, -2);
    lua_rawset(L, 2);
  }
  return 0;
}

static const luaL_Reg functions[] = {
    {"buffer", new_buffer},
    {"set_stream_methods", set_stream_methods},
    {NULL, NULL},
};

static const luaL_Reg methods[] = {
    {"tostring", bytes_tostring},
    {"capacity", bytes_capacity},
    {NULL, NULL},
};

static const luaL_Reg metamethods[] = {
    {"__len", bytes_length},
    {"__tostring", bytes_tostring},
    {NULL, NULL},
};

int art_open_bytes(lua_State *L) {
  art_open_stream(L);
  lua_newtable(L);
  lua_pushvalue(L, -1);
  luaL_setfuncs(L, metamethods, 1);
  art_set_methods(L, methods);
  lua_pushliteral(L, "buffer");
  lua_setfield(L, -2, "__name");
  lua_rawsetp(L, LUA_REGISTRYINDEX, &metatable_key);
  luaL_newlib(L, functions);
  art_splice_push(L);
  lua_pushcclosure(L, copy, 1);
  lua_setfield(L, -2, "copy");
  return 1;
}
