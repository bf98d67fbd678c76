/* asyncrt.html: the bytes of a page become UTF-8. */
#ifndef ART_HTML_DECODE_H
#define ART_HTML_DECODE_H

#include <iconv.h>
#include <stdbool.h>
#include <stddef.h>

/* How many bytes of a page decide about its encoding. */
#define ART_HTML_HEAD 1024

/* Takes a piece of text. Pieces end between characters, if all is well. */
typedef void (*art_html_sink)(void *context, const char *text, size_t size);

typedef struct art_html_decoder {
  art_html_sink sink;
  void *context;     /* borrowed */
  iconv_t converter; /* owned; (iconv_t) -1 where none is needed */
  bool windows;      /* windows-1252, instead of UTF-8 */
  char name[32];     /* of the encoding */
  char rest[16];     /* a character whose end has not come */
  size_t rest_size;
} art_html_decoder;

void art_html_decoder_init(art_html_decoder *d, art_html_sink sink,
                           void *context);
void art_html_decoder_free(art_html_decoder *d);

/* Chooses the encoding: of the byte order mark, or else `given` (may be NULL),
 * or else what the `head` of the page declares. Without any of them, and where
 * it is unknown, it is UTF-8 in which a wrong byte is one of windows-1252. */
void art_html_decoder_choose(art_html_decoder *d, const char *given,
                             const char *head, size_t size);

/* Decodes bytes of a page; with `last`, nothing follows. */
void art_html_decode(art_html_decoder *d, const char *bytes, size_t size,
                     bool last);

#endif
