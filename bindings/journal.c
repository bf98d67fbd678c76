/* asyncrt.core.journal: a file that only grows, by whole lines.
 *
 * A line is written at once, to the cache of the system, where the death of the
 * process does not touch it. Bringing it to the disk may take long, and is done
 * on libuv's thread pool for all lines that are there: whoever waits for that
 * shares it with the others. */
#include "bindings.h"
#include "box.h"
#include "error.h"
#include "runtime.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define BLOCK 65536 /* bytes read at once when it is opened */

typedef struct journal {
  asyncrt_handle handle;
  asyncrt *rt;           /* borrowed; outlives it */
  struct journal **box;  /* shared with the Lua object, or NULL */
  asyncrt_queue waiters; /* object = the box, u.size = what is to be synced */
  uv_fs_t request;       /* of the sync that runs */
  size_t size;           /* bytes of the file */
  size_t synced;         /* of which so many are on the disk for sure */
  size_t under_way;      /* and so many once the sync that runs is over */
  int fd;
  int error; /* a negative UV_E*: stays, nothing after it can be trusted */
  bool syncing, closing;
  bool durable; /* the end of the run waits for what is not synced */
  char path[];  /* for messages */
} journal;

static int last_error(void) {
  return uv_translate_sys_error(errno);
}

/* --- Bringing it to the disk --- */

static void start_sync(journal *self);

static void destroy(journal *self) {
  close(self->fd);
  asyncrt_handle_closed(self->rt, &self->handle);
  free(self);
}

static void wake(journal *self) {
  asyncrt_op *op = self->waiters.first;

  while (op != NULL) {
    asyncrt_op *next = op->next;

    if (self->error != 0 || self->closing || op->u.size <= self->synced)
      asyncrt_op_complete(op);
    op = next;
  }
}

static void on_sync(uv_fs_t *request) {
  journal *self = art_container_of(request, journal, request);

  if (request->result < 0)
    self->error = (int) request->result;
  else
    self->synced = self->under_way;
  uv_fs_req_cleanup(request);
  self->syncing = false;
  wake(self);
  if (self->waiters.first != NULL || self->closing) start_sync(self);
}

/* Starts a sync unless one runs; where nothing is left to sync, ends a journal
 * that is closing. */
static void start_sync(journal *self) {
  if (self->syncing) return;
  if (self->error == 0 && self->synced < self->size) {
    self->under_way = self->size;
    self->error = uv_fs_fdatasync(asyncrt_loop(self->rt), &self->request,
                                  self->fd, on_sync);
    if (self->error == 0) {
      self->syncing = true;
      asyncrt_loop_changed(self->rt);
      return;
    }
    wake(self);
  }
  if (self->closing) destroy(self);
}

/* Whoever opens it next need not wait for the sync. */
static void close_journal(journal *self) {
  self->closing = true;
  self->handle.site = NULL;
  flock(self->fd, LOCK_UN);
  wake(self);
  art_box_empty(self->rt, self->box);
  if (!self->durable) self->synced = self->size;
  start_sync(self);
}

static void on_handle_close(asyncrt_handle *handle) {
  journal *self = art_container_of(handle, journal, handle);

  if (!self->closing) close_journal(self);
}

/* --- The op --- */

static int push_result(lua_State *L, journal *self, const char *operation) {
  if (self == NULL) return art_push_failure(L, "closed", "ECLOSED");
  if (self->error != 0)
    return asyncrt_push_error(L, operation, self->path, self->error);
  lua_pushboolean(L, true);
  return 1;
}

static int sync_attempt(asyncrt_op *op, lua_State *L) {
  journal *self = *(journal **) op->object;

  if (self != NULL && self->error == 0 && self->synced < self->size)
    return ASYNCRT_NOT_READY;
  return ASYNCRT_DONE(push_result(L, self, "sync"));
}

static void sync_arm(asyncrt_op *op) {
  journal *self = *(journal **) op->object;

  op->u.size = self->size;
  asyncrt_queue_push(&self->waiters, op);
  start_sync(self);
}

static void sync_disarm(asyncrt_op *op) {
  journal *self = *(journal **) op->object;

  asyncrt_queue_remove(&self->waiters, op);
}

static int sync_finish(asyncrt_op *op, lua_State *L) {
  return push_result(L, *(journal **) op->object, "sync");
}

static void sync_describe(const asyncrt_op *op, char *text, size_t size) {
  const journal *self = *(journal **) op->object;

  snprintf(text, size, "sync %s", self->path);
}

static const asyncrt_op_type sync_op = {
    "sync",        sync_attempt,        sync_arm, sync_disarm, sync_finish,
    sync_describe, ASYNCRT_OP_EXTERNAL,
};

/* --- Opening --- */

/* Finds the end of the last line that is whole. A byte of zero is in no line:
 * it is what a crash of the machine may leave of one. */
static int find_end(int fd, size_t *end) {
  char block[BLOCK];
  size_t at = 0;

  *end = 0;
  while (true) {
    ssize_t count = pread(fd, block, sizeof(block), (off_t) at);
    const char *zero, *newline;

    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return last_error();
    if (count == 0) return 0;
    zero = memchr(block, '\0', (size_t) count);
    newline = memrchr(block, '\n',
                      zero != NULL ? (size_t) (zero - block) : (size_t) count);
    if (newline != NULL) *end = at + (size_t) (newline - block) + 1;
    if (zero != NULL) return 0;
    at += (size_t) count;
  }
}

/* A new file is on the disk once its folder is. */
static int sync_folder(const char *path) {
  const char *slash = strrchr(path, '/');
  char *folder =
      slash == NULL ? strdup(".") : strndup(path, (size_t) (slash - path) + 1);
  int fd = folder != NULL ? open(folder, O_RDONLY | O_CLOEXEC) : -1;
  int error = 0;

  free(folder);
  if (fd < 0) return last_error();
  if (fsync(fd) != 0) error = last_error();
  close(fd);
  return error;
}

static int lock(int fd) {
  if (flock(fd, LOCK_EX | LOCK_NB) == 0) return 0;
  return errno == EWOULDBLOCK ? UV_EBUSY : last_error();
}

/* Cuts off what is behind the last whole line. */
static int cut(int fd, size_t *size) {
  struct stat status;
  int error;

  if (fstat(fd, &status) != 0) return last_error();
  if (!S_ISREG(status.st_mode)) return UV_EINVAL;
  error = find_end(fd, size);
  if (error != 0 || (off_t) *size == status.st_size) return error;
  return ftruncate(fd, (off_t) *size) == 0 ? 0 : last_error();
}

/* Opens and locks the file, and cuts off a torn line. */
static int open_file(const char *path, bool durable, int *file, size_t *size) {
  int fd = open(path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
  int error;

  if (fd < 0) return last_error();
  error = lock(fd);
  if (error == 0) error = cut(fd, size);
  if (error == 0 && durable && *size == 0) error = sync_folder(path);
  if (error != 0) close(fd);
  *file = fd;
  return error;
}

/* journal.open(path, durable) -> journal, size | nil, message, code
 *
 * Opens a file for this process alone; creates it where there is none. `size`
 * is that of the whole lines it has. Blocks for as long as reading it takes. */
static int journal_open(lua_State *L) {
  const char *path = art_check_cstring(L, 1);
  bool durable = lua_toboolean(L, 2);
  journal **box = art_box_push(L, 0);
  journal *self;
  int error;

  lua_pushvalue(L, lua_upvalueindex(1));
  lua_setmetatable(L, -2);
  self = calloc(1, sizeof(*self) + strlen(path) + 1);
  if (self == NULL) art_raise(L, "not enough memory");
  error = open_file(path, durable, &self->fd, &self->size);
  if (error != 0) {
    free(self);
    return asyncrt_push_error(L, "open", path, error);
  }
  memcpy(self->path, path, strlen(path) + 1);
  self->rt = art_runtime_of(L);
  self->durable = durable;
  self->box = box;
  art_box_share(box);
  *box = self;
  asyncrt_handle_opened(self->rt, &self->handle, "journal", on_handle_close);
  lua_pushinteger(L, (lua_Integer) self->size);
  return 2;
}

/* --- Methods --- */

static journal **check_journal(lua_State *L) {
  return art_box_in(art_check_self(L, 1, "asyncrt.journal"));
}

/* Writes all of it or nothing; returns 0 or a negative UV_E*. */
static int write_all(journal *self, const char *data, size_t size) {
  struct iovec parts[] = {{(void *) (uintptr_t) data, size},
                          {(void *) (uintptr_t) "\n", 1}};
  int first = 0, error;

  while (first < 2) {
    ssize_t written = writev(self->fd, parts + first, 2 - first);

    if (written < 0 && errno == EINTR) continue;
    if (written < 0) break;
    while (first < 2 && (size_t) written >= parts[first].iov_len)
      written -= (ssize_t) parts[first++].iov_len;
    if (first < 2) {
      parts[first].iov_base = (char *) parts[first].iov_base + written;
      parts[first].iov_len -= (size_t) written;
    }
  }
  if (first == 2) {
    self->size += size + 1;
    return 0;
  }
  error = last_error();
  if (ftruncate(self->fd, (off_t) self->size) != 0) self->error = error;
  return error;
}

/* journal:append(line) -> true | nil, message, code
 *
 * Adds a line, without its end. Blocks for as long as a write to the system's
 * cache takes. A failure leaves nothing of the line. */
static int journal_append(lua_State *L) {
  journal *self = *check_journal(L);
  size_t size;
  const char *line = luaL_checklstring(L, 2, &size);
  int error = 0;

  if (memchr(line, '\n', size) != NULL || memchr(line, '\0', size) != NULL)
    art_raise_argument(L, 2, "a line without newline and zero expected");
  if (self != NULL && self->error == 0) error = write_all(self, line, size);
  if (error != 0) return asyncrt_push_error(L, "append", self->path, error);
  return push_result(L, self, "append");
}

/* journal:sync() -> true | nil, message, code
 *
 * Waits until what was appended is on the disk. A cancellation point; a sync
 * that was begun goes on. */
static int journal_sync(lua_State *L) {
  journal **box = check_journal(L);

  return asyncrt_perform(L, asyncrt_prepare(L, &sync_op, box));
}

/* journal:close() -> true
 *
 * What is not on the disk yet is brought there in the background. */
static int journal_close(lua_State *L) {
  journal *self = *check_journal(L);

  if (self != NULL) close_journal(self);
  lua_pushboolean(L, true);
  return 1;
}

static int journal_gc(lua_State *L) {
  journal *self = *check_journal(L);

  if (self != NULL) {
    art_handle_collected(self->rt, &self->handle);
    close_journal(self);
  }
  art_box_drop(L, 1);
  return 0;
}

static int journal_tostring(lua_State *L) {
  journal *self = *check_journal(L);

  lua_pushfstring(L, "journal %s", self != NULL ? self->path : "(closed)");
  return 1;
}

static const luaL_Reg methods[] = {
    {"append", journal_append},
    {"close", journal_close},
    {"sync", journal_sync},
    {NULL, NULL},
};

static const luaL_Reg metamethods[] = {
    {"__close", journal_close},
    {"__gc", journal_gc},
    {"__tostring", journal_tostring},
    {NULL, NULL},
};

int art_open_journal(lua_State *L) {
  lua_createtable(L, 0, 1);
  lua_newtable(L);
  lua_pushliteral(L, "asyncrt.journal");
  lua_setfield(L, -2, "__name");
  art_set_methods(L, methods);
  lua_pushvalue(L, -1);
  luaL_setfuncs(L, metamethods, 1);
  lua_pushcclosure(L, journal_open, 1);
  lua_setfield(L, -2, "open");
  return 1;
}
