/* asyncrt.json: the text that is being written. */
#include "output.h"

#include "error.h"
#include "utf8.h"

#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SMALLEST_CAPACITY 256
#define NUMBER_SIZE 64 /* "%.17g", even where the locale's point is long */

void *art_json_grow(lua_State *L, void *data, size_t used, size_t count,
                    size_t *capacity, size_t size) {
  size_t larger = *capacity + *capacity / 2;
  void *block;

  if (larger < used + count) larger = used + count;
  if (larger < SMALLEST_CAPACITY) larger = SMALLEST_CAPACITY;
  block = realloc(data, larger * size);
  if (block == NULL) art_raise(L, "not enough memory");
  *capacity = larger;
  return block;
}

/* Room for `size` more bytes; the caller adds to `length` what it wrote. */
static char *reserve(art_json_output *out, size_t size) {
  if (size > out->capacity - out->length)
    out->data = art_json_grow(out->L, out->data, out->length, size,
                              &out->capacity, sizeof(char));
  return out->data + out->length;
}

void art_json_add_bytes(art_json_output *out, const char *text, size_t length) {
  memcpy(reserve(out, length), text, length);
  out->length += length;
}

void art_json_add_char(art_json_output *out, char c) {
  *reserve(out, 1) = c;
  out->length++;
}

void art_json_add_line(art_json_output *out, int level) {
  size_t spaces = (size_t) level * (size_t) out->indent;
  char *to;

  if (out->indent == 0) return;
  to = reserve(out, spaces + 1);
  to[0] = '\n';
  memset(to + 1, ' ', spaces);
  out->length += spaces + 1;
}

static void add_escape(art_json_output *out, char c) {
  static const char short_ones[] = "\b\f\n\r\t\"\\", letters[] = "bfnrt\"\\";
  const char *found = c == '\0' ? NULL : strchr(short_ones, c);
  char escape[8];

  if (found != NULL)
    snprintf(escape, sizeof(escape), "\\%c", letters[found - short_ones]);
  else
    snprintf(escape, sizeof(escape), "\\u%04x", (unsigned) c);
  art_json_add_bytes(out, escape, strlen(escape));
}

bool art_json_add_string(art_json_output *out, const char *text,
                         size_t length) {
  const char *end = text + length, *plain = text;

  art_json_add_char(out, '"');
  while (text < end) {
    unsigned char c = (unsigned char) *text;

    if (c < 0x20 || c == '"' || c == '\\') {
      art_json_add_bytes(out, plain, (size_t) (text - plain));
      add_escape(out, *text);
      plain = ++text;
    } else {
      int size = art_utf8_size(text, (size_t) (end - text));

      if (size <= 0) return false;
      text += size;
    }
  }
  art_json_add_bytes(out, plain, (size_t) (text - plain));
  art_json_add_char(out, '"');
  return true;
}

void art_json_add_integer(art_json_output *out, lua_Integer value) {
  char digits[NUMBER_SIZE];

  art_json_add_bytes(
      out, digits,
      (size_t) snprintf(digits, sizeof(digits), LUA_INTEGER_FMT, value));
}

/* Puts a plain point in the place of the locale's. */
static bool normalise_point(char *text) {
  const char *local = localeconv()->decimal_point;
  char *point = strstr(text, local), *rest;

  if (point == NULL) return false;
  rest = point + strlen(local);
  *point = '.';
  memmove(point + 1, rest, strlen(rest) + 1);
  return true;
}

void art_json_add_float(art_json_output *out, double value) {
  char text[NUMBER_SIZE];
  bool has_point;

  for (int digits = 15; digits <= 17; digits++) {
    snprintf(text, sizeof(text), "%.*g", digits, value);
    if (strtod(text, NULL) == value) break;
  }
  has_point = normalise_point(text);
  art_json_add_bytes(out, text, strlen(text));
  if (!has_point && strchr(text, 'e') == NULL) art_json_add_bytes(out, ".0", 2);
}
