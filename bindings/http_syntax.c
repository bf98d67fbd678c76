/* The syntax of HTTP heads. */
#include "http_syntax.h"

#include <stdint.h>
#include <string.h>

/* clang-format off: sixteen bytes a row */
/* A row of sixteen: the sums of the classes that a byte is in. In targets the
 * bytes are those of RFC 3986 and the few more that browsers leave as they
 * are: | ^ [ ] and, after the `?`, { } ` \ too. */
const unsigned char art_http_bytes[256] = {
    0,  0,  0,  0,  0,  0,  0,  0,  0,  2,  0,  0,  0,  0,  0,  0,  /* 00 */
    0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  /* 10 */
    2,  31, 2,  3,  31, 31, 31, 31, 30, 30, 31, 31, 30, 31, 31, 14, /* 20 */
    31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 14, 30, 2,  30, 2,  10, /* 30 */
    14, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31, /* 40 */
    31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 14, 10, 14, 15, 31, /* 50 */
    11, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31, /* 60 */
    31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 10, 15, 10, 31, 0,  /* 70 */
    2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  /* 80 */
    2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  /* 90 */
    2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  /* a0 */
    2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  /* b0 */
    2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  /* c0 */
    2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  /* d0 */
    2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  /* e0 */
    2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  /* f0 */
};

const unsigned char art_http_name_bytes[256] = {
    [0x20] = 0, '!', 0,   '#', '$', '%', '&', '\'', /* 20 */
    0,          0,   '*', '+', 0,   '-', '.', 0,    /* 28 */
    '0',        '1', '2', '3', '4', '5', '6', '7',  /* 30 */
    '8',        '9', 0,   0,   0,   0,   0,   0,    /* 38 */
    0,          'a', 'b', 'c', 'd', 'e', 'f', 'g',  /* 40 */
    'h',        'i', 'j', 'k', 'l', 'm', 'n', 'o',  /* 48 */
    'p',        'q', 'r', 's', 't', 'u', 'v', 'w',  /* 50 */
    'x',        'y', 'z', 0,   0,   0,   '^', '_',  /* 58 */
    '`',        'a', 'b', 'c', 'd', 'e', 'f', 'g',  /* 60 */
    'h',        'i', 'j', 'k', 'l', 'm', 'n', 'o',  /* 68 */
    'p',        'q', 'r', 's', 't', 'u', 'v', 'w',  /* 70 */
    'x',        'y', 'z', 0,   '|', 0,   '~', 0,    /* 78 */
};
/* clang-format on */

size_t art_http_span(const char *text, size_t size, unsigned char class) {
  size_t i = 0;

  while (i < size && (art_http_bytes[(unsigned char) text[i]] & class)) i++;
  return i;
}

/* Where eight bytes are below 0x20, or 0x7f: the lowest bit that is set is in
 * the first of them, if bytes go from the lowest to the highest. */
static uint64_t controls(uint64_t bytes) {
  const uint64_t each = 0x0101010101010101, top = 0x80 * each;
  uint64_t deleted = bytes ^ (0x7f * each);

  return (((bytes - 0x20 * each) & ~bytes) | ((deleted - each) & ~deleted)) &
         top;
}

size_t art_http_text_span(const char *text, size_t size) {
  uint64_t bytes, found;
  size_t i = 0;

  while (size - i >= sizeof(bytes)) {
    memcpy(&bytes, text + i, sizeof(bytes));
    found = controls(bytes);
    if (found == 0) {
      i += sizeof(bytes);
      continue;
    }
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    i += (size_t) __builtin_ctzll(found) / 8;
    if (text[i] != '\t') return i;
    i++;
#else
    break;
#endif
  }
  return i + art_http_span(text + i, size - i, ART_HTTP_TEXT_BYTE);
}

static bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

static char lower(char c) {
  if (c >= 'A' && c <= 'Z') return (char) (c - 'A' + 'a');
  return c;
}

static bool is_letter(char c) {
  return lower(c) >= 'a' && lower(c) <= 'z';
}

/* Digits up to 65535; none at all where `needs_port` is not. */
static bool is_port(const char *text, size_t size, bool needs_port) {
  unsigned port = 0;
  size_t i;

  if (size > 5) return false;
  for (i = 0; i < size; i++) {
    if (!is_digit(text[i])) return false;
    port = 10 * port + (unsigned) (text[i] - '0');
  }
  return port <= 65535 && (!needs_port || port > 0);
}

/* The size of "[…]" with the bytes of an IPv6 address inside, or 0. */
static size_t bracket_size(const char *text, size_t size) {
  size_t i = 1;

  while (i < size && (is_digit(text[i]) || text[i] == ':' || text[i] == '.' ||
                      (lower(text[i]) >= 'a' && lower(text[i]) <= 'f')))
    i++;
  return i > 2 && i < size && text[i] == ']' ? i + 1 : 0;
}

bool art_http_is_authority(const char *text, size_t size, bool needs_port) {
  size_t host;

  if (size > 0 && text[0] == '[') {
    host = bracket_size(text, size);
    if (host == 0) return false;
  } else {
    host = art_http_span(text, size, ART_HTTP_HOST_BYTE);
    if (host == 0 && (needs_port || size > 0)) return false;
  }
  if (host == size) return !needs_port;
  return text[host] == ':' &&
         is_port(text + host + 1, size - host - 1, needs_port);
}

bool art_http_is_path(const char *text, size_t size) {
  size_t path = art_http_span(text, size, ART_HTTP_PATH_BYTE);

  return path == size || (text[path] == '?' &&
                          art_http_span(text + path, size - path,
                                        ART_HTTP_QUERY_BYTE) == size - path);
}

size_t art_http_scheme_size(const char *text, size_t size) {
  size_t i = 0;

  while (i < size && (is_letter(text[i]) ||
                      (i > 0 && (is_digit(text[i]) || text[i] == '+' ||
                                 text[i] == '-' || text[i] == '.'))))
    i++;
  if (i == 0 || size - i < 3 || memcmp(text + i, "://", 3) != 0) return 0;
  return i + 3;
}

bool art_http_equals(const char *text, size_t size, const char *lower_case) {
  size_t i;

  if (strlen(lower_case) != size) return false;
  for (i = 0; i < size; i++)
    if (lower(text[i]) != lower_case[i]) return false;
  return true;
}

static bool is_space(char c) {
  return c == ' ' || c == '\t';
}

void art_http_next_element(const char **list, const char *end,
                           const char **element, size_t *size) {
  const char *start = *list;
  const char *stop = memchr(start, ',', (size_t) (end - start));

  *list = stop == NULL ? NULL : stop + 1;
  if (stop == NULL) stop = end;
  while (start < stop && is_space(*start)) start++;
  while (stop > start && is_space(stop[-1])) stop--;
  *element = start;
  *size = (size_t) (stop - start);
}
