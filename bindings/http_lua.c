/* HTTP between C and Lua: limits in, fields and failures out. */
#include "http_lua.h"

#include "options.h"

#include <string.h>

static uint32_t option_limit(lua_State *L, int arg, const char *name,
                             uint32_t otherwise) {
  return (uint32_t) art_option_integer(L, arg, name, 1, ART_HTTP_LIMIT_MAX,
                                       otherwise);
}

art_http_limits art_http_check_limits(lua_State *L, int arg) {
  static const char *const names[] = {
      "body", "extensions", "fields", "head", "start_line", "trailers", NULL};
  art_http_limits limits = art_http_default_limits;
  size_t body;

  art_check_options(L, arg, names);
  limits.start_line = option_limit(L, arg, "start_line", limits.start_line);
  limits.head = option_limit(L, arg, "head", limits.head);
  limits.fields = option_limit(L, arg, "fields", limits.fields);
  limits.trailers = option_limit(L, arg, "trailers", limits.trailers);
  limits.extensions = option_limit(L, arg, "extensions", limits.extensions);
  body = art_option_size(L, arg, "body", 0, SIZE_MAX);
  if (body != SIZE_MAX) limits.body = body;
  return limits;
}

void art_http_push_slice(lua_State *L, const art_http_parser *parser,
                         art_http_slice slice) {
  if (slice.size == 0)
    lua_pushliteral(L, "");
  else
    lua_pushlstring(L, art_http_text(parser, slice), slice.size);
}

void art_http_set_slice(lua_State *L, const art_http_parser *parser,
                        const char *name, art_http_slice slice) {
  art_http_push_slice(L, parser, slice);
  lua_setfield(L, -2, name);
}

void art_http_set_flag(lua_State *L, const char *name, bool value) {
  if (!value) return;
  lua_pushboolean(L, 1);
  lua_setfield(L, -2, name);
}

void art_http_set_form(lua_State *L, const art_http_parser *parser) {
  static const char *const forms[] = {"origin", "absolute", "authority",
                                      "asterisk"};

  lua_pushstring(L, forms[parser->form]);
  lua_setfield(L, -2, "form");
}

void art_http_set_framing(lua_State *L, const art_http_parser *parser) {
  static const char *const framings[] = {NULL, "length", "chunked", "eof"};

  if (parser->framing != ART_HTTP_NO_BODY) {
    lua_pushstring(L, framings[parser->framing]);
    lua_setfield(L, -2, "framing");
  }
  if (parser->framing == ART_HTTP_LENGTH) {
    lua_pushinteger(L, (lua_Integer) parser->length);
    lua_setfield(L, -2, "length");
  }
  art_http_set_flag(L, "upgrade", parser->upgrade);
  art_http_set_flag(L, "expects_continue", parser->expects_continue);
}

static bool is_name(const art_http_parser *parser, art_http_slice name,
                    const char *expected) {
  return name.size == strlen(expected) &&
         memcmp(art_http_text(parser, name), expected, name.size) == 0;
}

/* Whether the values of a field are one client's secrets, not to be kept. */
static bool is_secret(const art_http_parser *parser, art_http_slice name) {
  switch (name.size) {
    case 6: return is_name(parser, name, "cookie");
    case 10: return is_name(parser, name, "set-cookie");
    case 13: return is_name(parser, name, "authorization");
    case 19: return is_name(parser, name, "proxy-authorization");
    default: return false;
  }
}

static void push_value(lua_State *L, const art_http_parser *parser,
                       const art_http_strings *strings,
                       const art_http_field *field) {
  if (is_secret(parser, field->name))
    art_http_push_slice(L, parser, field->value);
  else
    art_http_push_string(L, strings, art_http_text(parser, field->value),
                         field->value.size);
}

/* Joins the value on the top of the stack to what is in the table at `table`
 * under the name below the value. */
static void join(lua_State *L, const art_http_parser *parser, int table,
                 const art_http_field *field) {
  bool is_list = is_name(parser, field->name, "set-cookie");

  lua_pushvalue(L, -2);
  if (lua_rawget(L, table) == LUA_TNIL) {
    lua_pop(L, 1);
    if (!is_list) return;
    lua_createtable(L, 1, 0);
  }
  lua_insert(L, -2);
  if (is_list) {
    lua_rawseti(L, -2, (lua_Integer) lua_rawlen(L, -2) + 1);
    return;
  }
  if (is_name(parser, field->name, "cookie"))
    lua_pushliteral(L, "; ");
  else
    lua_pushliteral(L, ", ");
  lua_insert(L, -2);
  lua_concat(L, 3);
}

/* One of 64 bits for a name: where it differs, the names do. */
static uint64_t bit_of(const art_http_parser *parser, art_http_slice name) {
  const char *text = art_http_text(parser, name);

  return (uint64_t) 1 << (((unsigned char) text[0] +
                           9u * (unsigned char) text[name.size * 3 / 4] +
                           7u * name.size) %
                          64);
}

void art_http_push_fields(lua_State *L, const art_http_parser *parser,
                          const art_http_strings *strings, uint32_t first,
                          uint32_t count) {
  uint64_t seen = 0;
  uint32_t i;
  int table;

  lua_createtable(L, 0, (int) count);
  table = lua_gettop(L);
  for (i = 0; i < count; i++) {
    art_http_field field = art_http_field_at(parser, first + i);
    uint64_t bit = bit_of(parser, field.name);

    art_http_push_string(L, strings, art_http_text(parser, field.name),
                         field.name.size);
    push_value(L, parser, strings, &field);
    if ((seen & bit) != 0 || is_name(parser, field.name, "set-cookie"))
      join(L, parser, table, &field);
    lua_rawset(L, table);
    seen |= bit;
  }
}

int art_http_push_failure(lua_State *L, art_http_error error) {
  lua_pushnil(L);
  lua_pushstring(L, art_http_error_message(error));
  lua_pushstring(L, art_http_error_name(error));
  lua_pushinteger(L, art_http_error_status(error));
  return 4;
}
