/* What a script asks of a transfer: an op waits for the head of the response,
 * or until the body of the request has been sent. */
#include "response.h"

#include "error.h"
#include "op.h"
#include "stream_internal.h"
#include "transfer.h"

/* --- The ops. object = the stream's box; u.data = the transfer, while it is
 * armed. --- */

static art_transfer *transfer_at(const asyncrt_op *op) {
  art_stream *stream = *(art_stream **) op->object;

  return stream != NULL ? art_transfer_of(stream) : NULL;
}

/* Waits for one thing at a time, in a single task. */
static int wait_for(asyncrt_op *op, lua_State *L, art_transfer *transfer,
                    bool (*is_done)(const art_transfer *transfer)) {
  if (transfer->op != NULL)
    art_raise(L, "another task is already waiting for this response");
  transfer->op_is_done = is_done;
  op->u.data = transfer;
  return ASYNCRT_NOT_READY;
}

static void response_arm(asyncrt_op *op) {
  art_transfer *transfer = op->u.data;

  transfer->op = op;
}

/* Cancelled: nobody has seen the response, and nobody will. */
static void response_disarm(asyncrt_op *op) {
  art_transfer *transfer = op->u.data;

  transfer->op = NULL;
  if (op->wait->state != ART_WAIT_ABANDONED) return;
  art_transfer_fail(transfer, "ECANCELED", "cancelled");
  art_transfer_finish(transfer);
}

static void response_describe(const asyncrt_op *op, char *text, size_t size) {
  const art_transfer *transfer = op->u.data;

  snprintf(text, size, "%s %s", transfer->operation, transfer->shown);
}

static int head_finish(asyncrt_op *op, lua_State *L) {
  art_transfer *transfer = transfer_at(op);

  if (transfer == NULL) return art_push_failure(L, "closed", "ECLOSED");
  if (art_transfer_has_head(transfer)) return art_head_push(L, &transfer->head);
  return art_transfer_push_failure(L, transfer, transfer->operation);
}

static int head_attempt(asyncrt_op *op, lua_State *L) {
  art_transfer *transfer = transfer_at(op);

  if (transfer == NULL || transfer->is_over || art_transfer_has_head(transfer))
    return ASYNCRT_DONE(head_finish(op, L));
  return wait_for(op, L, transfer, art_transfer_has_head);
}

static const asyncrt_op_type head_op = {
    "response",  head_attempt,      response_arm,        response_disarm,
    head_finish, response_describe, ASYNCRT_OP_EXTERNAL,
};

static int sent_finish(asyncrt_op *op, lua_State *L) {
  (void) op;
  (void) L;
  return 0;
}

static int sent_attempt(asyncrt_op *op, lua_State *L) {
  art_transfer *transfer = transfer_at(op);

  if (transfer == NULL || art_transfer_is_sent(transfer))
    return ASYNCRT_DONE(0);
  return wait_for(op, L, transfer, art_transfer_is_sent);
}

static const asyncrt_op_type sent_op = {
    "request",   sent_attempt,      response_arm,        response_disarm,
    sent_finish, response_describe, ASYNCRT_OP_EXTERNAL,
};

/* --- Lua --- */

int art_response_head(lua_State *L) {
  art_stream **box = art_check_transfer(L, 1);

  return asyncrt_perform(L, asyncrt_prepare(L, &head_op, box));
}

int art_response_sent(lua_State *L) {
  art_stream **box = art_check_transfer(L, 1);

  return asyncrt_perform(L, asyncrt_prepare(L, &sent_op, box));
}

int art_response_trailers(lua_State *L) {
  art_stream *stream = *art_check_transfer(L, 1);

  if (stream == NULL || !art_transfer_of(stream)->is_over) return 0;
  return art_head_push_trailers(L, &art_transfer_of(stream)->head);
}
