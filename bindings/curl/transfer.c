/* A transfer: a request and its response, as a stream. */
#include "transfer.h"

#include "ending.h"
#include "error.h"
#include "failure.h"
#include "op.h"
#include "public.h"
#include "runtime.h"
#include "stream_internal.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define AHEAD 65536u           /* bytes ahead of the reader */
#define MOST_AHEAD (4 * AHEAD) /* … of a body that is no longer than that */
#define MORE_AHEAD (2 * AHEAD) /* … before libcurl has to keep some itself */
#define MOST_DISCARDED 65536u  /* of a redirect's body; else it is cut off */
#define RATIO_FROM (1u << 20)  /* bytes up to which any ratio will do */
#define FAILED UV_EPROTO       /* the stream's error; the transfer has more */

static const art_stream_type transfer_type;

/* --- Failures --- */

void art_transfer_fail(art_transfer *transfer, const char *code,
                       const char *format, ...) {
  va_list arguments;
  char *text = transfer->reason;

  if (transfer->code != NULL) return;
  transfer->code = code;
  va_start(arguments, format);
  vsnprintf(text, sizeof(transfer->reason), format, arguments);
  va_end(arguments);
  for (; *text != '\0'; text++)
    if (iscntrl((unsigned char) *text)) *text = '?'; /* others' words */
}

int art_transfer_push_failure(lua_State *L, const art_transfer *transfer,
                              const char *operation) {
  lua_pushnil(L);
  lua_pushfstring(L, "%s %s: %s", operation, transfer->shown, transfer->reason);
  lua_pushstring(L, transfer->code);
  return 3;
}

/* --- Its end --- */

/* Remembers that there is something to tell once libcurl has returned. */
static void note(art_transfer *transfer) {
  if (art_list_empty(&transfer->told))
    art_list_append(&transfer->client->told, &transfer->told);
  art_client_schedule(transfer->client);
}

/* Gives back what it has for being under way. */
static void detach(art_transfer *transfer) {
  art_client *client = transfer->client;

  transfer->is_over = true;
  transfer->stream.handle.site = NULL; /* it holds nothing open any more */
  art_timer_disarm(&client->rt->timers, &transfer->timer.timer);
  if (transfer->is_added) {
    /* libcurl forgets to free what it has kept meanwhile. */
    if (transfer->is_paused_in)
      curl_easy_pause(transfer->slot->easy, CURLPAUSE_CONT);
    curl_multi_remove_handle(client->multi, transfer->slot->easy);
  }
  if (transfer->slot != NULL)
    art_slot_give(client, transfer->slot, transfer->is_plain);
  transfer->slot = NULL;
  art_list_remove(&transfer->waiting);
  if (transfer->name != NULL) art_name_put(transfer->name);
  transfer->name = NULL;
  curl_slist_free_all(transfer->fields);
  transfer->fields = NULL;
  curl_url_cleanup(transfer->url);
  transfer->url = NULL;
  free(transfer->out);
  transfer->out = NULL;
  transfer->out_start = transfer->out_end = transfer->out_capacity = 0;
  art_list_remove(&transfer->told);
  art_list_remove(&transfer->resumed);
  art_list_remove(&transfer->link);
  client->count--;
}

void art_transfer_finish(art_transfer *transfer) {
  art_stream *stream = &transfer->stream;

  if (transfer->is_over) return;
  detach(transfer);
  if (transfer->code != NULL)
    stream->read_error = stream->write_error = FAILED;
  else
    stream->ended = true;
  stream->shut = true;
  art_stream_ready(stream, ART_READABLE | ART_WRITABLE);
  if (transfer->op != NULL) asyncrt_op_complete(transfer->op);
}

void art_transfer_done(art_transfer *transfer, CURLcode result) {
  if (transfer->is_discarding) result = CURLE_OK; /* the head was enough */
  if (result != CURLE_OK)
    art_failure_tell(transfer, result);
  else if (!transfer->head.is_complete)
    art_transfer_fail(transfer, "EPROTO", "the response has no head");
  else if (art_ending_is_missing(transfer) && !transfer->is_discarding)
    art_transfer_fail(transfer, "ETRUNCATED",
                      "the connection ended, and TLS has not told so");
  art_transfer_finish(transfer);
}

void art_transfer_break(art_transfer *transfer, int error) {
  char name[32];

  uv_err_name_r(error, name, sizeof(name));
  art_transfer_fail(transfer, error == UV_ENOMEM ? "ENOMEM" : "EIO",
                    "cannot wait for a socket: %s", name);
  note(transfer);
}

/* --- Time limits --- */

static void arm_limit(art_transfer *transfer) {
  art_timers *timers = &transfer->client->rt->timers;
  asyncrt_timer *timer = &transfer->timer.timer;
  uint64_t at = transfer->deadline;

  if (transfer->is_connected && at > transfer->moved &&
      at - transfer->moved > transfer->idle)
    at = transfer->moved + transfer->idle;
  if (timer->heap_index != 0 && timer->at <= at) return; /* it looks again */
  art_timer_disarm(timers, timer);
  timer->at = at;
  if (art_timers_reserve(timers, 1) == 0) art_timer_arm(timers, timer);
}

static void on_limit(art_callback_timer *timer) {
  art_transfer *transfer = art_container_of(timer, art_transfer, timer);
  uint64_t now = transfer->client->rt->tick_now;

  if (transfer->is_paused_in) transfer->moved = now; /* the reader's pause */
  if (transfer->deadline <= now)
    art_transfer_fail(transfer, "ETIMEDOUT", "not complete within %g s",
                      transfer->timeout);
  else if (transfer->is_connected && now - transfer->moved >= transfer->idle)
    art_transfer_fail(transfer, "EIDLETIMEDOUT", "nothing came for %g s",
                      transfer->idle_timeout);
  if (transfer->code != NULL)
    art_transfer_finish(transfer);
  else
    arm_limit(transfer);
}

/* --- Its start --- */

static void begin(art_transfer *transfer) {
  art_client *client = transfer->client;
  CURL *easy = transfer->slot->easy;

  curl_easy_setopt(easy, CURLOPT_RESOLVE,
                   transfer->name != NULL ? transfer->name->known : NULL);
  if (curl_multi_add_handle(client->multi, easy) == CURLM_OK) {
    transfer->is_added = true;
    return;
  }
  art_transfer_fail(transfer, "ENOMEM", "not enough memory");
  note(transfer);
}

static void on_name(art_link *waiting, int status) {
  art_transfer *transfer = art_container_of(waiting, art_transfer, waiting);
  char code[32];

  if (status == 0) {
    begin(transfer);
    return;
  }
  uv_err_name_r(status, code, sizeof(code));
  art_transfer_fail(transfer, art_intern(transfer->client->rt, code), "%s",
                    uv_strerror(status));
  art_transfer_finish(transfer);
}

void art_transfer_start(art_transfer *transfer, const char *host,
                        uint16_t port) {
  art_client *client = transfer->client;

  transfer->moved = asyncrt_now(client->rt);
  transfer->deadline = art_deadline(transfer->moved, transfer->timeout);
  transfer->idle = art_deadline(0, transfer->idle_timeout);
  arm_limit(transfer);
  if (art_name_is_known(host)) {
    begin(transfer);
    return;
  }
  transfer->name = art_name_get(&client->names, host, port, on_name);
  if (transfer->name == NULL) {
    art_transfer_fail(transfer, "ENOMEM", "not enough memory");
    note(transfer);
  } else if (transfer->name->known != NULL) {
    begin(transfer);
  } else {
    art_list_append(&transfer->name->waiting, &transfer->waiting);
  }
}

/* --- Going on --- */

static void resume_soon(art_transfer *transfer) {
  if (art_list_empty(&transfer->resumed))
    art_list_append(&transfer->client->resumed, &transfer->resumed);
  art_client_schedule(transfer->client);
}

static void resume_out(art_transfer *transfer) {
  if (!transfer->is_paused_out) return;
  transfer->is_paused_out = false;
  resume_soon(transfer);
}

/* --- What libcurl calls --- */

static void moved(art_transfer *transfer) {
  transfer->moved = transfer->client->rt->tick_now;
}

/* Its connection is there, be it an old one: the request is about to go. */
static int on_connected(void *user, char *address, char *local, int port,
                        int local_port) {
  art_transfer *transfer = ((art_slot *) user)->transfer;
  art_address parsed;

  (void) local, (void) port, (void) local_port;
  if (transfer->is_public_only && (!art_address_parse_ip(address, 0, &parsed) ||
                                   !art_is_public(&parsed.socket.any))) {
    transfer->is_private = true;
    return CURL_PREREQFUNC_ABORT;
  }
  transfer->is_connected = true;
  art_ending_connected(transfer);
  moved(transfer);
  arm_limit(transfer);
  return CURL_PREREQFUNC_OK;
}

static bool is_redirect(const art_head *head) {
  size_t size;

  switch (head->status) {
    case 301:
    case 302:
    case 303:
    case 307:
    case 308: return art_head_find(head, "location", &size) != NULL;
    default: return false;
  }
}

/* The server wants no more of the request's body; while that is paused, libcurl
 * does not see it. */
static void drop_out(art_transfer *transfer) {
  transfer->stream.write_error = UV_EPIPE;
  transfer->out_ended = true;
  transfer->out_start = transfer->out_end = 0;
  transfer->has_moved_out = true;
  resume_out(transfer);
}

/* The head is whole. False where nothing else is to come. */
static bool end_head(art_transfer *transfer) {
  art_head *head = &transfer->head;
  size_t size;

  head->end = head->size;
  if (head->status < 200) {
    art_head_restart(head);
    return true;
  }
  head->is_complete = true;
  if (transfer->expects && head->status == 417) {
    transfer->is_discarding = true; /* libcurl would try again, and again */
    return false;
  }
  transfer->is_discarding = transfer->follows && is_redirect(head);
  if (transfer->is_uploading && head->status >= 300) drop_out(transfer);
  transfer->is_encoded =
      transfer->decodes && art_head_find(head, "content-encoding", &size);
  note(transfer);
  return true;
}

static size_t on_header(char *line, size_t size, size_t count, void *user) {
  art_transfer *transfer = ((art_slot *) user)->transfer;
  art_head *head = &transfer->head;

  size *= count;
  moved(transfer);
  if (size > 5 && memcmp(line, "HTTP/", 5) == 0) art_head_restart(head);
  if (head->size + size > transfer->max_head ||
      head->lines > transfer->max_lines) {
    art_transfer_fail(transfer, "ELIMIT",
                      "a head of more than %zu bytes or %u fields",
                      transfer->max_head, transfer->max_lines);
    return 0;
  }
  if (!art_head_add(head, line, size)) {
    art_transfer_fail(transfer, "ENOMEM", "not enough memory");
    return 0;
  }
  if (!head->is_complete && (line[0] == '\r' || line[0] == '\n') &&
      !end_head(transfer))
    return 0;
  return size;
}

/* Whether there is more in the body than its size on the wire can be. */
static bool is_bomb(const art_transfer *transfer) {
  curl_off_t size = 0;

  if (!transfer->is_encoded || transfer->body <= RATIO_FROM) return false;
  curl_easy_getinfo(transfer->slot->easy, CURLINFO_SIZE_DOWNLOAD_T, &size);
  return transfer->body / transfer->max_ratio > (uint64_t) size;
}

/* Counts some of the body; false where that is too much. */
static bool count_body(art_transfer *transfer, size_t size) {
  transfer->body += size;
  if (transfer->is_discarding) return transfer->body <= MOST_DISCARDED;
  if (transfer->body > transfer->max_body)
    art_transfer_fail(transfer, "ELIMIT", "a body of more than %zu bytes",
                      transfer->max_body);
  else if (is_bomb(transfer))
    art_transfer_fail(transfer, "EBOMB",
                      "a body of more than %zu times its compressed size",
                      transfer->max_ratio);
  return transfer->code == NULL;
}

/* Makes room for a body whose length is known. */
static void expect_body(art_transfer *transfer) {
  curl_off_t size = -1;

  if (transfer->is_encoded || transfer->is_discarding) return;
  curl_easy_getinfo(transfer->slot->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T,
                    &size);
  if (size <= 0 || size > MOST_AHEAD) return;
  if (size > AHEAD) transfer->room = transfer->ahead = (size_t) size + 1;
  art_stream_expect(&transfer->stream, (size_t) size);
}

static size_t on_body(char *data, size_t size, size_t count, void *user) {
  art_transfer *transfer = ((art_slot *) user)->transfer;
  art_stream *stream = &transfer->stream;

  size *= count;
  if (transfer->is_over) return size; /* see detach */
  /* What is being decompressed cannot stop in its middle: libcurl would keep
   * all that the bytes it has make. */
  if (!transfer->is_encoded && !transfer->is_discarding &&
      art_stream_unread(stream) >= transfer->room + MORE_AHEAD) {
    transfer->is_paused_in = true;
    return CURL_WRITEFUNC_PAUSE;
  }
  moved(transfer);
  if (transfer->body == 0) expect_body(transfer);
  if (!count_body(transfer, size)) return 0;
  if (transfer->is_discarding) return size;
  art_stream_keep(stream, data, size);
  if (stream->read_error != 0) {
    art_transfer_fail(transfer, "ENOMEM", "not enough memory");
    return 0;
  }
  transfer->has_moved_in = true;
  note(transfer);
  return size;
}

/* The next bytes of the request's body. */
static size_t on_wanted(char *data, size_t size, size_t count, void *user) {
  art_transfer *transfer = ((art_slot *) user)->transfer;
  size_t there = transfer->out_end - transfer->out_start;

  size *= count;
  moved(transfer);
  if (there == 0) {
    if (transfer->out_ended) return 0;
    transfer->is_paused_out = true;
    return CURL_READFUNC_PAUSE;
  }
  if (size > there) size = there;
  memcpy(data, transfer->out + transfer->out_start, size);
  transfer->out_start += size;
  if (size == there) transfer->out_start = transfer->out_end = 0;
  transfer->has_moved_out = true;
  note(transfer);
  return size;
}

CURLcode art_transfer_set_callbacks(art_slot *slot) {
  CURL *easy = slot->easy;
  CURLcode codes[] = {
      curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header),
      curl_easy_setopt(easy, CURLOPT_HEADERDATA, slot),
      curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body),
      curl_easy_setopt(easy, CURLOPT_WRITEDATA, slot),
      curl_easy_setopt(easy, CURLOPT_READFUNCTION, on_wanted),
      curl_easy_setopt(easy, CURLOPT_READDATA, slot),
      curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, on_connected),
      curl_easy_setopt(easy, CURLOPT_PREREQDATA, slot),
  };
  size_t i;

  for (i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
    if (codes[i] != CURLE_OK) return codes[i];
  return CURLE_OK;
}

/* --- What was noted --- */

bool art_transfer_is_sent(const art_transfer *transfer) {
  return transfer->is_over ||
         (transfer->out_ended && transfer->out_start == transfer->out_end);
}

bool art_transfer_has_head(const art_transfer *transfer) {
  return transfer->head.is_complete &&
         (!transfer->is_discarding || transfer->is_over);
}

/* Stops reading where the reader is behind. */
static void pause_if_full(art_transfer *transfer) {
  if (transfer->is_paused_in ||
      art_stream_unread(&transfer->stream) < transfer->room)
    return;
  transfer->is_paused_in = true;
  curl_easy_pause(transfer->slot->easy,
                  CURLPAUSE_RECV |
                      (transfer->is_paused_out ? CURLPAUSE_SEND : 0));
}

void art_transfer_tell(art_transfer *transfer) {
  if (transfer->code != NULL) {
    art_transfer_finish(transfer);
    return;
  }
  if (transfer->op != NULL && transfer->op_is_done(transfer))
    asyncrt_op_complete(transfer->op);
  if (transfer->has_moved_in) {
    transfer->has_moved_in = false;
    art_stream_ready(&transfer->stream, ART_READABLE);
    pause_if_full(transfer);
  }
  if (transfer->has_moved_out) {
    transfer->has_moved_out = false;
    art_stream_ready(&transfer->stream, ART_WRITABLE);
  }
}

void art_transfer_resume(art_transfer *transfer) {
  curl_easy_pause(transfer->slot->easy,
                  (transfer->is_paused_in ? CURLPAUSE_RECV : 0) |
                      (transfer->is_paused_out ? CURLPAUSE_SEND : 0));
}

/* --- The stream --- */

/* Bytes come by themselves; a reader that asks wants more than are there. */
static ssize_t transfer_recv(art_stream *stream, char *data, size_t size) {
  art_transfer *transfer = art_transfer_of(stream);

  (void) data, (void) size;
  transfer->room = art_stream_unread(stream) + transfer->ahead;
  if (transfer->is_paused_in) {
    transfer->is_paused_in = false;
    resume_soon(transfer);
  }
  return UV_EAGAIN;
}

/* Makes room for more of the request's body; false without memory. */
static bool reserve_out(art_transfer *transfer, size_t size) {
  size_t there = transfer->out_end - transfer->out_start;
  size_t capacity = transfer->out_capacity;
  char *out;

  if (capacity - transfer->out_end >= size) return true;
  if (there > 0 && transfer->out_start > 0)
    memmove(transfer->out, transfer->out + transfer->out_start, there);
  transfer->out_start = 0;
  transfer->out_end = there;
  if (capacity - there >= size) return true;
  capacity = 2 * capacity > there + size ? 2 * capacity : there + size;
  out = realloc(transfer->out, capacity);
  if (out == NULL) return false;
  transfer->out = out;
  transfer->out_capacity = capacity;
  return true;
}

static ssize_t transfer_send(art_stream *stream, const struct iovec *parts,
                             int count) {
  art_transfer *transfer = art_transfer_of(stream);
  size_t size = 0;
  int i;

  for (i = 0; i < count; i++) size += parts[i].iov_len;
  if (!reserve_out(transfer, size)) return UV_ENOMEM;
  for (i = 0; i < count; i++) {
    memcpy(transfer->out + transfer->out_end, parts[i].iov_base,
           parts[i].iov_len);
    transfer->out_end += parts[i].iov_len;
  }
  resume_out(transfer);
  return (ssize_t) size;
}

static size_t transfer_unread(art_stream *stream) {
  const art_transfer *transfer = art_transfer_of(stream);

  return transfer->out_end - transfer->out_start;
}

static int transfer_shutdown(art_stream *stream) {
  art_transfer *transfer = art_transfer_of(stream);

  transfer->out_ended = true;
  note(transfer);
  resume_out(transfer);
  return 0;
}

static void transfer_close(art_stream *stream, bool reset) {
  art_transfer *transfer = art_transfer_of(stream);
  art_client *client = transfer->client;

  (void) reset;
  if (transfer->op != NULL) asyncrt_op_complete(transfer->op);
  if (!transfer->is_over) detach(transfer);
  art_head_free(&transfer->head);
  free(transfer->shown);
  art_stream_free(stream);
  art_client_release(client);
}

static void transfer_address(art_stream *stream, bool peer, char *text,
                             size_t size) {
  (void) peer;
  snprintf(text, size, "%s", art_transfer_of(stream)->shown);
}

static int transfer_push_error(lua_State *L, art_stream *stream,
                               const char *operation, int error) {
  const art_transfer *transfer = art_transfer_of(stream);

  if (error == FAILED && transfer->code != NULL)
    return art_transfer_push_failure(L, transfer, operation);
  return asyncrt_push_error(L, operation, transfer->shown, error);
}

static const art_stream_type transfer_type = {
    .kind = "HTTP transfer",
    .recv = transfer_recv,
    .send = transfer_send,
    .shutdown = transfer_shutdown,
    .close = transfer_close,
    .address = transfer_address,
    .unread = transfer_unread,
    .push_error = transfer_push_error,
    .is_given = true,
};

art_transfer *art_transfer_push(lua_State *L, art_client **box) {
  art_stream **stream = art_stream_push(L);
  art_client *client = *box;
  art_transfer *transfer;

  if (client == NULL) art_raise(L, "the client is closed");
  transfer = calloc(1, sizeof(*transfer));
  if (transfer != NULL) transfer->slot = art_slot_take(client);
  if (transfer == NULL || transfer->slot == NULL) {
    free(transfer);
    art_raise(L, "not enough memory");
  }
  transfer->slot->transfer = transfer;
  transfer->client = client;
  client->users++;
  client->count++;
  transfer->room = transfer->ahead = AHEAD;
  transfer->timer.timer.kind = ART_TIMER_CALLBACK;
  transfer->timer.fire = on_limit;
  art_list_init(&transfer->told);
  art_list_init(&transfer->resumed);
  art_list_init(&transfer->waiting);
  art_list_append(&client->transfers, &transfer->link);
  art_stream_init(&transfer->stream, client->rt, &transfer_type, -1);
  art_stream_give(L, stream, &transfer->stream);
  return transfer;
}

art_stream **art_check_transfer(lua_State *L, int arg) {
  art_stream **box = art_stream_at(L, arg);

  if (*box != NULL && (*box)->type != &transfer_type)
    luaL_typeerror(L, arg, "HTTP transfer");
  return box;
}
