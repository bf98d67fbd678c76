/* asyncrt.html: the links that were found, and what else is told of a page. */
#include "links.h"

#include "space.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

typedef struct source {
  const char *tag, *attribute;
  bool is_void;
  bool is_followed; /* by someone who looks at the page */
} source;

static const source sources[] = {
    {"a", "href", false, true},        {"area", "href", true, true},
    {"frame", "src", true, true},      {"iframe", "src", false, true},
    {"audio", "src", false, false},    {"embed", "src", true, false},
    {"form", "action", false, false},  {"img", "src", true, false},
    {"input", "src", true, false},     {"link", "href", true, false},
    {"object", "data", false, false},  {"script", "src", false, false},
    {"source", "src", true, false},    {"track", "src", true, false},
    {"video", "poster", false, false}, {"video", "src", false, false},
};
#define SOURCE_COUNT (sizeof(sources) / sizeof(sources[0]))

void art_html_links_init(art_html_links *links, bool all, const char *agent,
                         double most) {
  *links = (art_html_links){.all = all, .agent = agent, .most = most};
}

void art_html_links_free(art_html_links *links) {
  free(links->text);
  free(links->list);
  links->text = NULL;
  links->list = NULL;
}

art_html_kind art_html_links_kind(const art_html_links *links,
                                  const char *name) {
  if (strcmp(name, "base") == 0 || strcmp(name, "meta") == 0)
    return ART_HTML_WANTED_VOID;
  for (size_t i = 0; i < SOURCE_COUNT; i++)
    if (strcmp(name, sources[i].tag) == 0 &&
        (links->all || sources[i].is_followed))
      return sources[i].is_void ? ART_HTML_WANTED_VOID : ART_HTML_WANTED;
  return ART_HTML_OTHER;
}

/* --- Keeping --- */

/* Room for `more` items behind `used`; false without memory. */
static bool grow(art_html_links *links, void **block, size_t used, size_t more,
                 size_t *capacity, size_t item) {
  size_t larger = 2 * *capacity + more;
  void *bigger;

  if (more <= *capacity - used) return true;
  bigger = realloc(*block, larger * item);
  links->no_memory = links->no_memory || bigger == NULL;
  if (bigger == NULL) return false;
  *block = bigger;
  *capacity = larger;
  return true;
}

/* Keeps a text without the white space around it; returns where it begins. */
static size_t keep(art_html_links *links, const char *text, size_t size) {
  size_t begin = links->size;

  while (size > 0 && art_html_is_space(*text)) text++, size--;
  while (size > 0 && art_html_is_space(text[size - 1])) size--;
  if (!grow(links, (void **) &links->text, links->size, size + 1,
            &links->capacity, 1))
    return 0;
  memcpy(links->text + begin, text, size);
  links->text[begin + size] = '\0';
  links->size += size + 1;
  return begin;
}

static void add_link(art_html_links *links, const char *tag,
                     const char *attribute, const char *url, size_t size,
                     const char *rel) {
  art_html_link *link;

  if ((double) links->count >= links->most) {
    links->truncated = true;
    return;
  }
  if (!grow(links, (void **) &links->list, links->count, 1,
            &links->list_capacity, sizeof(*link)))
    return;
  link = &links->list[links->count];
  link->tag = tag;
  link->attribute = attribute;
  link->url = keep(links, url, size);
  link->rel = keep(links, rel, strlen(rel));
  if (!links->no_memory) links->count++;
}

/* --- Elements --- */

/* The value of an attribute, "" where it has none; NULL where it is absent. */
static const char *find(const char *const *attributes, const char *name) {
  for (; attributes != NULL && *attributes != NULL; attributes += 2)
    if (strcmp(attributes[0], name) == 0)
      return attributes[1] != NULL ? attributes[1] : "";
  return NULL;
}

/* Whether one of the words between white space asks robots not to follow. */
static bool has_nofollow(const char *rel) {
  while (*rel != '\0') {
    size_t size = 0;

    while (rel[size] != '\0' && !art_html_is_space(rel[size])) size++;
    if (size == 8 && strncasecmp(rel, "nofollow", size) == 0) return true;
    rel += size;
    while (art_html_is_space(*rel)) rel++;
  }
  return false;
}

/* What a page says to robots: words between commas. */
static void add_robots(art_html_links *links, const char *content) {
  while (*content != '\0') {
    size_t size = strcspn(content, ","), word = 0;

    while (word < size && art_html_is_space(content[word])) word++;
    while (size > word && art_html_is_space(content[size - 1])) size--;
    content += word;
    size -= word;
    if (size == 4 && strncasecmp(content, "none", size) == 0)
      links->noindex = links->nofollow = true;
    if (size == 7 && strncasecmp(content, "noindex", size) == 0)
      links->noindex = true;
    if (size == 8 && strncasecmp(content, "nofollow", size) == 0)
      links->nofollow = true;
    content += strcspn(content, ",");
    content += *content == ',';
  }
}

/* Where a page leads by itself: "5; url=next.html". */
static void add_refresh(art_html_links *links, const char *content) {
  size_t size;
  char quote;

  while (art_html_is_space(*content)) content++;
  if (strchr("0123456789.", *content) == NULL || *content == '\0') return;
  content += strspn(content, "0123456789.");
  if (*content != ';' && *content != ',' && !art_html_is_space(*content))
    return;
  while (art_html_is_space(*content) || *content == ';' || *content == ',')
    content++;
  if (strncasecmp(content, "url", 3) == 0) {
    const char *equals = content + 3;

    while (art_html_is_space(*equals)) equals++;
    if (*equals == '=') content = equals + 1;
    while (art_html_is_space(*content)) content++;
  }
  quote = *content;
  if (quote == '"' || quote == '\'') {
    const char *close = strchr(++content, quote);

    size = close != NULL ? (size_t) (close - content) : strlen(content);
  } else {
    size = strlen(content);
  }
  if (size > 0) add_link(links, "meta", "content", content, size, "");
}

static void add_meta(art_html_links *links, const char *const *attributes) {
  const char *content = find(attributes, "content");
  const char *name = find(attributes, "name");
  const char *equivalent = find(attributes, "http-equiv");

  if (content == NULL) return;
  if (name != NULL && (strcasecmp(name, "robots") == 0 ||
                       (*name != '\0' && strcasecmp(name, links->agent) == 0)))
    add_robots(links, content);
  if (equivalent != NULL && strcasecmp(equivalent, "refresh") == 0)
    add_refresh(links, content);
}

void art_html_links_add(art_html_links *links, const char *name,
                        const char *const *attributes) {
  const char *value;

  if (strcmp(name, "meta") == 0) {
    add_meta(links, attributes);
    return;
  }
  if (strcmp(name, "base") == 0) {
    value = find(attributes, "href");
    if (value != NULL && links->base == 0)
      links->base = keep(links, value, strlen(value)) + 1;
    return;
  }
  for (size_t i = 0; i < SOURCE_COUNT; i++) {
    if (strcmp(name, sources[i].tag) != 0 ||
        !(links->all || sources[i].is_followed))
      continue;
    value = find(attributes, sources[i].attribute);
    if (value != NULL) {
      const char *rel = find(attributes, "rel");

      add_link(links, sources[i].tag, sources[i].attribute, value,
               strlen(value), rel != NULL ? rel : "");
    }
  }
}

/* --- For Lua --- */

static void set_boolean(lua_State *L, const char *name, bool value) {
  lua_pushboolean(L, value);
  lua_setfield(L, -2, name);
}

static void set_string(lua_State *L, const char *name, const char *value) {
  lua_pushstring(L, value);
  lua_setfield(L, -2, name);
}

void art_html_links_push(lua_State *L, const art_html_links *links) {
  lua_createtable(L, (int) links->count, 0);
  for (size_t i = 0; i < links->count; i++) {
    const art_html_link *link = &links->list[i];

    lua_createtable(L, 0, 4);
    set_string(L, "url", links->text + link->url);
    set_string(L, "tag", link->tag);
    set_string(L, "attribute", link->attribute);
    if (links->text[link->rel] != '\0')
      set_string(L, "rel", links->text + link->rel);
    if (links->nofollow || has_nofollow(links->text + link->rel))
      set_boolean(L, "nofollow", true);
    lua_rawseti(L, -2, (lua_Integer) i + 1);
  }
  lua_createtable(L, 0, 5);
  if (links->base > 0) set_string(L, "base", links->text + links->base - 1);
  set_boolean(L, "noindex", links->noindex);
  set_boolean(L, "nofollow", links->nofollow);
  set_boolean(L, "truncated", links->truncated);
}
