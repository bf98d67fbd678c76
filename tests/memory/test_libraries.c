/* Every allocation of the libraries fails once: those of libcurl, OpenSSL and
 * libxml2, by the functions that they let a program set. Run after run of a
 * script, allocation k fails, or k and all that follow. Then the same script is
 * run in the same runtime, and succeeds.
 *
 * Not those of jansson: where its buffer for a string cannot grow, version 2.14
 * loses the string's end and writes beyond its copy. */
#include "asyncrt.h"
#include "check.h"

#include <lauxlib.h>
#include <string.h>

#ifdef HAVE_CURL
#include <curl/curl.h>
#endif
#ifdef HAVE_HTML
#include <libxml/xmlmemory.h>
#endif
#ifdef HAVE_TLS
#include <openssl/crypto.h>
#endif

/* libxml2 2.9 forgets what it has of a parser that it cannot make. The name is
 * the sanitizer's. */
// NOLINTBEGIN(bugprone-reserved-identifier)
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void) {
  return "leak:libxml2\n";
}
// NOLINTEND(bugprone-reserved-identifier)

typedef enum mode { NEVER, ONCE, FOR_EVER } mode;

static mode how = NEVER;
static long calls;  /* since a run began */
static long first;  /* that fails */
static long failed; /* in this run */

static bool fails(void) {
  calls++;
  if (how == NEVER || calls < first || (how == ONCE && calls > first))
    return false;
  failed++;
  return true;
}

/* --- What the libraries are given --- */

static void *allocate(size_t size) {
  return fails() ? NULL : malloc(size);
}

static void *resize(void *block, size_t size) {
  return fails() ? NULL : realloc(block, size);
}

#if defined(HAVE_CURL) || defined(HAVE_HTML)
static char *copy(const char *text) {
  return fails() ? NULL : strdup(text);
}
#endif

#ifdef HAVE_CURL
static void *allocate_zeros(size_t count, size_t size) {
  return fails() ? NULL : calloc(count, size);
}
#endif

#ifdef HAVE_TLS
static void *crypto_allocate(size_t size, const char *file, int line) {
  (void) file;
  (void) line;
  return size == 0 ? NULL : allocate(size);
}

static void crypto_free(void *block, const char *file, int line) {
  (void) file;
  (void) line;
  free(block);
}

static void *crypto_resize(void *block, size_t size, const char *file,
                           int line) {
  if (size > 0) return resize(block, size);
  crypto_free(block, file, line);
  return NULL;
}
#endif

static void set_allocators(void) {
#ifdef HAVE_TLS
  CHECK(CRYPTO_set_mem_functions(crypto_allocate, crypto_resize, crypto_free));
#endif
#ifdef HAVE_CURL
  CHECK(curl_global_init_mem(CURL_GLOBAL_DEFAULT, allocate, free, resize, copy,
                             allocate_zeros) == CURLE_OK);
#endif
#ifdef HAVE_HTML
  CHECK(xmlMemSetup(free, allocate, resize, copy) == 0);
#endif
}

/* --- Runs --- */

/* Runs the script on the top of the stack, which stays there. */
static int run_script(asyncrt *rt, bool whole) {
  lua_State *L = asyncrt_state(rt);

  lua_pushvalue(L, -1);
  lua_pushboolean(L, whole);
  calls = 0;
  return asyncrt_run(rt, 1);
}

/* A run in which allocation `first` fails; the status it ends with. */
static int run(const char *path, mode kind) {
  asyncrt_options options = {.virtual_time = true, .seed = 1};
  uv_loop_t loop;
  asyncrt *rt;
  int status;

  CHECK(uv_loop_init(&loop) == 0);
  rt = asyncrt_new(&loop, &options);
  CHECK(rt != NULL && asyncrt_open_libs(rt) == 0);
  CHECK(luaL_loadfile(asyncrt_state(rt), path) == LUA_OK);
  CHECK(run_script(rt, false) == ASYNCRT_EXIT_OK); /* loads the modules */
  failed = 0;
  how = kind;
  status = run_script(rt, true);
  how = NEVER;
  /* None waits for ever. */
  CHECK(status == ASYNCRT_EXIT_OK || status == ASYNCRT_EXIT_ERROR);
  CHECK(run_script(rt, true) == ASYNCRT_EXIT_OK);
  asyncrt_free(rt);
  CHECK(uv_loop_close(&loop) == 0);
  return status;
}

/* test_libraries SCRIPT STEP [FIRST]: fails every STEP-th, from FIRST on. */
int main(int argc, char **argv) {
  static const char *const names[] = {"", "one fails", "all fail"};
  long step, from = argc > 3 ? atol(argv[3]) : 1;
  mode kind;

  CHECK(argc > 2);
  step = atol(argv[2]);
  /* What the failures make the runtime say is of no interest. */
  if (argc == 3) CHECK(freopen("/dev/null", "w", stderr) != NULL);
  set_allocators();
  /* What the libraries make once and keep. */
  CHECK(run(argv[1], NEVER) == ASYNCRT_EXIT_OK && calls > 0);
  printf("%ld allocations\n", calls);
  for (kind = ONCE; kind <= FOR_EVER; kind++) {
    long runs = 0, ended = 0;

    failed = 1;
    for (first = from; failed > 0; first += step) {
      if (argc > 3) fprintf(stderr, "--- %s, %ld\n", names[kind], first);
      ended += run(argv[1], kind) != ASYNCRT_EXIT_OK;
      if (++runs % 50 == 0) {
        printf("%s, %ld\n", names[kind], first);
        fflush(stdout);
      }
    }
    CHECK(ended > 0);
    printf("%s: %ld runs, %ld ended by it\n", names[kind], runs, ended);
  }
  return EXIT_SUCCESS;
}
