/* UTF-8 in C, for the bindings that look at each byte. */
#ifndef ART_UTF8_H
#define ART_UTF8_H

#include <stddef.h>

/* The number of bytes that the first character of `text`, which has `left`
 * bytes, takes; 0 where it is none, -1 where its end is missing. */
static inline int art_utf8_size(const char *text, size_t left) {
  const unsigned char *s = (const unsigned char *) text;
  unsigned char low = 0x80, high = 0xBF; /* of the second byte */
  size_t size;

  if (s[0] < 0x80) return 1;
  if (s[0] < 0xC2 || s[0] > 0xF4) return 0;
  size = s[0] < 0xE0 ? 2 : s[0] < 0xF0 ? 3 : 4;
  if (s[0] == 0xE0) low = 0xA0;
  if (s[0] == 0xED) high = 0x9F; /* above are surrogates */
  if (s[0] == 0xF0) low = 0x90;
  if (s[0] == 0xF4) high = 0x8F;
  for (size_t i = 1; i < size; i++) {
    if (i == left) return -1;
    if (s[i] < low || s[i] > high) return 0;
    low = 0x80;
    high = 0xBF;
  }
  return (int) size;
}

#endif
