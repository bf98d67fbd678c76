/* A strict parser of HTTP/1.1 messages (RFC 9112), without input or output: it
 * is given bytes, however they were split, and gives events.
 *
 *     art_http_parser parser;
 *     art_http_init(&parser, ART_HTTP_REQUEST, NULL);
 *     for (;;) {
 *       event = art_http_parse(&parser, data, size, &used);
 *       data += used, size -= used;
 *       if (event == ART_HTTP_NEED_MORE) … read more, or art_http_eof()
 *       if (event == ART_HTTP_END) art_http_restart(&parser);
 *     }
 *
 * What one reader may take for one message and another for two is an error,
 * never a guess. It knows nothing of Lua and allocates one buffer. */
#ifndef ART_HTTP_PARSER_H
#define ART_HTTP_PARSER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What parsing was interrupted for. A message is HEAD, any number of BODY,
 * TRAILERS if it has some, END. */
typedef enum art_http_event {
  ART_HTTP_NEED_MORE, /* all input is used: give more, or tell its end */
  ART_HTTP_HEAD,      /* start line and header fields are complete */
  ART_HTTP_BODY,      /* `body` points at `body_size` > 0 bytes of the input */
  ART_HTTP_TRAILERS,  /* trailer fields are complete */
  ART_HTTP_END,       /* the message is complete; stays so until restarted */
  ART_HTTP_FAILED,    /* `error` tells why; stays so for ever */
} art_http_event;

/* X(name, status to answer with, message) */
#define ART_HTTP_ERRORS(X)                                         \
  X(BAD_START_LINE, 400, "malformed start line")                   \
  X(BAD_METHOD, 400, "invalid method")                             \
  X(BAD_TARGET, 400, "invalid request target")                     \
  X(BAD_VERSION, 400, "malformed HTTP version")                    \
  X(BAD_VERSION_NUMBER, 505, "unsupported HTTP version")           \
  X(BAD_STATUS, 400, "invalid status code")                        \
  X(BAD_LINE_END, 400, "line not ended by CR LF")                  \
  X(BAD_BYTE, 400, "control byte in the message head")             \
  X(BAD_FIELD, 400, "malformed header field")                      \
  X(FOLDED_FIELD, 400, "folded header field")                      \
  X(BAD_HOST, 400, "missing, repeated or invalid Host")            \
  X(BAD_LENGTH, 400, "repeated or invalid Content-Length")         \
  X(BAD_CODING, 400, "invalid Transfer-Encoding")                  \
  X(UNKNOWN_CODING, 501, "unsupported transfer coding")            \
  X(TWO_LENGTHS, 400, "both Transfer-Encoding and Content-Length") \
  X(BAD_CHUNK, 400, "malformed chunk")                             \
  X(BAD_TRAILER, 400, "trailer field not allowed")                 \
  X(LONG_START_LINE, 414, "start line too long")                   \
  X(LONG_HEAD, 431, "header fields too large")                     \
  X(MANY_FIELDS, 431, "too many header fields")                    \
  X(LONG_TRAILERS, 431, "trailer fields too large")                \
  X(LONG_CHUNK_LINE, 413, "chunk extensions too large")            \
  X(LONG_BODY, 413, "body too large")                              \
  X(INCOMPLETE, 400, "message cut short")                          \
  X(NO_MEMORY, 503, "out of memory")

typedef enum art_http_error {
  ART_HTTP_OK,
#define ART_HTTP_ERROR_NAME(name, status, message) ART_HTTP_##name,
  ART_HTTP_ERRORS(ART_HTTP_ERROR_NAME)
#undef ART_HTTP_ERROR_NAME
} art_http_error;

/* "BAD_HOST", 400 and "missing, repeated or invalid Host"; for an error only.
 * The status is the one a server answers with. */
const char *art_http_error_name(art_http_error error);
int art_http_error_status(art_http_error error);
const char *art_http_error_message(art_http_error error);

typedef enum art_http_kind {
  ART_HTTP_REQUEST,
  ART_HTTP_RESPONSE
} art_http_kind;

/* The request that a response answers, as far as it decides about the body. */
typedef enum art_http_answer {
  ART_HTTP_TO_OTHER,
  ART_HTTP_TO_HEAD,
  ART_HTTP_TO_CONNECT,
} art_http_answer;

typedef enum art_http_form {
  ART_HTTP_ORIGIN,    /* /path?query */
  ART_HTTP_ABSOLUTE,  /* http://host/path?query */
  ART_HTTP_AUTHORITY, /* host:port, of CONNECT */
  ART_HTTP_ASTERISK,  /* *, of OPTIONS */
} art_http_form;

typedef enum art_http_framing {
  ART_HTTP_NO_BODY,
  ART_HTTP_LENGTH,    /* `length` bytes */
  ART_HTTP_CHUNKED,   /* … trailers may follow */
  ART_HTTP_UNTIL_EOF, /* of a response only */
} art_http_framing;

/* Bytes; each but `body` from 1 to ART_HTTP_LIMIT_MAX. */
typedef struct art_http_limits {
  uint32_t start_line; /* without its CR LF */
  uint32_t head;       /* all header fields, line ends included */
  uint32_t fields;     /* number of header fields; as many trailer fields */
  uint32_t trailers;   /* all trailer fields, line ends included */
  uint32_t extensions; /* all chunk extensions of a message */
  uint64_t body;       /* decoded */
} art_http_limits;

#define ART_HTTP_LIMIT_MAX (UINT32_C(1) << 24)

/* 8 KiB, 32 KiB, 100, 8 KiB, 4 KiB; the body is not limited. */
extern const art_http_limits art_http_default_limits;

/* A part of the text in a parser's buffer; not terminated. */
typedef struct art_http_slice {
  uint32_t start, size;
} art_http_slice;

typedef struct art_http_field {
  art_http_slice name;  /* in lower case */
  art_http_slice value; /* without the white space around it */
} art_http_field;

typedef struct art_http_parser {
  /* Of the message, valid from its HEAD until art_http_restart. */
  art_http_slice method, target, authority; /* of a request */
  art_http_slice reason;                    /* of a response */
  art_http_form form;
  art_http_framing framing;
  uint64_t length; /* of a body of framing LENGTH */
  uint16_t status; /* of a response */
  uint8_t version; /* the x of HTTP/1.x */
  bool keep_alive; /* another message may follow on this connection */
  bool upgrade;    /* Connection names Upgrade, and that is present */
  bool expects_continue;
  uint32_t field_count;   /* header fields */
  uint32_t trailer_count; /* trailer fields, from TRAILERS on */

  /* Of the event BODY, until the next call. */
  const char *body; /* borrowed; in the input */
  size_t body_size;

  art_http_error error;

  /* The rest belongs to the parser. */
  art_http_limits limits;
  art_http_kind kind;
  art_http_answer answer;
  uint8_t state;
  bool after_cr;      /* the last byte was the CR of a line end */
  bool blank_skipped; /* an empty line before the request line */
  bool has_host, has_length, has_coding, has_upgrade;
  bool wants_close, wants_keep_alive, wants_upgrade;
  uint8_t codings; /* OTHER_CODING | CHUNKED_CODING, in the order of arrival */
  uint8_t digits;  /* of the chunk size */
  uint32_t budget; /* bytes that the start line, head or trailers may take */
  uint32_t extension_budget;
  uint64_t remaining; /* bytes of the body or chunk */
  uint64_t received;  /* bytes of the body, those of this chunk included */
  char *buffer; /* owned; text grows from the start, fields from the end */
  uint32_t capacity, text_size, line_start;
} art_http_parser;

/* Prepares a parser; `limits` are copied, NULL means the default. */
void art_http_init(art_http_parser *parser, art_http_kind kind,
                   const art_http_limits *limits);

/* Frees the buffer. The parser may be initialised again. */
void art_http_free(art_http_parser *parser);

/* Says what the coming response answers; TO_OTHER after art_http_init. It holds
 * for the interim responses (1xx) and the final one. */
void art_http_answers(art_http_parser *parser, art_http_answer answer);

/* Parses from the `size` bytes at `data` up to the next event; *used tells how
 * many of them it took. The same bytes give the same events however they are
 * split, but for the splitting of BODY. `data` may be NULL if size is 0. */
art_http_event art_http_parse(art_http_parser *parser, const char *data,
                              size_t size, size_t *used);

/* Tells that no byte follows, once all are used. END completes a body that ends
 * with the connection; NEED_MORE says that no message had begun; otherwise the
 * message is INCOMPLETE. */
art_http_event art_http_eof(art_http_parser *parser);

/* After END: begins the next message. Where the bytes that follow are no HTTP
 * (after CONNECT, an upgrade) or nothing may follow (keep_alive is false), do
 * not. A large buffer is given back. */
void art_http_restart(art_http_parser *parser);

/* Whether no byte of the next message has been seen. */
bool art_http_is_idle(const art_http_parser *parser);

/* Header field `index`, and after the header fields the trailer fields. */
art_http_field art_http_field_at(const art_http_parser *parser, uint32_t index);

/* A copy of the header fields takes so many bytes. */
size_t art_http_copy_size(const art_http_parser *parser);
/* Makes that copy in `space`, which is aligned as an art_http_field is. */
void art_http_copy_fields(const art_http_parser *parser, char *space);
/* Makes of a copy of `size` bytes a parser that has its `count` fields, which
 * are all that may be asked of it. */
art_http_parser art_http_copied(char *space, size_t size, uint32_t count);

/* The bytes of a slice. */
static inline const char *art_http_text(const art_http_parser *parser,
                                        art_http_slice slice) {
  return parser->buffer + slice.start;
}

#endif
