/* Runs a script that counts: what an operation allocates, from Lua's allocator
 * and from malloc, and which calls into the kernel it makes.
 *
 * The linker leads the calls of the library (-Wl,--wrap) through this file.
 * The script finds count(name) -> integer among the globals. It runs in virtual
 * time where a comment at its beginning says so. */
#include "asyncrt.h"
#include "check.h"

#include <fcntl.h>
#include <lauxlib.h>
#include <malloc.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

enum {
  LUA_ALLOCATIONS, /* blocks that became larger or new */
  LUA_BLOCKS,      /* that live */
  LUA_BYTES,       /* in them */
  MALLOCS,         /* other than Lua's */
  BLOCKS,          /* of these that live */
  BYTES,           /* in them */
  RECV,
  SEND,
  EPOLL_WAIT,
  EPOLL_CTL,
  SPLICE,
  COUNTS
};

static const char *const names[] = {
    "lua_allocations", "lua_blocks", "lua_bytes", "mallocs",
    "blocks",          "bytes",      "recv",      "send",
    "epoll_wait",      "epoll_ctl",  "splice",    NULL,
};

static long long count[COUNTS];
static bool for_lua; /* what is allocated now: counted as Lua's alone */

/* --- What the library calls --- */

/* The names are the linker's. NOLINTBEGIN(bugprone-reserved-identifier) */
void *__real_malloc(size_t size);
void *__real_calloc(size_t number, size_t size);
void *__real_realloc(void *block, size_t size);
void __real_free(void *block);
ssize_t __real_recv(int fd, void *data, size_t size, int flags);
ssize_t __real_send(int fd, const void *data, size_t size, int flags);
ssize_t __real_sendmsg(int fd, const struct msghdr *message, int flags);
int __real_epoll_wait(int fd, struct epoll_event *events, int most, int ms);
int __real_epoll_ctl(int set, int operation, int fd, struct epoll_event *event);
ssize_t __real_splice(int in, off64_t *from, int out, off64_t *to, size_t size,
                      unsigned flags);

void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t number, size_t size);
void *__wrap_realloc(void *block, size_t size);
void __wrap_free(void *block);
ssize_t __wrap_recv(int fd, void *data, size_t size, int flags);
ssize_t __wrap_send(int fd, const void *data, size_t size, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags);
int __wrap_epoll_wait(int fd, struct epoll_event *events, int most, int ms);
int __wrap_epoll_ctl(int set, int operation, int fd, struct epoll_event *event);
ssize_t __wrap_splice(int in, off64_t *from, int out, off64_t *to, size_t size,
                      unsigned flags);

static void count_block(int blocks, void *block) {
  if (for_lua) return;
  count[BLOCKS] += blocks;
  count[BYTES] += blocks * (long long) malloc_usable_size(block);
}

void *__wrap_malloc(size_t size) {
  void *block = __real_malloc(size);

  count[MALLOCS] += !for_lua;
  count_block(1, block);
  return block;
}

void *__wrap_calloc(size_t number, size_t size) {
  void *block = __real_calloc(number, size);

  count[MALLOCS] += !for_lua;
  count_block(1, block);
  return block;
}

void *__wrap_realloc(void *block, size_t size) {
  count[MALLOCS] += !for_lua;
  if (block != NULL) count_block(-1, block);
  block = __real_realloc(block, size);
  count_block(1, block);
  return block;
}

void __wrap_free(void *block) {
  if (block != NULL) count_block(-1, block);
  __real_free(block);
}

ssize_t __wrap_recv(int fd, void *data, size_t size, int flags) {
  count[RECV]++;
  return __real_recv(fd, data, size, flags);
}

ssize_t __wrap_send(int fd, const void *data, size_t size, int flags) {
  count[SEND]++;
  return __real_send(fd, data, size, flags);
}

ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags) {
  count[SEND]++;
  return __real_sendmsg(fd, message, flags);
}

int __wrap_epoll_wait(int fd, struct epoll_event *events, int most, int ms) {
  count[EPOLL_WAIT]++;
  return __real_epoll_wait(fd, events, most, ms);
}

int __wrap_epoll_ctl(int set, int operation, int fd,
                     struct epoll_event *event) {
  count[EPOLL_CTL]++;
  return __real_epoll_ctl(set, operation, fd, event);
}

ssize_t __wrap_splice(int in, off64_t *from, int out, off64_t *to, size_t size,
                      unsigned flags) {
  count[SPLICE]++;
  return __real_splice(in, from, out, to, size, flags);
}

/* NOLINTEND(bugprone-reserved-identifier) */

/* --- The allocator of Lua --- */

static lua_Alloc allocate; /* the runtime's own */
static void *allocator;

static void *count_allocation(void *context, void *block, size_t old,
                              size_t size) {
  size_t had = block != NULL ? old : 0; /* else it tells the kind of object */
  void *result;

  (void) context;
  for_lua = true;
  result = allocate(allocator, block, old, size);
  for_lua = false;
  if (result == NULL && size > 0) return NULL;
  count[LUA_ALLOCATIONS] += size > had;
  count[LUA_BLOCKS] += (result != NULL) - (block != NULL);
  count[LUA_BYTES] += (long long) size - (long long) had;
  return result;
}

/* count(name) -> integer: allocates nothing */
static int count_of(lua_State *L) {
  lua_pushinteger(L, (lua_Integer) count[luaL_checkoption(L, 1, NULL, names)]);
  return 1;
}

static bool wants_virtual_time(const char *path) {
  FILE *file = fopen(path, "r");
  char line[256];
  bool wanted = false;

  CHECK(file != NULL);
  while (fgets(line, sizeof(line), file) != NULL && line[0] == '-')
    wanted = wanted || strstr(line, "--virtual-time") != NULL;
  fclose(file);
  return wanted;
}

/* test_counting SCRIPT [ARGUMENT]… */
int main(int argc, char **argv) {
  asyncrt_options options = {.seed = 1};
  uv_loop_t loop;
  asyncrt *rt;
  lua_State *L;
  int status;

  CHECK(argc > 1);
  options.virtual_time = wants_virtual_time(argv[1]);
  CHECK(uv_loop_init(&loop) == 0);
  rt = asyncrt_new(&loop, &options);
  CHECK(rt != NULL && asyncrt_open_libs(rt) == 0);
  L = asyncrt_state(rt);
  allocate = lua_getallocf(L, &allocator);
  lua_setallocf(L, count_allocation, NULL);
  lua_register(L, "count", count_of);
  status = asyncrt_run_file(rt, argv[1], argc - 2, argv + 2);
  asyncrt_free(rt);
  CHECK(uv_loop_close(&loop) == 0);
  return status;
}
