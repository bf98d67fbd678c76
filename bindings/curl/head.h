/* The head of a response, as libcurl tells it line by line. */
#ifndef ART_CURL_HEAD_H
#define ART_CURL_HEAD_H

#include "asyncrt.h"

typedef struct art_head {
  char *data; /* owned; the lines, each with its end */
  size_t size, capacity;
  size_t end; /* of the head: trailers are behind it */
  unsigned lines;
  int status;
  bool is_complete;
} art_head;

void art_head_free(art_head *head);
/* Forgets the lines there are. */
void art_head_restart(art_head *head);

/* Adds a line; false without memory. */
bool art_head_add(art_head *head, const char *line, size_t size);

/* The value of a field of a complete head, or NULL. */
const char *art_head_find(const art_head *head, const char *lower_case,
                          size_t *size);

/* Whether it is of HTTP/1.0 or 1.1. */
bool art_head_is_first_version(const art_head *head);

/* Pushes status, reason, version and a table of the fields; returns 4. */
int art_head_push(lua_State *L, const art_head *head);

/* Pushes a table of the trailers, or nil. */
int art_head_push_trailers(lua_State *L, const art_head *head);

#endif
