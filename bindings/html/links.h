/* asyncrt.html: the links that were found, and what else is told of a page. */
#ifndef ART_HTML_LINKS_H
#define ART_HTML_LINKS_H

#include "scan.h"

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>

typedef struct art_html_link {
  const char *tag, *attribute; /* static */
  size_t url, rel; /* where their text begins; `rel` may be an empty one */
} art_html_link;

typedef struct art_html_links {
  bool all;          /* also what no click follows */
  const char *agent; /* borrowed; whose meta element counts beside robots' */
  double most;       /* links that are kept */
  char *text;        /* owned; strings, each with its zero byte */
  size_t size, capacity;
  art_html_link *list; /* owned */
  size_t count, list_capacity;
  size_t base; /* where its text begins, plus 1; 0 without a base element */
  bool noindex, nofollow, truncated;
  bool no_memory; /* a link is missing for want of it */
} art_html_links;

void art_html_links_init(art_html_links *links, bool all, const char *agent,
                         double most);
void art_html_links_free(art_html_links *links);

/* What the scanner needs of elements of this name, in lower case. */
art_html_kind art_html_links_kind(const art_html_links *links,
                                  const char *name);

/* Takes an element. `attributes` are names and values, NULL at the end, or NULL
 * for none. */
void art_html_links_add(art_html_links *links, const char *name,
                        const char *const *attributes);

/* Pushes the list of links, and a table about the page. */
void art_html_links_push(lua_State *L, const art_html_links *links);

#endif
