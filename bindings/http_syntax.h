/* The syntax of HTTP heads: which bytes may stand where (RFC 9110 and 3986). */
#ifndef ART_HTTP_SYNTAX_H
#define ART_HTTP_SYNTAX_H

#include <stdbool.h>
#include <stddef.h>

enum {
  ART_HTTP_TOKEN_BYTE = 1, /* of a method, a field name */
  ART_HTTP_TEXT_BYTE = 2,  /* of a field value: no control byte but the tab */
  ART_HTTP_PATH_BYTE = 4,  /* of a target before its `?` */
  ART_HTTP_QUERY_BYTE = 8, /* … and after it */
  ART_HTTP_HOST_BYTE = 16, /* of a registered name */
};

/* The classes of each byte. */
extern const unsigned char art_http_bytes[256];

/* Each byte of a token in lower case; 0 for the others. */
extern const unsigned char art_http_name_bytes[256];

/* The number of bytes at `text`, up to `size`, that are of `class`. */
size_t art_http_span(const char *text, size_t size, unsigned char class);

/* The same of ART_HTTP_TEXT_BYTE, of which there are many. */
size_t art_http_text_span(const char *text, size_t size);

/* uri-host [":" port]; `needs_port` as in CONNECT. */
bool art_http_is_authority(const char *text, size_t size, bool needs_port);

/* "/path?query": also what follows the authority of an absolute target. */
bool art_http_is_path(const char *text, size_t size);

/* The size of "scheme://" at the start of `text`, or 0. */
size_t art_http_scheme_size(const char *text, size_t size);

/* Compares without regard to case; `lower_case` is. */
bool art_http_equals(const char *text, size_t size, const char *lower_case);

/* Cuts the next element off a comma-separated list: sets *element and its size,
 * without the white space around it; moves *list behind its comma, or to NULL
 * after the last. */
void art_http_next_element(const char **list, const char *end,
                           const char **element, size_t *size);

#endif
