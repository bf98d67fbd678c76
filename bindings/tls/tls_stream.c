/* TLS: a stream above another one.
 *
 * libssl reads and writes through a BIO. What it reads is received into a
 * shared buffer; what it writes while a write is encrypted is joined in another
 * and sent at once. */
#include "tls.h"

#include "address.h"
#include "error.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#define TIMERS 2           /* of a stream: `limit` and `later` */
#define MOST_DRAINED 16    /* calls that empty a stream before it is closed */
#define MOST_ANSWERS 4096u /* bytes said because the peer wants them */

static tls_stream *self_of(art_stream *stream) {
  return art_container_of(stream, tls_stream, stream);
}

/* --- What libssl reads and writes --- */

static void say(tls_stream *self, const char *data, size_t size) {
  struct iovec part = {(void *) (uintptr_t) data, size};

  if (size > 0 && self->below->write_error == 0)
    art_stream_accept(self->below, &part, 1);
}

static void send_output(tls_stream *self) {
  size_t size = self->output_size;

  self->output_size = 0;
  say(self, self->scratch->output, size);
}

static void say_answers(tls_stream *self) {
  char *answers = self->answers;

  if (answers == NULL) return;
  self->answers = NULL;
  say(self, answers, self->answers_size);
  self->answers_size = 0;
  free(answers);
}

/* What libssl says of itself, renewing keys for instance, is little: a peer
 * that asks for more, and does not take it, is hostile. */
static bool answer(tls_stream *self, const char *data, size_t size) {
  if (self->answers == NULL) self->answers = malloc(MOST_ANSWERS);
  if (self->answers == NULL || size > MOST_ANSWERS - self->answers_size) {
    tls_set_reason(self, "ETLS", "the peer asks for too much");
    return false;
  }
  memcpy(self->answers + self->answers_size, data, size);
  self->answers_size += size;
  return true;
}

static int bio_write(BIO *bio, const char *data, int count) {
  tls_stream *self = BIO_get_data(bio);
  size_t size = (size_t) count;

  BIO_clear_retry_flags(bio);
  if (self->call == TLS_RECV) return answer(self, data, size) ? count : -1;
  if (self->call == TLS_SEND && size <= sizeof(self->scratch->output)) {
    if (size > sizeof(self->scratch->output) - self->output_size)
      send_output(self);
    memcpy(self->scratch->output + self->output_size, data, size);
    self->output_size += size;
    return count;
  }
  say(self, data, size);
  return count; /* a failure shows in the stream below */
}

/* The end of the stream below, and its failures, are told by the caller: libssl
 * would not let this side write after them. */
static int bio_read(BIO *bio, char *data, int count) {
  tls_stream *self = BIO_get_data(bio);
  size_t size = (size_t) count;

  BIO_clear_retry_flags(bio);
  if (self->input_size == 0) {
    if (art_stream_unread(self->below) > 0)
      return (int) art_stream_take(self->below, data, size);
    self->input = self->scratch->input;
    self->input_size = art_stream_take(self->below, self->scratch->input,
                                       sizeof(self->scratch->input));
  }
  if (self->input_size == 0) {
    BIO_set_retry_read(bio);
    return -1;
  }
  if (size > self->input_size) size = self->input_size;
  memcpy(data, self->input, size);
  self->input += size;
  self->input_size -= size;
  return (int) size;
}

static long bio_control(BIO *bio, int command, long number, void *pointer) {
  (void) bio;
  (void) number;
  (void) pointer;
  return command == BIO_CTRL_FLUSH;
}

/* One for the process, made once. */
static BIO_METHOD *method;

static void make_method(void) {
  method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "asyncrt");
  if (method == NULL) return;
  BIO_meth_set_read(method, bio_read);
  BIO_meth_set_write(method, bio_write);
  BIO_meth_set_ctrl(method, bio_control);
}

static BIO *new_bio(tls_stream *self) {
  static uv_once_t once = UV_ONCE_INIT;
  BIO *bio;

  uv_once(&once, make_method);
  bio = method != NULL ? BIO_new(method) : NULL;
  if (bio == NULL) return NULL;
  BIO_set_data(bio, self);
  BIO_set_init(bio, 1);
  return bio;
}

void tls_enter(tls_stream *self, tls_call call) {
  /* Another user of the library may have left some. */
  if (ERR_peek_error() != 0) ERR_clear_error();
  self->call = (uint8_t) call;
}

void tls_leave(tls_stream *self) {
  size_t rest = self->input_size;

  self->input_size = 0;
  if (rest > 0) art_stream_keep(self->below, self->input, rest);
  if (self->answers != NULL || self->error != 0) tls_look_later(self);
  if (ERR_peek_error() != 0) ERR_clear_error();
  self->call = TLS_IDLE;
}

/* --- Readiness --- */

static bool is_stuck(const tls_stream *self) {
  return self->answers != NULL && self->below->queued > ART_STREAM_HIGH_WATER;
}

/* Acts on what has become ready below. May free the stream. */
static void look(tls_stream *self) {
  art_stream *stream = &self->stream, *below = self->below;
  unsigned events = self->missed;
  int error;

  self->missed = 0;
  if (!is_stuck(self)) say_answers(self);
  if (!self->established && self->error == 0) {
    tls_drive(self);
    if (!self->established) return;
    events = ART_READABLE | ART_WRITABLE;
  }
  error = self->error != 0 ? self->error : below->write_error;
  if (error == 0 || stream->write_error != 0) {
    art_stream_ready(stream, events);
    return;
  }
  art_stream_ready(stream, events & ART_READABLE);
  art_stream_fail_writes(stream, error);
}

static void on_later(art_callback_timer *timer) {
  look(art_container_of(timer, tls_stream, later));
}

void tls_look_later(tls_stream *self) {
  art_timers *timers = &self->stream.rt->timers;

  if (self->later.timer.heap_index != 0) return;
  self->later.timer.at = asyncrt_now(self->stream.rt);
  art_timer_arm(timers, &self->later.timer);
}

/* A stream in the same process tells it from the middle of a read or a write of
 * whoever is at its other end, whose buffer is in use. */
static void tls_below_ready(art_stream *stream, unsigned events) {
  tls_stream *self = self_of(stream);

  self->missed |= events;
  if (!stream->external || self->call != TLS_IDLE)
    tls_look_later(self);
  else
    look(self);
}

/* --- Receiving --- */

static bool has_input(const tls_stream *self) {
  const art_stream *below = self->below;

  return self->input_size > 0 || art_stream_unread(below) > 0 ||
         (below->readable && !below->ended && below->read_error == 0) ||
         SSL_pending(self->ssl) > 0;
}

/* Decrypts into `data`; false where there is no more, or no more ever. */
static bool decrypt(tls_stream *self, char *data, size_t size, size_t *count) {
  if (self->ended || self->error != 0 || !has_input(self)) return false;
  if (SSL_read_ex(self->ssl, data, size, count) == 1) return true;
  switch (SSL_get_error(self->ssl, 0)) {
    case SSL_ERROR_WANT_READ: break;
    case SSL_ERROR_ZERO_RETURN: self->ended = true; break;
    default: tls_explain(self); self->error = TLS_ERROR;
  }
  return false;
}

/* Nothing could be decrypted. */
static ssize_t why_nothing(tls_stream *self) {
  if (self->error != 0) return self->error;
  if (self->ended) return 0;
  if (self->below->read_error != 0) return self->below->read_error;
  if (!self->below->ended) return UV_EAGAIN;
  tls_set_reason(self, "ETRUNCATED", "cut off without close_notify");
  return TLS_ERROR;
}

static ssize_t tls_recv(art_stream *stream, char *data, size_t size) {
  tls_stream *self = self_of(stream);
  size_t total = 0, count;

  if (!self->established) return self->error != 0 ? self->error : UV_EAGAIN;
  tls_enter(self, TLS_RECV);
  while (total < size && decrypt(self, data + total, size - total, &count))
    total += count;
  tls_leave(self);
  return total > 0 ? (ssize_t) total : why_nothing(self);
}

/* --- Sending --- */

/* The next bytes of a gathered write. */
typedef struct tls_parts {
  const struct iovec *parts;
  int count;
  size_t offset; /* in the first */
} tls_parts;

static void skip(tls_parts *rest, size_t size) {
  rest->offset += size;
  while (rest->count > 0 && rest->offset >= rest->parts->iov_len) {
    rest->offset -= rest->parts->iov_len;
    rest->parts++;
    rest->count--;
  }
}

/* The bytes of a record: as they lie, or joined out of small parts. */
static size_t next_record(tls_stream *self, tls_parts rest, const char **data) {
  size_t size = 0, room = TLS_RECORD;

  *data = (const char *) rest.parts->iov_base + rest.offset;
  if (rest.count == 1 || rest.parts->iov_len - rest.offset >= room) {
    size = rest.parts->iov_len - rest.offset;
    return size < room ? size : room;
  }
  *data = self->scratch->plain;
  while (rest.count > 0 && size < room) {
    size_t part = rest.parts->iov_len - rest.offset;

    if (part > room - size) part = room - size;
    memcpy(self->scratch->plain + size,
           (const char *) rest.parts->iov_base + rest.offset, part);
    size += part;
    skip(&rest, part);
  }
  return size;
}

/* Encrypts one record into the scratch. */
static size_t encrypt(tls_stream *self, const tls_parts *rest) {
  const char *data;
  size_t size = next_record(self, *rest, &data), done = 0;

  if (sizeof(self->scratch->output) - self->output_size < size + TLS_OVERHEAD)
    send_output(self);
  if (SSL_write_ex(self->ssl, data, size, &done) == 1) return done;
  if (SSL_get_error(self->ssl, 0) != SSL_ERROR_WANT_READ) {
    tls_explain(self);
    self->error = TLS_ERROR;
  }
  return 0;
}

/* Encrypts until the stream below has enough to do: a large write holds up the
 * loop no longer than a small one. */
static ssize_t tls_send(art_stream *stream, const struct iovec *parts,
                        int count) {
  tls_stream *self = self_of(stream);
  art_stream *below = self->below;
  tls_parts rest = {parts, count, 0};
  size_t total = 0, size = 1;

  if (self->error != 0) return self->error;
  if (!self->established) return UV_EAGAIN;
  say_answers(self);
  tls_enter(self, TLS_SEND);
  skip(&rest, 0);
  while (size > 0 && rest.count > 0 && below->write_error == 0 &&
         below->queued < ART_STREAM_HIGH_WATER) {
    size = encrypt(self, &rest);
    skip(&rest, size);
    total += size;
  }
  send_output(self);
  tls_leave(self);
  if (below->write_error != 0) return below->write_error;
  if (self->error != 0) return self->error;
  return total > 0 ? (ssize_t) total : UV_EAGAIN;
}

static size_t tls_unsent(art_stream *stream) {
  art_stream *below = self_of(stream)->below;
  size_t size = below->queued;

  if (below->type->unsent != NULL) size += below->type->unsent(below);
  return size;
}

static size_t tls_unread(art_stream *stream) {
  art_stream *below = self_of(stream)->below;

  return below->type->unread != NULL ? below->type->unread(below) : 0;
}

/* --- Ending --- */

/* Returns UV_ENOMEM where the peer will not hear of it. */
static int say_goodbye(tls_stream *self) {
  int error = 0;

  tls_enter(self, TLS_TALK);
  if (SSL_shutdown(self->ssl) < 0 && tls_lacks_memory()) error = UV_ENOMEM;
  tls_leave(self);
  return error;
}

/* Before the end of the handshake it is left to tls_drive. */
static int tls_shutdown(art_stream *stream) {
  tls_stream *self = self_of(stream);
  int error = 0;

  if (self->established && self->error == 0) error = say_goodbye(self);
  return error != 0 ? error : self->below->write_error;
}

/* What has come and was not read, tickets for instance, would make the system
 * reset the connection, and so take the last bytes from the peer. */
static void drain(tls_stream *self) {
  int i;

  for (i = 0; i < MOST_DRAINED; i++)
    if (art_stream_take(self->below, self->scratch->input,
                        sizeof(self->scratch->input)) == 0)
      break;
}

static void tls_close(art_stream *stream, bool reset) {
  tls_stream *self = self_of(stream);

  tls_handshake_over(self);
  if (!reset) {
    say_answers(self);
    if (self->established && self->error == 0 && !stream->shut)
      say_goodbye(self);
    if (stream->external) drain(self);
  }
  /* A farewell that cannot be sent as a whole arms it. */
  art_timer_disarm(&stream->rt->timers, &self->later.timer);
  art_timers_release(&stream->rt->timers, TIMERS);
  SSL_free(self->ssl);
  tls_config_release(self->config);
  art_stream_close_below(self->below, reset);
  if (self->own_scratch) free(self->scratch);
  free(self->answers);
  free(self->reason);
  free(self->name);
  art_stream_free(stream);
}

/* --- The stream --- */

static int tls_watch(art_stream *stream) {
  return art_stream_watch(self_of(stream)->below);
}

static void tls_address(art_stream *stream, bool peer, char *text,
                        size_t size) {
  art_stream *below = self_of(stream)->below;

  below->type->address(below, peer, text, size);
}

static bool tls_gone(art_stream *stream) {
  return art_stream_is_gone(self_of(stream)->below);
}

static int tls_set_nodelay(art_stream *stream, bool on) {
  art_stream *below = self_of(stream)->below;

  return below->type->set_nodelay != NULL ? below->type->set_nodelay(below, on)
                                          : UV_ENOTSUP;
}

static int tls_set_keepalive(art_stream *stream, unsigned seconds) {
  art_stream *below = self_of(stream)->below;

  return below->type->set_keepalive != NULL
             ? below->type->set_keepalive(below, seconds)
             : UV_ENOTSUP;
}

static int tls_push_error(lua_State *L, art_stream *stream,
                          const char *operation, int error) {
  const tls_stream *self = self_of(stream);
  char peer[ART_ADDRESS_TEXT];

  tls_address(stream, true, peer, sizeof(peer));
  if (error != TLS_ERROR) return asyncrt_push_error(L, operation, peer, error);
  lua_pushnil(L);
  lua_pushfstring(L, "%s %s: %s", operation, peer,
                  self->reason != NULL ? self->reason : "TLS failed");
  lua_pushstring(L, self->code);
  return 3;
}

static const art_stream_type tls_type = {
    .kind = "TLS stream",
    .recv = tls_recv,
    .send = tls_send,
    .shutdown = tls_shutdown,
    .watch = tls_watch,
    .end_waits = tls_end_waits,
    .close = tls_close,
    .address = tls_address,
    .unread = tls_unread,
    .unsent = tls_unsent,
    .below_ready = tls_below_ready,
    .gone = tls_gone,
    .set_nodelay = tls_set_nodelay,
    .set_keepalive = tls_set_keepalive,
    .push_error = tls_push_error,
    .handshake = tls_handshake,
    .tls_info = tls_push_info,
    .short_reads = true,
};

tls_stream *tls_of(art_stream *stream) {
  return stream->type == &tls_type ? self_of(stream) : NULL;
}

/* --- Making one --- */

static bool is_address(const char *name) {
  unsigned char address[16];

  return uv_inet_pton(AF_INET, name, address) == 0 ||
         uv_inet_pton(AF_INET6, name, address) == 0;
}

/* Whom a client expects. Subjects without a list of names say nothing.
 * Source: RFC 9525. */
static bool expect_name(tls_stream *self) {
  X509_VERIFY_PARAM *param = SSL_get0_param(self->ssl);

  if (self->name == NULL) return true;
  if (is_address(self->name))
    return X509_VERIFY_PARAM_set1_ip_asc(param, self->name) == 1;
  X509_VERIFY_PARAM_set_hostflags(param,
                                  X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS |
                                      X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
  return SSL_set_tlsext_host_name(self->ssl, self->name) == 1 &&
         X509_VERIFY_PARAM_set1_host(param, self->name, 0) == 1;
}

/* Only here libssl has the certificate that it refuses. */
static int verified(int good, X509_STORE_CTX *store) {
  const SSL *ssl =
      X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());

  if (!good)
    tls_explain_certificate(SSL_get_app_data(ssl),
                            X509_STORE_CTX_get_error(store),
                            X509_STORE_CTX_get0_cert(store));
  return good;
}

static bool open_ssl(tls_stream *self, SSL_CTX *context) {
  BIO *bio = context != NULL ? new_bio(self) : NULL;

  self->ssl = bio != NULL ? SSL_new(context) : NULL;
  if (self->ssl == NULL) {
    BIO_free(bio);
    return false;
  }
  SSL_set_bio(self->ssl, bio, bio);
  SSL_set_app_data(self->ssl, self);
  SSL_set_verify(self->ssl, SSL_get_verify_mode(self->ssl), verified);
  if (self->server)
    SSL_set_accept_state(self->ssl);
  else
    SSL_set_connect_state(self->ssl);
  return self->server || expect_name(self);
}

static void free_new(tls_stream *self) {
  ERR_clear_error();
  SSL_free(self->ssl);
  if (self->own_scratch) free(self->scratch);
  free(self->name);
  free(self);
}

static tls_stream *new_stream(tls_scratch *scratch, tls_config *config,
                              bool server, const char *name, bool nested) {
  tls_stream *self = calloc(1, sizeof(*self));

  if (self == NULL) return NULL;
  art_list_init(&self->link);
  self->config = config;
  self->server = server;
  self->name = name != NULL ? strdup(name) : NULL;
  /* One above another needs its buffers while that one uses its own. */
  self->own_scratch = nested;
  self->scratch = nested ? malloc(sizeof(*scratch)) : scratch;
  self->later.timer.kind = ART_TIMER_CALLBACK;
  self->later.fire = on_later;
  if (self->scratch == NULL || (name != NULL && self->name == NULL) ||
      !open_ssl(self, server ? config->server : tls_client_of(config))) {
    free_new(self);
    return NULL;
  }
  return self;
}

int tls_open(tls_stream **stream, art_stream *below, tls_scratch *scratch,
             tls_config *config, bool server, const char *name, double limit) {
  int error = art_stream_watch(below);
  asyncrt *rt = below->rt;
  tls_stream *self;

  if (error == 0) error = art_timers_hold(&rt->timers, TIMERS);
  if (error != 0) return error;
  self = new_stream(scratch, config, server, name, tls_of(below) != NULL);
  if (self == NULL) {
    art_timers_release(&rt->timers, TIMERS);
    return UV_ENOMEM;
  }
  config->users++;
  self->below = below;
  art_stream_init(&self->stream, rt, &tls_type, -1);
  art_stream_wrap(&self->stream, below);
  tls_begin(self, limit);
  *stream = self;
  return 0;
}
