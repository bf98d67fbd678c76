/* A transfer: a request and its response, as a stream. Writing to it sends the
 * body of the request, reading from it gives that of the response. */
#ifndef ART_CURL_TRANSFER_H
#define ART_CURL_TRANSFER_H

#include "client.h"
#include "head.h"
#include "stream.h"

#define ART_OPERATION_TEXT 24

typedef struct art_transfer {
  art_stream stream;         /* first: what art_stream_free frees */
  art_client *client;        /* a user of it */
  art_link link;             /* in client->transfers, until it is over */
  art_link told;             /* in client->told */
  art_link resumed;          /* in client->resumed */
  art_link waiting;          /* for its name */
  art_slot *slot;            /* owned, until it is over */
  art_name *name;            /* a user of it, or NULL */
  CURLU *url;                /* owned; what libcurl uses until it is over */
  struct curl_slist *fields; /* owned; the same */
  char *shown;               /* owned; the URL without credentials */
  char operation[ART_OPERATION_TEXT]; /* the method in lower case */
  art_head head;
  asyncrt_op *op; /* that waits for it, or NULL: see response.c */
  bool (*op_is_done)(const struct art_transfer *transfer);

  art_callback_timer timer; /* of whichever limit comes first */
  uint64_t deadline;        /* of the whole transfer */
  uint64_t idle;            /* ns that may pass without a byte */
  uint64_t moved;           /* when the last byte moved */
  double timeout, idle_timeout, connect_timeout; /* seconds, to be told */

  size_t room;   /* bytes that may be unread before it pauses */
  size_t ahead;  /* … more than the reader has found too few */
  uint64_t body; /* bytes of the body, decoded */
  size_t max_body, max_ratio, max_head;
  unsigned max_lines;

  char *out; /* owned; bytes of the request's body that libcurl has not got */
  size_t out_start, out_end, out_capacity;

  int socket_error; /* why no socket was opened, or 0: a negative UV_E* */
  const void *tls;  /* borrowed; what its connection is to OpenSSL, or NULL */
  const char *code; /* static; of its failure, or NULL */
  char reason[CURL_ERROR_SIZE];
  bool end_is_told : 1; /* by TLS */
  bool is_bodiless : 1; /* the response to HEAD */
  bool is_secure : 1;   /* https */
  bool is_plain : 1;    /* nothing was set that the next one must not have */
  bool is_added : 1;    /* the multi handle has it */
  bool is_connected : 1;
  bool is_over : 1;       /* nothing will come any more */
  bool is_discarding : 1; /* the body of a redirect: only its end counts */
  bool follows : 1;       /* redirects */
  bool expects : 1;       /* 100-continue */
  bool decodes : 1;       /* a body that is compressed */
  bool is_encoded : 1;    /* and it is */
  bool is_public_only : 1;
  bool is_private : 1; /* an address was refused for that */
  bool is_paused_in : 1, is_paused_out : 1;
  bool is_uploading : 1; /* the body is written by and by */
  bool out_ended : 1;
  bool has_moved_in : 1, has_moved_out : 1; /* since it was last told */
} art_transfer;

/* Pushes a new transfer of the client in the box; raises without memory, and
 * where a finalizer that runs meanwhile has closed the client. Nothing happens
 * before art_transfer_start. */
art_transfer *art_transfer_push(lua_State *L, art_client **box);

/* The transfer at `arg`: a pointer to its stream, to NULL once it is closed. */
art_stream **art_check_transfer(lua_State *L, int arg);

/* Starts it, once its slot and limits are set. */
void art_transfer_start(art_transfer *transfer, const char *host,
                        uint16_t port);

/* Says why it fails; the first reason counts. */
void art_transfer_fail(art_transfer *transfer, const char *code,
                       const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* It cannot go on, says a callback of libcurl: a negative UV_E*. */
void art_transfer_break(art_transfer *transfer, int error);

/* It has ended, or fails for the reason that was said: gives its connection
 * back, wakes who waits. */
void art_transfer_finish(art_transfer *transfer);
/* The same, with what libcurl says of it. */
void art_transfer_done(art_transfer *transfer, CURLcode result);

/* Wakes who waits for what has been told; goes on after a pause. */
void art_transfer_tell(art_transfer *transfer);
void art_transfer_resume(art_transfer *transfer);

/* Sets the callbacks of libcurl; the user data of each is the slot. */
CURLcode art_transfer_set_callbacks(art_slot *slot);

/* Whether the head of the response is there, and whether all of the request's
 * body has been taken, or will not be. */
bool art_transfer_has_head(const art_transfer *transfer);
bool art_transfer_is_sent(const art_transfer *transfer);

/* Pushes nil, message, code of what has failed. */
int art_transfer_push_failure(lua_State *L, const art_transfer *transfer,
                              const char *operation);

static inline art_transfer *art_transfer_of(art_stream *stream) {
  return art_container_of(stream, art_transfer, stream);
}

#endif
