/* The head of a response. */
#include "head.h"

#include "http_syntax.h"

#include <ctype.h>
#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#define LEAST_CAPACITY 1024u
#define NAME_TEXT 256u

static const char metatable_key; /* its address is the key in the registry */

typedef struct slice {
  const char *text;
  size_t size;
} slice;

void art_head_free(art_head *head) {
  free(head->data);
  head->data = NULL;
}

void art_head_restart(art_head *head) {
  head->size = head->end = 0;
  head->lines = 0;
  head->status = 0;
  head->is_complete = false;
}

/* The three digits behind "HTTP/1.1 ", or 0. */
static int read_status(const char *line, size_t size) {
  const char *space = memchr(line, ' ', size);

  if (space == NULL || size - (size_t) (space - line) < 4) return 0;
  return (int) strtol(space + 1, NULL, 10);
}

bool art_head_add(art_head *head, const char *line, size_t size) {
  size_t capacity = head->capacity > 0 ? head->capacity : LEAST_CAPACITY;

  while (capacity - head->size <= size) capacity *= 2;
  if (capacity > head->capacity) {
    char *data = realloc(head->data, capacity);
    if (data == NULL) return false;
    head->data = data;
    head->capacity = capacity;
  }
  memcpy(head->data + head->size, line, size);
  head->size += size;
  head->data[head->size] = '\0';
  if (head->lines++ == 0) head->status = read_status(head->data, head->size);
  return true;
}

static slice trim(const char *from, const char *to) {
  slice result;

  while (from < to && isspace((unsigned char) *from)) from++;
  while (to > from && isspace((unsigned char) to[-1])) to--;
  result.text = from;
  result.size = (size_t) (to - from);
  return result;
}

/* Takes the next field off the lines between *from and `to`; false behind the
 * last one. */
static bool next_field(const char **from, const char *to, slice *name,
                       slice *value) {
  while (*from < to) {
    const char *line = *from, *end = memchr(line, '\n', (size_t) (to - line));
    const char *colon;

    if (end == NULL) end = to;
    /* A line that begins with a space goes on with the one before it. */
    while (end + 1 < to && (end[1] == ' ' || end[1] == '\t') &&
           memchr(end + 1, '\n', (size_t) (to - end - 1)) != NULL)
      end = memchr(end + 1, '\n', (size_t) (to - end - 1));
    *from = end < to ? end + 1 : to;
    colon = memchr(line, ':', (size_t) (end - line));
    if (colon == NULL) continue;
    *name = trim(line, colon);
    *value = trim(colon + 1, end);
    if (name->size > 0) return true;
  }
  return false;
}

/* Where the fields begin: behind the status line. */
static const char *fields_of(const art_head *head) {
  const char *end = memchr(head->data, '\n', head->end);

  return end != NULL ? end + 1 : head->data + head->end;
}

const char *art_head_find(const art_head *head, const char *lower_case,
                          size_t *size) {
  const char *from = fields_of(head);
  slice name, value;

  while (next_field(&from, head->data + head->end, &name, &value)) {
    if (!art_http_equals(name.text, name.size, lower_case)) continue;
    *size = value.size;
    return value.text;
  }
  return NULL;
}

bool art_head_is_first_version(const art_head *head) {
  return head->size > 7 && memcmp(head->data, "HTTP/1.", 7) == 0;
}

/* --- Lua --- */

static void push_lower(lua_State *L, slice text) {
  char lower[NAME_TEXT];
  size_t i;

  if (text.size > sizeof(lower)) text.size = sizeof(lower);
  for (i = 0; i < text.size; i++)
    lower[i] = (char) tolower((unsigned char) text.text[i]);
  lua_pushlstring(L, lower, text.size);
}

/* Adds a field to the table on the top, as the server's parser does. */
static void add_field(lua_State *L, slice name, slice value) {
  bool is_list = art_http_equals(name.text, name.size, "set-cookie");
  int type;

  push_lower(L, name);
  lua_pushvalue(L, -1);
  type = lua_rawget(L, -3);
  if (type == LUA_TNIL) {
    lua_pop(L, 1);
    if (is_list) lua_createtable(L, 1, 0);
  } else if (!is_list) {
    lua_pushliteral(L, ", ");
  }
  lua_pushlstring(L, value.text, value.size);
  if (is_list)
    lua_rawseti(L, -2, (lua_Integer) lua_rawlen(L, -2) + 1);
  else if (type != LUA_TNIL)
    lua_concat(L, 3);
  lua_rawset(L, -3);
}

/* headers[name], where it is not in lower case. */
static int fields_index(lua_State *L) {
  slice name;

  if (lua_type(L, 2) != LUA_TSTRING) return 0;
  name.text = lua_tolstring(L, 2, &name.size);
  push_lower(L, name);
  lua_rawget(L, 1);
  return 1;
}

static void set_metatable(lua_State *L) {
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &metatable_key) == LUA_TNIL) {
    lua_pop(L, 1);
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, fields_index);
    lua_setfield(L, -2, "__index");
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &metatable_key);
  }
  lua_setmetatable(L, -2);
}

static void push_fields(lua_State *L, const char *from, const char *to,
                        unsigned count) {
  slice name, value;

  lua_createtable(L, 0, (int) count);
  while (next_field(&from, to, &name, &value)) add_field(L, name, value);
  set_metatable(L);
}

int art_head_push(lua_State *L, const art_head *head) {
  const char *line = head->data, *end = fields_of(head);
  const char *version = memchr(line, '/', (size_t) (end - line));
  const char *space = memchr(line, ' ', (size_t) (end - line));
  slice reason = {"", 0}, number = {"", 0};

  if (space != NULL && end - space > 4) reason = trim(space + 4, end);
  if (version != NULL && space != NULL && version < space)
    number = trim(version + 1, space);
  lua_pushinteger(L, head->status);
  lua_pushlstring(L, reason.text, reason.size);
  lua_pushlstring(L, number.text, number.size);
  push_fields(L, end, head->data + head->end, head->lines);
  return 4;
}

int art_head_push_trailers(lua_State *L, const art_head *head) {
  if (!head->is_complete || head->size == head->end) return 0;
  push_fields(L, head->data + head->end, head->data + head->size, 4);
  return 1;
}
