/* Splicing: bytes from one socket to another that never leave the kernel. */
#ifndef ART_SPLICE_H
#define ART_SPLICE_H

#include "stream.h"

/* A pipe, through which the bytes go. It is empty between two moves, so one
 * serves all copies of a runtime. */
typedef struct art_splice {
  int in, out; /* -1: there is none */
  bool tried;  /* to open it */
} art_splice;

/* Pushes an object that opens a pipe when it is first used. */
void art_splice_push(lua_State *L);

/* Whether the kernel can move bytes from `from` to `to`. */
bool art_splice_can(art_splice *splice, const art_stream *from,
                    const art_stream *to);

/* As art_stream_move, where art_splice_can. */
size_t art_splice_move(art_splice *splice, art_stream *from, art_stream *to,
                       size_t most);

#endif
