/* asyncrt.url: text as people and pages write it, made ready for the parser. */
#ifndef ART_URL_PREPARE_H
#define ART_URL_PREPARE_H

#include <stdbool.h>
#include <stddef.h>

/* The room that art_url_prepare needs for a text of so many bytes. */
#define ART_URL_ROOM(size) (4 * (size))

/* Writes `text` to `to`: without white space around it, without tabs and line
 * ends within it, and with what RFC 3986 does not allow where it stands encoded
 * by percent signs. Browsers do the same. Returns the number of bytes written,
 * all of them visible ASCII. Clears `*host_ok` where user, host or port hold
 * what cannot be mended so. */
size_t art_url_prepare(char *to, const char *text, size_t size, bool *host_ok);

#endif
