/* asyncrt.html: the tags of a page that matter. */
#ifndef ART_HTML_SCAN_H
#define ART_HTML_SCAN_H

#include <stdbool.h>
#include <stddef.h>

/* What is told of a name: that tags of it matter, and that they have no end. */
typedef enum art_html_kind {
  ART_HTML_OTHER,
  ART_HTML_WANTED,
  ART_HTML_WANTED_VOID,
} art_html_kind;

typedef struct art_html_scanner {
  art_html_kind (*kind)(const void *context, const char *name);
  const void *context; /* borrowed */
  char *out;           /* owned: tags, as a page of nothing else would have */
  size_t out_size, out_capacity;
  bool no_memory; /* a tag is missing in `out` for want of it */

  int state;
  char name[16]; /* of the tag, in lower case; longer ones do not matter */
  size_t name_size;
  bool is_end, is_wanted, is_void, is_slashed;
  bool is_copied; /* the attribute goes to `out` */
  int attributes;
  size_t tag_start, attribute_start; /* in `out` */
  char raw[16];   /* the element whose text has no tags but its own end */
  size_t matched; /* bytes of that, of "--" in a comment */
  int foreign;    /* svg and math elements around */
} art_html_scanner;

void art_html_scanner_init(art_html_scanner *s,
                           art_html_kind (*kind)(const void *, const char *),
                           const void *context);
void art_html_scanner_free(art_html_scanner *s);

/* Scans some UTF-8, split anywhere; whole tags are added to `out`. */
void art_html_scan(art_html_scanner *s, const char *text, size_t size);

/* How many bytes of `out` are whole tags; and that they have been used. */
size_t art_html_scanner_ready(const art_html_scanner *s);
void art_html_scanner_used(art_html_scanner *s);

#endif
