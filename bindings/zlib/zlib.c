/* asyncrt.core.zlib: gzip a piece at a time, by zlib. */
#include "bindings.h"
#include "error.h"

#include <string.h>
#include <zlib.h>

#define GZIP 16   /* added to a window's size: with gzip's head and tail */
#define OUT 16384 /* bytes of output made by one call of zlib */

/* For responses, of which many may be under way: 64 KiB each. */
#define SMALL_WINDOW 13
#define SMALL_MEMORY 6
#define LARGE_WINDOW 15
#define LARGE_MEMORY 8

int luaopen_asyncrt_core_zlib(lua_State *L);

/* One of both; the metatable is upvalue 1 of its methods. */
typedef struct codec {
  z_stream stream;
  bool open;
} codec;

static codec *check_codec(lua_State *L, const char *type) {
  codec *self = art_check_self(L, 1, type);

  if (!self->open) art_raise(L, "the %s has ended", type);
  return self;
}

static void set_input(codec *self, const char *data, size_t size) {
  self->stream.next_in = (Bytef *) (uintptr_t) data;
  self->stream.avail_in = (uInt) size;
}

static _Noreturn void raise_memory(lua_State *L) {
  art_raise(L, "not enough memory");
}

/* Pushes a codec whose stream is zeroed. */
static codec *new_codec(lua_State *L) {
  codec *self = lua_newuserdatauv(L, sizeof(*self), 0);

  memset(self, 0, sizeof(*self));
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_setmetatable(L, -2);
  return self;
}

/* --- Compressing --- */

/* deflater(level, small) -> deflater
 *
 * `small` takes less memory and compresses a little less. */
static int zlib_deflater(lua_State *L) {
  int level = (int) art_check_integer(L, 1, 0, 9);
  bool small = lua_toboolean(L, 2);
  codec *self = new_codec(L);

  if (deflateInit2(&self->stream, level, Z_DEFLATED,
                   GZIP + (small ? SMALL_WINDOW : LARGE_WINDOW),
                   small ? SMALL_MEMORY : LARGE_MEMORY,
                   Z_DEFAULT_STRATEGY) != Z_OK)
    raise_memory(L);
  self->open = true;
  return 1;
}

static void deflater_end(codec *self) {
  if (self->open) deflateEnd(&self->stream);
  self->open = false;
}

/* deflater:add(bytes [, how]) -> string
 *
 * The bytes that come out now; with "flush" all that went in so far can be
 * decompressed from them, with "finish" they are the last. */
static int deflater_add(lua_State *L) {
  static const char *const names[] = {"more", "flush", "finish", NULL};
  static const int flushes[] = {Z_NO_FLUSH, Z_SYNC_FLUSH, Z_FINISH};
  codec *self = check_codec(L, "deflater");
  size_t size;
  const char *data = luaL_checklstring(L, 2, &size);
  int flush = flushes[luaL_checkoption(L, 3, "more", names)];
  luaL_Buffer out;

  luaL_argcheck(L, size <= INT32_MAX, 2, "too many bytes");
  luaL_buffinit(L, &out);
  set_input(self, data, size);
  do {
    self->stream.next_out = (Bytef *) luaL_prepbuffsize(&out, OUT);
    self->stream.avail_out = OUT;
    deflate(&self->stream, flush); /* an error there is of misuse only */
    luaL_addsize(&out, OUT - self->stream.avail_out);
  } while (self->stream.avail_out == 0);
  if (flush == Z_FINISH) deflater_end(self);
  luaL_pushresult(&out);
  return 1;
}

static int deflater_gc(lua_State *L) {
  deflater_end(lua_touserdata(L, 1));
  return 0;
}

/* --- Decompressing --- */

/* inflater() -> inflater */
static int zlib_inflater(lua_State *L) {
  codec *self = new_codec(L);

  if (inflateInit2(&self->stream, GZIP + LARGE_WINDOW) != Z_OK) raise_memory(L);
  self->open = true;
  return 1;
}

static void inflater_end(codec *self) {
  if (self->open) inflateEnd(&self->stream);
  self->open = false;
}

/* inflater:add(bytes, from, most) -> string, next, ended | nil, reason
 *
 * Decompresses bytes[from, …), until `most` bytes have come out or all have
 * gone in: `next` is the first that has not. `ended` says that a member is
 * complete; what follows may be another one, which is begun by itself. */
static int inflater_add(lua_State *L) {
  codec *self = check_codec(L, "inflater");
  size_t size;
  const char *data = luaL_checklstring(L, 2, &size);
  size_t from = (size_t) art_check_integer(L, 3, 1, (lua_Integer) size + 1) - 1;
  size_t most = (size_t) art_check_integer(L, 4, 1, 1 << 24);
  int status;
  luaL_Buffer out;

  luaL_argcheck(L, size - from <= INT32_MAX, 2, "too many bytes");
  set_input(self, data + from, size - from);
  self->stream.next_out = (Bytef *) luaL_buffinitsize(L, &out, most);
  self->stream.avail_out = (uInt) most;
  status = inflate(&self->stream, Z_NO_FLUSH);
  if (status == Z_MEM_ERROR) raise_memory(L);
  if (status == Z_DATA_ERROR || status == Z_NEED_DICT) {
    lua_pushnil(L);
    lua_pushstring(L, self->stream.msg != NULL ? self->stream.msg
                                               : "a dictionary is needed");
    return 2;
  }
  luaL_pushresultsize(&out, most - self->stream.avail_out);
  lua_pushinteger(L, (lua_Integer) (size - self->stream.avail_in) + 1);
  lua_pushboolean(L, status == Z_STREAM_END);
  if (status == Z_STREAM_END) inflateReset(&self->stream);
  return 3;
}

static int inflater_gc(lua_State *L) {
  inflater_end(lua_touserdata(L, 1));
  return 0;
}

/* --- The module --- */

static const luaL_Reg deflater_functions[] = {
    {"add", deflater_add},
    {NULL, NULL},
};

static const luaL_Reg inflater_functions[] = {
    {"add", inflater_add},
    {NULL, NULL},
};

/* Adds the function `make` of a class to the module on the top of the stack. */
static void add_class(lua_State *L, const char *name, lua_CFunction make,
                      const luaL_Reg *methods, lua_CFunction gc) {
  lua_newtable(L);
  lua_pushcfunction(L, gc);
  lua_setfield(L, -2, "__gc");
  lua_pushstring(L, name);
  lua_setfield(L, -2, "__name");
  art_set_methods(L, methods);
  lua_pushcclosure(L, make, 1);
  lua_setfield(L, -2, name);
}

int luaopen_asyncrt_core_zlib(lua_State *L) {
  lua_newtable(L);
  add_class(L, "deflater", zlib_deflater, deflater_functions, deflater_gc);
  add_class(L, "inflater", zlib_inflater, inflater_functions, inflater_gc);
  return 1;
}
