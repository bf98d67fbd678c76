/* asyncrt.html: the links of a page, from pieces of it. The scanner finds the
 * tags, libxml2 takes them apart and decodes their entities. */
#include "bindings.h"
#include "decode.h"
#include "error.h"
#include "links.h"
#include "options.h"
#include "scan.h"

#include <libxml/HTMLparser.h>
#include <limits.h>
#include <string.h>

int luaopen_asyncrt_core_html(lua_State *L);

/* The metatable is upvalue 1 of every function. */
typedef struct parser {
  art_html_decoder decoder;
  art_html_scanner scanner;
  art_html_links links;
  htmlParserCtxtPtr xml;    /* owned; NULL after the end */
  char head[ART_HTML_HEAD]; /* kept until the encoding is chosen */
  size_t head_size;
  bool chosen;
  char given[32]; /* the encoding that the caller knows, or "" */
} parser;

static void parser_end(parser *p) {
  if (p->xml != NULL) htmlFreeParserCtxt(p->xml);
  p->xml = NULL;
  art_html_decoder_free(&p->decoder);
  art_html_scanner_free(&p->scanner);
  art_html_links_free(&p->links);
}

static int parser_gc(lua_State *L) {
  parser_end(lua_touserdata(L, 1));
  return 0;
}

static parser *check_parser(lua_State *L) {
  parser *p = art_check_self(L, 1, "parser");

  if (p->xml == NULL) art_raise(L, "the parser has finished");
  return p;
}

static _Noreturn void raise_memory(lua_State *L, parser *p) {
  parser_end(p);
  art_raise(L, "not enough memory");
}

static void on_text(void *context, const char *text, size_t size) {
  art_html_scan(context, text, size);
}

/* --- libxml2's side --- */

static void on_element(void *context, const xmlChar *name,
                       const xmlChar **attributes) {
  art_html_links_add(context, (const char *) name,
                     (const char *const *) attributes);
}

/* Without memory libxml2 stops to advance, and some of its loops would wait
 * for the end for ever. */
static void on_error(void *context, xmlErrorPtr error) {
  htmlParserCtxtPtr xml = error->ctxt;

  (void) context;
  if (error->code == XML_ERR_NO_MEMORY && xml != NULL && xml->input != NULL)
    xml->input->cur = xml->input->end;
}

static htmlParserCtxtPtr new_xml(art_html_links *links) {
  htmlSAXHandler handler;
  htmlParserCtxtPtr xml;

  memset(&handler, 0, sizeof(handler));
  handler.startElement = on_element;
  handler.serror = on_error;
  handler.initialized = XML_SAX2_MAGIC; /* it has such a function */
  xml = htmlCreatePushParserCtxt(&handler, links, NULL, 0, NULL,
                                 XML_CHAR_ENCODING_UTF8);
  if (xml != NULL)
    htmlCtxtUseOptions(xml, HTML_PARSE_RECOVER | HTML_PARSE_NOERROR |
                                HTML_PARSE_NOWARNING | HTML_PARSE_NONET |
                                HTML_PARSE_IGNORE_ENC);
  return xml;
}

/* Hands over the tags that the scanner has put out. */
static void parse_tags(lua_State *L, parser *p) {
  size_t size = art_html_scanner_ready(&p->scanner);

  for (size_t at = 0; at < size && !p->scanner.no_memory;) {
    size_t piece = size - at < INT_MAX / 2 ? size - at : INT_MAX / 2;

    htmlParseChunk(p->xml, p->scanner.out + at, (int) piece, 0);
    at += piece;
  }
  art_html_scanner_used(&p->scanner);
  if (p->scanner.no_memory || p->links.no_memory ||
      p->xml->errNo == XML_ERR_NO_MEMORY)
    raise_memory(L, p);
}

/* --- Lua's side --- */

static art_html_kind kind_of(const void *context, const char *name) {
  return art_html_links_kind(context, name);
}

/* html.parser(all, agent, charset, max_links) -> parser */
static int html_parser(lua_State *L) {
  parser *p = lua_newuserdatauv(L, sizeof(*p), 1);
  const char *charset = luaL_optstring(L, 3, "");

  memset(p, 0, sizeof(*p));
  art_html_decoder_init(&p->decoder, on_text, &p->scanner);
  art_html_scanner_init(&p->scanner, kind_of, &p->links);
  art_html_links_init(&p->links, lua_toboolean(L, 1), luaL_optstring(L, 2, ""),
                      lua_tonumber(L, 4));
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_setmetatable(L, -2);
  lua_pushvalue(L, 2); /* the agent's name is borrowed */
  lua_setiuservalue(L, -2, 1);
  if (strlen(charset) < sizeof(p->given))
    memcpy(p->given, charset, strlen(charset));
  p->xml = new_xml(&p->links);
  if (p->xml == NULL) raise_memory(L, p);
  return 1;
}

static void choose_encoding(parser *p) {
  p->chosen = true;
  art_html_decoder_choose(&p->decoder, p->given[0] != '\0' ? p->given : NULL,
                          p->head, p->head_size);
  art_html_decode(&p->decoder, p->head, p->head_size, false);
}

/* parser:feed(bytes)
 *
 * Parses a piece of a page. */
static int parser_feed(lua_State *L) {
  parser *p = check_parser(L);
  size_t size;
  const char *bytes = luaL_checklstring(L, 2, &size);

  if (!p->chosen) {
    size_t room = sizeof(p->head) - p->head_size;
    size_t taken = size < room ? size : room;

    memcpy(p->head + p->head_size, bytes, taken);
    p->head_size += taken;
    bytes += taken;
    size -= taken;
    if (p->head_size < sizeof(p->head)) return 0;
    choose_encoding(p);
  }
  art_html_decode(&p->decoder, bytes, size, false);
  parse_tags(L, p);
  return 0;
}

/* parser:finish() -> links, page
 *
 * Ends the page: a list of links, and what is known of the page. */
static int parser_finish(lua_State *L) {
  parser *p = check_parser(L);

  if (!p->chosen) choose_encoding(p);
  art_html_decode(&p->decoder, "", 0, true);
  parse_tags(L, p);
  htmlParseChunk(p->xml, NULL, 0, 1);
  if (p->links.no_memory || p->xml->errNo == XML_ERR_NO_MEMORY)
    raise_memory(L, p);
  art_html_links_push(L, &p->links);
  lua_pushstring(L, p->decoder.name);
  lua_setfield(L, -2, "charset");
  parser_end(p);
  return 2;
}

static const luaL_Reg methods[] = {
    {"feed", parser_feed},
    {"finish", parser_finish},
    {NULL, NULL},
};

static const luaL_Reg functions[] = {
    {"parser", html_parser},
    {NULL, NULL},
};

int luaopen_asyncrt_core_html(lua_State *L) {
  xmlInitParser();
  luaL_newlibtable(L, functions);
  lua_createtable(L, 0, 3);
  art_set_methods(L, methods);
  lua_pushcfunction(L, parser_gc);
  lua_setfield(L, -2, "__gc");
  luaL_setfuncs(L, functions, 1);
  return 1;
}
