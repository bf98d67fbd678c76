/* Runs a script whose names this file looks up, in the place of the system:
 *
 *   two.test    ::1, then 127.0.0.1
 *   hole.test   no answer, until the runtime is gone
 *
 * The script finds asked() -> integer among the globals: how many threads wait
 * for the hole. */
#include "asyncrt.h"
#include "check.h"

#include <arpa/inet.h>
#include <lauxlib.h>
#include <netdb.h>
#include <pthread.h>
#include <string.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int waiting;
static bool answers;

/* --- What libuv calls --- */

typedef struct answer {
  struct addrinfo info; /* first */
  union {
    struct sockaddr any;
    struct sockaddr_in four;
    struct sockaddr_in6 six;
  } address;
} answer;

static answer *new_answer(int family, answer *next) {
  answer *self = calloc(1, sizeof(*self));

  CHECK(self != NULL);
  self->info.ai_family = family;
  self->info.ai_socktype = SOCK_STREAM;
  self->info.ai_addr = &self->address.any;
  self->info.ai_next = next != NULL ? &next->info : NULL;
  self->address.any.sa_family = (sa_family_t) family;
  if (family == AF_INET) {
    self->info.ai_addrlen = sizeof(self->address.four);
    self->address.four.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  } else {
    self->info.ai_addrlen = sizeof(self->address.six);
    self->address.six.sin6_addr = in6addr_loopback;
  }
  return self;
}

int getaddrinfo(const char *name, const char *service,
                const struct addrinfo *hints, struct addrinfo **answers_) {
  (void) service;
  (void) hints;
  if (strcmp(name, "two.test") == 0) {
    *answers_ = &new_answer(AF_INET6, new_answer(AF_INET, NULL))->info;
    return 0;
  }
  CHECK(strcmp(name, "hole.test") == 0);
  pthread_mutex_lock(&lock);
  waiting++;
  while (!answers) pthread_cond_wait(&changed, &lock);
  waiting--;
  pthread_mutex_unlock(&lock);
  return EAI_AGAIN;
}

void freeaddrinfo(struct addrinfo *info) {
  while (info != NULL) {
    struct addrinfo *next = info->ai_next;

    free(info); /* the first member of an answer */
    info = next;
  }
}

/* --- The run --- */

static int count_waiting(void) {
  int count;

  pthread_mutex_lock(&lock);
  count = waiting;
  pthread_mutex_unlock(&lock);
  return count;
}

static int asked(lua_State *L) {
  lua_pushinteger(L, count_waiting());
  return 1;
}

static void end_hole(void) {
  pthread_mutex_lock(&lock);
  answers = true;
  pthread_cond_broadcast(&changed);
  pthread_mutex_unlock(&lock);
}

int main(int argc, char **argv) {
  uv_loop_t loop;
  asyncrt *rt;
  int status, left;

  CHECK(argc == 2);
  CHECK(uv_loop_init(&loop) == 0);
  rt = asyncrt_new(&loop, NULL);
  CHECK(rt != NULL);
  CHECK(asyncrt_open_libs(rt) == 0);
  lua_register(asyncrt_state(rt), "asked", asked);
  status = asyncrt_run_file(rt, argv[1], 0, NULL);
  left = count_waiting(); /* the end of the run has not waited for them */
  lua_getglobal(asyncrt_state(rt), "left");
  CHECK(left == lua_tointeger(asyncrt_state(rt), -1));
  asyncrt_free(rt);
  CHECK(left == count_waiting());
  end_hole();
  uv_run(&loop, UV_RUN_DEFAULT);
  CHECK(uv_loop_close(&loop) == 0);
  return status;
}
