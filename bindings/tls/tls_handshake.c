/* TLS: the handshake, which goes on as bytes arrive, whether or not a task
 * waits for its end. */
#include "tls.h"

#include "error.h"

#include <stdlib.h>

static tls_stream *self_of(art_stream *stream) {
  return art_container_of(stream, tls_stream, stream);
}

/* --- Its end --- */

void tls_end_waits(art_stream *stream) {
  tls_stream *self = self_of(stream);
  asyncrt_op *op;

  while ((op = self->waiters.first) != NULL) asyncrt_op_complete(op);
}

void tls_handshake_over(tls_stream *self) {
  art_timer_disarm(&self->stream.rt->timers, &self->limit.timer);
  if (!art_list_empty(&self->link)) {
    art_list_remove(&self->link);
    self->config->unfinished--;
  }
  tls_end_waits(&self->stream);
}

void tls_fail(tls_stream *self, int error) {
  art_stream *stream = &self->stream;

  self->error = stream->read_error = error;
  tls_handshake_over(self);
  art_stream_ready(stream, ART_READABLE);
  art_stream_fail_writes(stream, error);
}

static void on_limit(art_callback_timer *timer) {
  tls_fail(art_container_of(timer, tls_stream, limit), UV_ETIMEDOUT);
}

static void establish(tls_stream *self) {
  self->established = true;
  tls_handshake_over(self);
  if (self->stream.shut && self->stream.queued == 0)
    self->stream.type->shutdown(&self->stream);
}

/* It waits for the peer, unless that cannot say more. */
static void wait_for_peer(tls_stream *self) {
  const art_stream *below = self->below;

  if (below->write_error != 0) {
    tls_fail(self, below->write_error);
  } else if (below->read_error != 0) {
    tls_fail(self, below->read_error);
  } else if (below->ended) {
    tls_set_reason(self, "EOF", "closed by the peer during the handshake");
    tls_fail(self, TLS_ERROR);
  }
}

void tls_drive(tls_stream *self) {
  int result, why;

  tls_enter(self, TLS_TALK);
  result = SSL_do_handshake(self->ssl);
  why = SSL_get_error(self->ssl, result);
  if (why != SSL_ERROR_NONE && why != SSL_ERROR_WANT_READ) tls_explain(self);
  tls_leave(self);
  if (why == SSL_ERROR_NONE)
    establish(self);
  else if (why == SSL_ERROR_WANT_READ)
    wait_for_peer(self);
  else
    tls_fail(self, TLS_ERROR);
}

/* --- Its beginning --- */

/* Makes room for one more: who has taken the longest gives way. */
static void add_unfinished(tls_stream *self) {
  tls_config *config = self->config;

  if (config->unfinished >= config->most) {
    tls_stream *oldest =
        art_container_of(config->handshakes.next, tls_stream, link);

    tls_set_reason(oldest, "ELIMIT", "too many unfinished handshakes");
    tls_fail(oldest, TLS_ERROR);
  }
  art_list_append(&config->handshakes, &self->link);
  config->unfinished++;
}

void tls_begin(tls_stream *self, double limit) {
  asyncrt *rt = self->stream.rt;

  self->limit.timer.kind = ART_TIMER_CALLBACK;
  self->limit.fire = on_limit;
  self->limit.timer.at = art_deadline(asyncrt_now(rt), limit);
  art_timer_arm(&rt->timers, &self->limit.timer);
  if (self->server)
    add_unfinished(self);
  else
    tls_resume_session(self);
  tls_drive(self);
}

/* --- The op. object = the box; u.data = the stream, while armed. --- */

static int push_outcome(lua_State *L, asyncrt_op *op) {
  art_stream *stream = *(art_stream **) op->object;
  tls_stream *self;

  if (stream == NULL) return art_stream_push_closed(L);
  self = self_of(stream);
  if (self->error != 0)
    return art_stream_push_error(L, stream, "handshake", self->error);
  lua_pushboolean(L, true);
  return 1;
}

static int handshake_attempt(asyncrt_op *op, lua_State *L) {
  art_stream *stream = *(art_stream **) op->object;

  if (stream != NULL && !self_of(stream)->established &&
      self_of(stream)->error == 0)
    return ASYNCRT_NOT_READY;
  return ASYNCRT_DONE(push_outcome(L, op));
}

static void handshake_arm(asyncrt_op *op) {
  tls_stream *self = self_of(*(art_stream **) op->object);

  op->u.data = self;
  asyncrt_queue_push(&self->waiters, op);
}

static void handshake_disarm(asyncrt_op *op) {
  tls_stream *self = op->u.data;

  asyncrt_queue_remove(&self->waiters, op);
}

static int handshake_finish(asyncrt_op *op, lua_State *L) {
  return push_outcome(L, op);
}

#define HANDSHAKE_TYPE(flags)                                        \
  {                                                                  \
    "handshake", handshake_attempt, handshake_arm, handshake_disarm, \
        handshake_finish, art_stream_describe, flags                 \
  }

static const asyncrt_op_type handshake_ops[2] = {
    HANDSHAKE_TYPE(0), HANDSHAKE_TYPE(ASYNCRT_OP_EXTERNAL)};

int tls_handshake(lua_State *L, art_stream **box) {
  asyncrt_op *op = asyncrt_prepare(L, &handshake_ops[(*box)->external], box);

  return asyncrt_perform(L, op);
}
