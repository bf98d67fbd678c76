/* asyncrt.html: what HTML calls white space. */
#ifndef ART_HTML_SPACE_H
#define ART_HTML_SPACE_H

#include <stdbool.h>

static inline bool art_html_is_space(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f';
}

#endif
