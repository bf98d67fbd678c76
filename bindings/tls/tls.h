/* TLS: what the files of this component share. */
#ifndef ART_TLS_H
#define ART_TLS_H

#include "list.h"
#include "runtime.h"
#include "stream_internal.h"
#include "timer.h"

#include <openssl/ssl.h>

#define TLS_ERROR \
  (-1000000) /* an error of a stream that tls_stream.reason tells */
#define TLS_RECORD ((size_t) SSL3_RT_MAX_PLAIN_LENGTH)
#define TLS_OVERHEAD ((size_t) 512) /* what a record takes beside its bytes */
#define TLS_JOINED 4                /* records that are sent together */

/* --- Contexts --- */

/* Whom this side says to be. */
typedef struct tls_identity {
  X509 *certificate;      /* owned; or NULL */
  STACK_OF(X509) * chain; /* owned; the certificates above it */
  EVP_PKEY *key;          /* owned */
} tls_identity;

/* A host name, and what a server that is asked for it uses. */
typedef struct tls_host {
  char *name;       /* owned; lower case; may begin with "*." */
  SSL_CTX *context; /* owned */
} tls_host;

typedef struct tls_session tls_session;

/* What a context was last loaded with: never changed while connections use it.
 */
typedef struct tls_config {
  unsigned users; /* the context and connections */
  tls_identity identity;
  STACK_OF(X509) * roots;        /* owned; whom a client trusts; or NULL */
  STACK_OF(X509) * client_roots; /* owned; whom a server trusts; or NULL */
  SSL_CTX *client;               /* owned; NULL before the first use */
  SSL_CTX *server;               /* owned; NULL without a certificate */
  tls_host *hosts;               /* owned */
  size_t host_count;
  unsigned char *protocols; /* owned; of ALPN, as they are sent; or NULL */
  unsigned protocols_size;
  int lowest, highest;    /* versions; 0: whatever there is */
  bool verify;            /* the server */
  bool require_client;    /* to have a certificate */
  double limit;           /* seconds for a handshake */
  unsigned most;          /* unfinished handshakes of a server */
  unsigned unfinished;    /* in `handshakes` */
  art_link handshakes;    /* of servers, the oldest first */
  tls_session *sessions;  /* owned; of clients, or NULL */
  uint64_t session_count; /* that there ever were */
} tls_config;

/* What Lua code and listeners hold. */
typedef struct tls_context {
  unsigned users;
  tls_config *config;
} tls_context;

/* The context at `arg`; NULL where there is none, or raises then. */
tls_context *tls_to_context(lua_State *L, int arg);
tls_context *tls_check_context(lua_State *L, int arg);
void tls_context_release(tls_context *context);
void tls_config_release(tls_config *config);

/* What a client uses; NULL without memory. */
SSL_CTX *tls_client_of(tls_config *config);

/* context(options) -> context | nil, message, code */
int tls_new_context(lua_State *L);
void tls_open_context(lua_State *L);

/* --- Reading certificates --- */

/* Why something could not be read. */
typedef struct tls_failure {
  char message[512];
  char code[32];
} tls_failure;

/* `source` is PEM text, or the path of a file that holds it; `what` is what it
 * is called. These return false, or NULL, and say why. */
bool tls_read_identity(tls_identity *identity, const char *certificate,
                       const char *key, const char *password,
                       tls_failure *failure);
STACK_OF(X509) * tls_read_certificates(const char *what, const char *source,
                                       tls_failure *failure);
void tls_identity_clear(tls_identity *identity);

/* --- Streams --- */

/* Buffers that streams use in turn, each within one call. */
typedef struct tls_scratch {
  char input[ART_BUFFER]; /* received and not decrypted */
  char plain[TLS_RECORD]; /* small parts of a write, joined */
  char output[TLS_JOINED * (TLS_RECORD + TLS_OVERHEAD)]; /* not sent yet */
} tls_scratch;

/* What libssl does, and so where its output goes. */
typedef enum tls_call {
  TLS_IDLE,
  TLS_TALK, /* to the stream below, at once */
  TLS_SEND, /* joined in the scratch, then to the stream below */
  TLS_RECV  /* to `answers`, for the caller's buffer may be one that is shared
               with whom a send would wake */
} tls_call;

typedef struct tls_stream {
  art_stream stream;    /* first */
  art_stream *below;    /* owned */
  tls_config *config;   /* shared */
  SSL *ssl;             /* owned */
  tls_scratch *scratch; /* shared by all streams, or owned */
  const char *input;    /* in the scratch, within a call */
  size_t input_size;
  size_t output_size; /* in the scratch, within a call */
  char *answers;      /* owned; output that waits; or NULL */
  size_t answers_size;
  asyncrt_queue waiters; /* for the handshake */
  art_link link;         /* in config->handshakes, or alone */
  art_callback_timer limit;
  art_callback_timer later;
  unsigned missed;  /* events of `below` that `later` will tell */
  char *reason;     /* owned; of a TLS_ERROR, or NULL */
  const char *code; /* literal */
  char *name;       /* owned; of the server, for clients, or NULL */
  int error;        /* of every call from now on, or 0 */
  uint8_t call;     /* tls_call */
  bool server;      /* which side this is */
  bool established; /* the handshake is over */
  bool ended;       /* the peer has said so */
  bool own_scratch;
} tls_stream;

/* The stream as this kind, or NULL. */
tls_stream *tls_of(art_stream *stream);

/* Puts a new stream above `below` and begins the handshake. `name` is the
 * server's, for a client, or NULL; `limit` is in seconds. Returns 0 or a
 * negative UV_E* and `below` as it was. */
int tls_open(tls_stream **stream, art_stream *below, tls_scratch *scratch,
             tls_config *config, bool server, const char *name, double limit);

/* Around each use of libssl. */
void tls_enter(tls_stream *self, tls_call call);
void tls_leave(tls_stream *self);

/* Begins the handshake; `limit` is in seconds. */
void tls_begin(tls_stream *self, double limit);

/* Sessions of clients: keeps one that a server has granted, goes on with one
 * that there is, frees them. */
int tls_on_session(SSL *ssl, SSL_SESSION *session);
void tls_resume_session(tls_stream *self);
void tls_free_sessions(tls_config *config);

/* Calls libssl to go on with the handshake. May free the stream. */
void tls_drive(tls_stream *self);

/* The stream's `handshake`. */
int tls_handshake(lua_State *L, art_stream **box);

/* The end of all use of the stream but closing it; may free it. */
void tls_fail(tls_stream *self, int error);

/* Ends the waits for the handshake, or all that it needs. */
void tls_end_waits(art_stream *stream);
void tls_handshake_over(tls_stream *self);

/* Looks after the readiness of the stream below once nothing else goes on. */
void tls_look_later(tls_stream *self);

/* Keeps why a call to libssl has failed, from its queue of errors. */
void tls_explain(tls_stream *self);
/* Takes the errors out of that queue; whether there was no memory for something
 * and not what they say is wrong. */
bool tls_lacks_memory(void);
/* As tls_explain, for a certificate that was found wanting: an X509_V_ERR_*. */
void tls_explain_certificate(tls_stream *self, int problem, X509 *certificate);
/* Keeps a reason, and its code, a literal. */
void tls_set_reason(tls_stream *self, const char *code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The stream's `tls_info`. */
int tls_push_info(lua_State *L, art_stream *stream);

/* Writes the names that a certificate is for: `DNS:example.org, …`. */
void tls_write_names(X509 *certificate, char *text, size_t size);

#endif
