/* What the files of the HTTP server share: a connection and its state. */
#ifndef ART_HTTP_CONNECTION_H
#define ART_HTTP_CONNECTION_H

#include "bindings.h"
#include "http_parser.h"
#include "runtime.h"
#include "stream_internal.h"

/* What every response begins with, be its status yet unknown. */
#define ART_HTTP_PREFIX "HTTP/1.1 "
#define ART_HTTP_PREFIX_SIZE (sizeof(ART_HTTP_PREFIX) - 1)

/* The same for all connections of a server. Times in ns, for one … */
typedef struct art_http_settings {
  const void *tag;
  art_http_limits limits;
  uint64_t idle;        /* wait for the next request */
  uint64_t head;        /* whole head; also the wait for the first */
  uint64_t body;        /* whole body: of the time that it is waited for */
  uint64_t read, write; /* read of a body, write */
  uint64_t requests;    /* on one connection */
} art_http_settings;

/* How the body of a response ends. */
typedef enum art_http_body {
  ART_HTTP_BODY_NONE, /* there is none, for HEAD or by its status */
  ART_HTTP_BODY_LENGTH,
  ART_HTTP_BODY_CHUNKED,
  ART_HTTP_BODY_EOF, /* with the connection: for HTTP/1.0 */
} art_http_body;

/* A connection, and the request that is being answered. Its user values are the
 * stream, the settings, and the request while its header fields are the
 * parser's alone. */
typedef struct art_http_connection {
  const void *tag;
  asyncrt *rt; /* borrowed */
  art_http_parser parser;
  const art_http_settings *settings; /* borrowed; user value 2 */
  const void *object;                /* borrowed; user value 1 */
  art_observer observer;             /* of the stream, while `task` is set */
  art_callback_timer look;           /* the next look for the client */
  art_task *task;        /* borrowed; runs the handler, or NULL: none runs */
  const void *request;   /* the tables that the handler has: to know them by, */
  const void *response;  /* never followed */
  uint64_t requests;     /* how many there were */
  uint64_t head_started; /* when the first byte of a head came */
  uint64_t body_left;    /* ns that the body may still be waited for */
  uint64_t left;         /* bytes of the response's body that are missing */
  uint64_t sent;         /* bytes of the response's body */
  int status;            /* of the response; 0 before it has begun */
  art_http_body body;    /* of the response, once it has begun */
  bool ended : 1;        /* … is complete */
  bool failed : 1;       /* a write has failed */
  bool close : 1;        /* the connection ends with this response */
  bool stopping : 1;     /* … with the next one: the server does */
  bool waiting : 1;      /* for a request */
  bool probed : 1;       /* whether the client is there was asked, by the start
                            of what will be sent next */
  bool prefixed : 1;     /* … which was the prefix of a response */
  bool wants_continue : 1;
  bool pending : 1;  /* the table of header fields has not been made */
  bool upgraded : 1; /* the stream is the handler's */
} art_http_connection;

/* The connection at `arg`; raises for anything else. */
art_http_connection *art_http_check_connection(lua_State *L, int arg);

/* The box of the stream. */
static inline art_stream **art_http_box(const art_http_connection *self) {
  return art_box_in(self->object);
}

/* The stream, or NULL once it is closed. */
static inline art_stream *art_http_stream(const art_http_connection *self) {
  return *art_http_box(self);
}

/* Whether all of the request has been read. */
bool art_http_has_ended(art_http_connection *self);

/* reason(status) -> string: "Not Found", "" for one that is not known. */
int art_http_reason(lua_State *L);

/* Adds the methods of a response to the table on the top of the stack. */
void art_http_set_response_methods(lua_State *L);

#endif
