/* asyncrt.core.stdio: the standard streams.
 *
 * Their open files are shared with other processes, and with C's stdio, so they
 * are never made non-blocking: poll() is asked before each read and write, and
 * no more is written than surely fits. */
#include "bindings.h"
#include "runtime.h"
#include "socket.h"
#include "stream.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/poll.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct stdio_stream {
  art_stream stream; /* first */
  bool file;         /* always ready, as far as anyone can tell */
  bool socket;
} stdio_stream;

static stdio_stream *self_of(art_stream *stream) {
  return art_container_of(stream, stdio_stream, stream);
}

static int last_error(void) {
  return uv_translate_sys_error(errno);
}

static bool is_ready(const stdio_stream *self, short events) {
  struct pollfd poll_fd = {self->stream.watcher.fd, events, 0};

  return self->file || poll(&poll_fd, 1, 0) != 0;
}

static ssize_t stdio_recv(art_stream *stream, char *data, size_t size) {
  int fd = stream->watcher.fd;
  ssize_t received;

  if (!is_ready(self_of(stream), POLLIN)) return UV_EAGAIN;
  do received = read(fd, data, size);
  while (received < 0 && errno == EINTR);
  return received < 0 ? last_error() : received;
}

/* Writes what surely does not block: to a pipe or terminal that is ready, that
 * is PIPE_BUF bytes. */
static ssize_t write_some(const stdio_stream *self, const char *data,
                          size_t size) {
  int fd = self->stream.watcher.fd;

  if (self->socket) return send(fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
  if (!is_ready(self, POLLOUT)) {
    errno = EAGAIN;
    return -1;
  }
  if (!self->file && size > PIPE_BUF) size = PIPE_BUF;
  return write(fd, data, size);
}

static ssize_t stdio_send(art_stream *stream, const struct iovec *parts,
                          int count) {
  stdio_stream *self = self_of(stream);
  size_t sent = 0, offset = 0;

  /* What print and io.write have buffered comes first. */
  if (stream->watcher.fd == STDOUT_FILENO) fflush(stdout);
  while (count > 0) {
    ssize_t written =
        offset == parts->iov_len
            ? 0
            : write_some(self, (const char *) parts->iov_base + offset,
                         parts->iov_len - offset);

    if (written < 0) {
      if (errno == EINTR) continue;
      return sent > 0 ? (ssize_t) sent : last_error();
    }
    sent += (size_t) written;
    offset += (size_t) written;
    if (offset < parts->iov_len) continue;
    offset = 0;
    parts++;
    count--;
  }
  return (ssize_t) sent;
}

static int stdio_watch(art_stream *stream) {
  return art_poll_add(stream->rt, &stream->watcher);
}

/* The descriptor stays taken, for nothing else is to become a standard
 * stream. */
static void release(int fd) {
  int null = open("/dev/null", O_RDWR | O_CLOEXEC);

  if (null < 0) return;
  dup2(null, fd);
  close(null);
}

static int stdio_shutdown(art_stream *stream) {
  if (self_of(stream)->socket)
    return shutdown(stream->watcher.fd, SHUT_WR) == 0 ? 0 : last_error();
  if (stream->watcher.watched) art_poll_remove(stream->rt, &stream->watcher);
  release(stream->watcher.fd);
  return 0;
}

static void stdio_close(art_stream *stream, bool reset) {
  asyncrt *rt = stream->rt;

  (void) reset;
  if (stream->watcher.watched) art_poll_remove(rt, &stream->watcher);
  /* At the end of a run others may still print; what the script closed is
   * closed. */
  if (rt->main != NULL) release(stream->watcher.fd);
  if (stream->write_error != 0 && rt->exit_status == ASYNCRT_EXIT_OK)
    rt->exit_status = ASYNCRT_EXIT_ERROR;
  art_stream_free(stream);
}

static void stdio_address(art_stream *stream, bool peer, char *text,
                          size_t size) {
  static const char *const names[] = {"stdin", "stdout", "stderr"};

  (void) peer;
  snprintf(text, size, "%s", names[stream->watcher.fd]);
}

static int stdio_window_size(art_stream *stream, int *columns, int *rows) {
  struct winsize size;

  if (ioctl(stream->watcher.fd, TIOCGWINSZ, &size) != 0) return UV_ENOTTY;
  *columns = size.ws_col;
  *rows = size.ws_row;
  return 0;
}

static const art_stream_type stdio_type = {
    .kind = "standard stream",
    .recv = stdio_recv,
    .send = stdio_send,
    .shutdown = stdio_shutdown,
    .watch = stdio_watch,
    .close = stdio_close,
    .address = stdio_address,
    .window_size = stdio_window_size,
    .short_reads = true,
    .patient = true,
};

static int open_stream(lua_State *L, int fd) {
  art_stream **box = art_stream_push(L);
  stdio_stream *self = calloc(1, sizeof(*self));
  struct stat status;

  if (self == NULL) return luaL_error(L, "not enough memory");
  if (fstat(fd, &status) == 0) {
    self->socket = S_ISSOCK(status.st_mode);
    self->file = S_ISREG(status.st_mode) || S_ISBLK(status.st_mode);
  }
  art_stream_init(&self->stream, art_runtime_of(L), &stdio_type, fd);
  art_stream_give(L, box, &self->stream);
  return 1;
}

/* stdio.stdin() -> stream, stdio.stdout() -> stream, stdio.stderr() -> stream
 *
 * The standard streams; each is to be opened once. */
static int stdio_stdin(lua_State *L) {
  return open_stream(L, STDIN_FILENO);
}

static int stdio_stdout(lua_State *L) {
  return open_stream(L, STDOUT_FILENO);
}

static int stdio_stderr(lua_State *L) {
  return open_stream(L, STDERR_FILENO);
}

static const luaL_Reg functions[] = {
    {"stdin", stdio_stdin},
    {"stdout", stdio_stdout},
    {"stderr", stdio_stderr},
    {NULL, NULL},
};

int art_open_stdio(lua_State *L) {
  art_open_stream(L);
  luaL_newlib(L, functions);
  return 1;
}
