/* The events of the HTTP parser as text, to compare and to read. */
#ifndef TRACE_H
#define TRACE_H

#include "http_parser.h"

/* Whether there is a first byte of another piece at offset `at`. */
typedef bool (*split_fn)(size_t at, size_t parameter);

bool split_nowhere(size_t at, size_t parameter);
bool split_everywhere(size_t at, size_t parameter);
bool split_at(size_t at, size_t parameter); /* the parameter */

/* Parses `size` bytes, cut into pieces, as one connection that then ends;
 * returns what happened, a line an event, to be freed. Each piece is a block of
 * its own, so that a read beyond it is seen. `limits` may be NULL. */
char *trace(art_http_kind kind, art_http_answer answer,
            const art_http_limits *limits, const char *data, size_t size,
            split_fn split, size_t parameter);

#endif
