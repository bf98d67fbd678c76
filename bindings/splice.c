/* Splicing: bytes from one socket to another that never leave the kernel. */
#include "splice.h"

#include "runtime.h"
#include "stream_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#ifdef SPLICE_F_NONBLOCK

/* What an unprivileged process may ask for. In a pipe of the usual size more is
 * spent on calls than is saved. */
#define PIPE_BYTES (1 << 20)

static void close_pipe(art_splice *self) {
  if (self->in >= 0) close(self->in);
  if (self->out >= 0) close(self->out);
  self->in = self->out = -1;
}

static int splice_gc(lua_State *L) {
  close_pipe(lua_touserdata(L, 1));
  return 0;
}

void art_splice_push(lua_State *L) {
  art_splice *self = lua_newuserdatauv(L, sizeof(*self), 0);

  self->in = self->out = -1;
  self->tried = false;
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, splice_gc);
  lua_setfield(L, -2, "__gc");
  lua_setmetatable(L, -2);
}

static bool has_pipe(art_splice *self) {
  int ends[2];

  if (self->tried) return self->in >= 0;
  self->tried = true;
  if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) return false;
  self->out = ends[0];
  self->in = ends[1];
  if (fcntl(self->in, F_SETPIPE_SZ, PIPE_BYTES) < PIPE_BYTES) close_pipe(self);
  return self->in >= 0;
}

bool art_splice_can(art_splice *self, const art_stream *from,
                    const art_stream *to) {
  return from->type->can_splice && to->type->can_splice &&
         art_stream_unread(from) == 0 && from->readable && !from->ended &&
         from->read_error == 0 && to->queued == 0 && to->write_error == 0 &&
         has_pipe(self);
}

/* Returns a negative UV_E* for a failure. */
static ssize_t splice_once(int in, int out, size_t size) {
  ssize_t moved;

  do moved = splice(in, NULL, out, NULL, size, SPLICE_F_NONBLOCK);
  while (moved < 0 && errno == EINTR);
  return moved < 0 ? uv_translate_sys_error(errno) : moved;
}

/* The same to a socket: raises no SIGPIPE, which `send` can be told, and this
 * cannot. The host may have its own idea of that signal. */
static ssize_t splice_quietly(int in, int out, size_t size) {
  static const struct timespec now = {0, 0};
  sigset_t one, former, pending;
  ssize_t moved;

  sigemptyset(&one);
  sigaddset(&one, SIGPIPE);
  sigemptyset(&pending);
  pthread_sigmask(SIG_BLOCK, &one, &former);
  if (sigismember(&former, SIGPIPE) == 1) sigpending(&pending);
  moved = splice_once(in, out, size);
  if (moved == UV_EPIPE && sigismember(&pending, SIGPIPE) == 0)
    sigtimedwait(&one, NULL, &now);
  pthread_sigmask(SIG_SETMASK, &former, NULL);
  return moved;
}

/* Takes what the socket would not take out of the pipe, to the queue. */
static void queue_rest(art_splice *self, art_stream *to, size_t left) {
  struct iovec part = {.iov_base = to->rt->buffer};

  while (left > 0) {
    ssize_t got = read(self->out, part.iov_base, ART_BUFFER);

    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    part.iov_len = (size_t) got;
    left -= part.iov_len;
    art_stream_accept(to, &part, 1); /* an error stays in the stream */
  }
}

/* Whether this kernel, or who guards it, knows no splice for such sockets. */
static bool is_refused(ssize_t result) {
  return result == UV_EINVAL || result == UV_ENOSYS || result == UV_EPERM;
}

size_t art_splice_move(art_splice *self, art_stream *from, art_stream *to,
                       size_t most) {
  size_t size = most < PIPE_BYTES ? most : PIPE_BYTES, left;
  ssize_t moved = splice_once(from->watcher.fd, self->in, size);

  if (is_refused(moved)) {
    close_pipe(self);
    return art_stream_move(from, to, most);
  }
  left = size = art_stream_received(from, moved, 0);
  while (left > 0) {
    moved = splice_quietly(self->out, to->watcher.fd, left);
    if (moved <= 0) break;
    left -= (size_t) moved;
    if (to->times != NULL) art_stream_time_moved(to);
  }
  queue_rest(self, to, left);
  if (is_refused(moved)) close_pipe(self);
  return size;
}

#else

void art_splice_push(lua_State *L) {
  lua_newuserdatauv(L, sizeof(art_splice), 0);
}

bool art_splice_can(art_splice *self, const art_stream *from,
                    const art_stream *to) {
  (void) self;
  (void) from;
  (void) to;
  return false;
}

size_t art_splice_move(art_splice *self, art_stream *from, art_stream *to,
                       size_t most) {
  (void) self;
  return art_stream_move(from, to, most);
}

#endif
