/* asyncrt.core.http_parser: the parser of HTTP/1.1 messages for Lua. */
#include "bindings.h"
#include "error.h"
#include "http_lua.h"
#include "http_parser.h"

#include <string.h>

typedef struct parser_object {
  art_http_parser parser;
  size_t offset, size; /* of the input, which is user value 1: used, in all */
  bool at_eof;
} parser_object;

static parser_object *check_parser(lua_State *L) {
  return art_check_self(L, 1, "asyncrt.http.Parser");
}

/* An idle connection keeps no bytes alive. */
static void drop_input(lua_State *L, parser_object *object) {
  object->offset = object->size = 0;
  lua_pushnil(L);
  lua_setiuservalue(L, 1, 1);
}

/* --- Heads --- */

static void set_start_line(lua_State *L, const art_http_parser *parser) {
  if (parser->kind == ART_HTTP_RESPONSE) {
    lua_pushinteger(L, parser->status);
    lua_setfield(L, -2, "status");
    art_http_set_slice(L, parser, "reason", parser->reason);
    return;
  }
  art_http_set_slice(L, parser, "method", parser->method);
  art_http_set_slice(L, parser, "target", parser->target);
  if (parser->authority.size > 0)
    art_http_set_slice(L, parser, "host", parser->authority);
}

static void push_fields(lua_State *L, const art_http_parser *parser,
                        uint32_t first, uint32_t count) {
  art_http_strings strings = art_http_push_strings(L);

  art_http_push_fields(L, parser, &strings, first, count);
  lua_remove(L, strings.table);
}

static void push_head(lua_State *L, const art_http_parser *parser) {
  char version[3] = {'1', '.', (char) ('0' + parser->version)};

  lua_createtable(L, 0, 8);
  set_start_line(L, parser);
  if (parser->kind == ART_HTTP_REQUEST) art_http_set_form(L, parser);
  lua_pushlstring(L, version, sizeof(version));
  lua_setfield(L, -2, "version");
  push_fields(L, parser, 0, parser->field_count);
  lua_setfield(L, -2, "headers");
  art_http_set_framing(L, parser);
  art_http_set_flag(L, "keep_alive", parser->keep_alive);
}

/* --- Methods --- */

/* parser:feed(bytes)
 *
 * Gives the parser bytes as they were read. Raises while it has some that it
 * did not use: `next` has to be called until it returns nil. */
static int parser_feed(lua_State *L) {
  parser_object *object = check_parser(L);
  size_t size;

  luaL_checklstring(L, 2, &size);
  if (object->offset < object->size)
    art_raise(L, "the parser has bytes left: call next until it returns nil");
  lua_settop(L, 2);
  lua_setiuservalue(L, 1, 1);
  object->offset = 0;
  object->size = size;
  return 0;
}

/* parser:finish()
 *
 * Tells that no byte follows those that were fed. */
static int parser_finish(lua_State *L) {
  check_parser(L)->at_eof = true;
  return 0;
}

/* The input is at stack index 2, `text` its bytes. */
static void push_body(lua_State *L, const parser_object *object,
                      const char *text) {
  const art_http_parser *parser = &object->parser;

  lua_pushliteral(L, "body");
  if (parser->body == text && parser->body_size == object->size)
    lua_pushvalue(L, 2);
  else
    lua_pushlstring(L, parser->body, parser->body_size);
}

static int push_event(lua_State *L, const parser_object *object,
                      art_http_event event, const char *text) {
  const art_http_parser *parser = &object->parser;

  switch (event) {
    case ART_HTTP_HEAD:
      lua_pushliteral(L, "head");
      push_head(L, parser);
      return 2;
    case ART_HTTP_BODY: push_body(L, object, text); return 2;
    case ART_HTTP_TRAILERS:
      lua_pushliteral(L, "trailers");
      push_fields(L, parser, parser->field_count, parser->trailer_count);
      return 2;
    case ART_HTTP_END: lua_pushliteral(L, "end"); return 1;
    case ART_HTTP_FAILED: return art_http_push_failure(L, parser->error);
    default: lua_pushnil(L); return 1;
  }
}

/* parser:next() -> event, value | nil | nil, message, code, status
 *
 * The next event in the bytes that were fed:
 *
 *   "head", table      start line and header fields
 *   "body", string     some of the body, never empty
 *   "trailers", table  fields behind a chunked body, where there are any
 *   "end"              the message is complete; again until `restart`
 *   nil                all bytes are used: feed more. After `finish`: the
 *                      connection ended between two messages
 *
 * A head is {method, target, form, host, version, headers, …} of a request,
 * {status, reason, version, headers, …} of a response; both have framing
 * ("length", "chunked", "eof"; nil without a body), length, keep_alive,
 * upgrade, expects_continue. headers and trailers map names in lower case to
 * values; those of a repeated field are joined by ", " (cookie: "; "), but
 * set-cookie is a list.
 *
 * A message that is not allowed is nil, a message, the error's name such as
 * "BAD_HOST", and the status to answer with; the parser stays so. Never waits.
 * A body that is all of a fed string is that string. */
static int parser_next(lua_State *L) {
  parser_object *object = check_parser(L);
  const char *text = NULL;
  art_http_event event;
  size_t used;
  int results;

  lua_settop(L, 1);
  lua_getiuservalue(L, 1, 1);
  if (object->size > 0) text = lua_tostring(L, 2);
  event = art_http_parse(&object->parser,
                         text == NULL ? NULL : text + object->offset,
                         object->size - object->offset, &used);
  object->offset += used;
  if (event == ART_HTTP_NEED_MORE && object->at_eof)
    event = art_http_eof(&object->parser);
  results = push_event(L, object, event, text);
  if (object->offset == object->size && object->size > 0) drop_input(L, object);
  return results;
}

/* parser:restart()
 *
 * After "end": goes on with the next message, in the bytes that are left. */
static int parser_restart(lua_State *L) {
  parser_object *object = check_parser(L);
  size_t used;

  if (art_http_parse(&object->parser, NULL, 0, &used) != ART_HTTP_END)
    art_raise(L, "the message has not ended");
  art_http_restart(&object->parser);
  return 0;
}

/* parser:rest() -> string
 *
 * Takes the bytes that were fed and not used: where another protocol follows a
 * message. */
static int parser_rest(lua_State *L) {
  parser_object *object = check_parser(L);
  const char *text;

  lua_getiuservalue(L, 1, 1);
  text = lua_tostring(L, -1);
  if (object->offset == object->size)
    lua_pushliteral(L, "");
  else
    lua_pushlstring(L, text + object->offset, object->size - object->offset);
  drop_input(L, object);
  return 1;
}

/* parser:answers(method)
 *
 * Says to which method the coming response is the answer: one to HEAD has no
 * body, one to CONNECT that succeeds neither. */
static int parser_answers(lua_State *L) {
  parser_object *object = check_parser(L);
  const char *method = luaL_checkstring(L, 2);

  if (strcmp(method, "HEAD") == 0)
    art_http_answers(&object->parser, ART_HTTP_TO_HEAD);
  else if (strcmp(method, "CONNECT") == 0)
    art_http_answers(&object->parser, ART_HTTP_TO_CONNECT);
  else
    art_http_answers(&object->parser, ART_HTTP_TO_OTHER);
  return 0;
}

/* parser:is_idle() -> boolean
 *
 * Whether no byte of the next message has been fed. */
static int parser_is_idle(lua_State *L) {
  parser_object *object = check_parser(L);

  lua_pushboolean(L, object->offset == object->size &&
                         art_http_is_idle(&object->parser));
  return 1;
}

/* Leaves an object that works, should it be used again. */
static int parser_gc(lua_State *L) {
  art_http_parser *parser = &check_parser(L)->parser;
  art_http_limits limits = parser->limits;

  art_http_free(parser);
  art_http_init(parser, parser->kind, &limits);
  return 0;
}

/* --- The module --- */

static int new_parser(lua_State *L, art_http_kind kind) {
  art_http_limits limits = art_http_check_limits(L, 1);
  parser_object *object;

  object = lua_newuserdatauv(L, sizeof(*object), 1);
  memset(object, 0, sizeof(*object));
  art_http_init(&object->parser, kind, &limits);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_setmetatable(L, -2);
  return 1;
}

/* request([limits]) -> parser
 *
 * A parser of requests. Limits, in bytes: start_line (8192), head (32768, all
 * header fields), fields (100, their number), trailers (8192), extensions
 * (4096, of all chunks), body (math.huge). Raises for an unknown limit. */
static int http_parser_request(lua_State *L) {
  return new_parser(L, ART_HTTP_REQUEST);
}

/* response([limits]) -> parser
 *
 * A parser of responses. */
static int http_parser_response(lua_State *L) {
  return new_parser(L, ART_HTTP_RESPONSE);
}

static const luaL_Reg functions[] = {
    {"request", http_parser_request},
    {"response", http_parser_response},
    {NULL, NULL},
};

static const luaL_Reg methods[] = {
    {"answers", parser_answers}, {"feed", parser_feed},
    {"finish", parser_finish},   {"is_idle", parser_is_idle},
    {"next", parser_next},       {"rest", parser_rest},
    {"restart", parser_restart}, {NULL, NULL},
};

static const luaL_Reg metamethods[] = {
    {"__gc", parser_gc},
    {NULL, NULL},
};

int art_open_http_parser(lua_State *L) {
  luaL_newlibtable(L, functions);
  lua_newtable(L);
  lua_pushliteral(L, "asyncrt.http.Parser");
  lua_setfield(L, -2, "__name");
  art_set_methods(L, methods);
  lua_pushvalue(L, -1);
  luaL_setfuncs(L, metamethods, 1);
  luaL_setfuncs(L, functions, 1);
  return 1;
}
