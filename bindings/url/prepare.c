/* asyncrt.url: text as people and pages write it, made ready for the parser. */
#include "prepare.h"

#include <string.h>

#define SUB_DELIMITERS "!$&'()*+,;="

typedef struct writer {
  const char *from, *end;
  char *to;
} writer;

static bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

static bool is_hex(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* Whether `c` is unreserved, or one of `more`. */
static bool is_one_of(char c, const char *more) {
  return is_letter(c) || is_digit(c) ||
         (c != '\0' && (strchr("-._~", c) != NULL || strchr(more, c) != NULL));
}

static void encode_byte(writer *w, char c) {
  static const char digits[] = "0123456789ABCDEF";

  *w->to++ = '%';
  *w->to++ = digits[(unsigned char) c >> 4];
  *w->to++ = digits[(unsigned char) c & 15];
}

/* Whether the code of a dot follows: `.` and `..` have a meaning in a path. */
static bool is_encoded_dot(const writer *w) {
  return w->end - w->from > 2 && w->from[0] == '%' && w->from[1] == '2' &&
         (w->from[2] == 'e' || w->from[2] == 'E');
}

/* Writes up to the first of the characters `until`; what is neither unreserved
 * nor among `allowed` is encoded, and so is a percent sign that begins no code.
 * Returns whether nothing in ASCII had to be. */
static bool write_part(writer *w, const char *until, const char *allowed) {
  bool clean = true;

  for (; w->from < w->end; w->from++) {
    char c = *w->from;

    if (c != '\0' && strchr(until, c) != NULL) break;
    if (is_encoded_dot(w)) {
      *w->to++ = '.';
      w->from += 2;
    } else if (is_one_of(c, allowed) ||
               (c == '%' && w->end - w->from > 2 && is_hex(w->from[1]) &&
                is_hex(w->from[2]))) {
      *w->to++ = c;
    } else {
      encode_byte(w, c);
      clean = clean && (unsigned char) c >= 0x80;
    }
  }
  return clean;
}

static void write_scheme(writer *w) {
  const char *at = w->from;

  if (at == w->end || !is_letter(*at)) return;
  while (at < w->end && (is_letter(*at) || is_digit(*at) || *at == '+' ||
                         *at == '-' || *at == '.'))
    at++;
  if (at == w->end || *at != ':') return;
  while (w->from <= at) *w->to++ = *w->from++;
}

/* Copies the text without what browsers drop. Returns the end of the copy. */
static char *strip(char *to, const char *text, size_t size) {
  const char *end = text + size;

  while (text < end && (unsigned char) *text <= ' ') text++;
  while (end > text && (unsigned char) end[-1] <= ' ') end--;
  for (; text < end; text++)
    if (*text != '\t' && *text != '\n' && *text != '\r') *to++ = *text;
  return to;
}

size_t art_url_prepare(char *to, const char *text, size_t size, bool *host_ok) {
  /* The copy stands behind all that can be written before it is read. */
  char *copy = to + 3 * size;
  writer w = {.from = copy, .end = strip(copy, text, size), .to = to};

  write_scheme(&w);
  if (w.end - w.from >= 2 && w.from[0] == '/' && w.from[1] == '/') {
    *w.to++ = *w.from++;
    *w.to++ = *w.from++;
    if (!write_part(&w, "/?#", SUB_DELIMITERS ":@[]")) *host_ok = false;
  }
  write_part(&w, "?#", SUB_DELIMITERS ":@/");
  if (w.from < w.end && *w.from == '?') {
    *w.to++ = *w.from++;
    write_part(&w, "#", SUB_DELIMITERS ":@/?");
  }
  if (w.from < w.end) {
    *w.to++ = *w.from++;
    write_part(&w, "", SUB_DELIMITERS ":@/?");
  }
  return (size_t) (w.to - to);
}
