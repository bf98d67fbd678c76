/* asyncrt: embed the runtime in a C program and write bindings for it.
 *
 * A host creates a runtime on a libuv loop of its own, runs one script in it
 * and gets the exit status back:
 *
 *     uv_loop_t loop;
 *     uv_loop_init(&loop);
 *     asyncrt *rt = asyncrt_new(&loop, NULL);
 *     asyncrt_open_libs(rt);
 *     asyncrt_preload(rt, "greet", luaopen_greet);
 *     int status = asyncrt_run_file(rt, "hello.lua", argc, argv);
 *     asyncrt_free(rt);
 *     uv_loop_close(&loop);
 *
 * A runtime, its Lua state and its loop belong to one thread. */
#ifndef ASYNCRT_H
#define ASYNCRT_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ASYNCRT_VERSION "0.1.0"

/* Exit statuses of a run. */
#define ASYNCRT_EXIT_OK 0
#define ASYNCRT_EXIT_ERROR 1
#define ASYNCRT_EXIT_MISUSE 2
#define ASYNCRT_EXIT_DEADLOCK 3
#define ASYNCRT_EXIT_INTERRUPTED 130

typedef struct asyncrt asyncrt;
typedef struct asyncrt_op asyncrt_op;
typedef struct asyncrt_op_type asyncrt_op_type;
typedef struct asyncrt_wait asyncrt_wait;

/* --- The runtime --- */

/* How a runtime behaves. All zero is the default. */
typedef struct asyncrt_options {
  bool virtual_time; /* the clock starts at 0 and jumps to the next deadline */
  bool random_order; /* ready tasks run in an order drawn from the seed */
  bool trace_hash;   /* hash every step: see asyncrt_trace_hash */
  uint64_t seed;     /* of every random choice; 0 takes one from the system */
  unsigned watch_ms; /* report a step longer than this; 0 does not watch */
  unsigned preempt_ms; /* end a step longer than this; 0 never does */
} asyncrt_options;

/* Creates a runtime and its Lua state on `loop`, which the caller owns and
 * must outlive it. `options` may be NULL. Returns NULL without memory. */
asyncrt *asyncrt_new(uv_loop_t *loop, const asyncrt_options *options);

/* Makes the standard library available to `require`: asyncrt, asyncrt.net …
 * Returns 0, or UV_ENOMEM. */
int asyncrt_open_libs(asyncrt *rt);

/* Makes `require(name)` call `open` in this runtime. */
void asyncrt_preload(asyncrt *rt, const char *name, lua_CFunction open);

/* Runs the function on the top of the runtime's Lua stack, with the `nargs`
 * values above it, as the task `main`; returns when it and all tasks that it
 * owns have ended and every handle is closed. The result is an exit status.
 * Errors are printed to stderr. */
int asyncrt_run(asyncrt *rt, int nargs);

/* Loads the source file `path` and runs it with the strings `argv` as its
 * arguments. */
int asyncrt_run_file(asyncrt *rt, const char *path, int argc, char **argv);

/* Frees a runtime that is not running, and its Lua state. The loop stays; a
 * look-up of a name that was given up may still run on its thread pool, and
 * keeps it from being closed until it was run once more. */
void asyncrt_free(asyncrt *rt);

/* The runtime's main Lua state: to prepare the environment before a run. */
lua_State *asyncrt_state(asyncrt *rt);
uv_loop_t *asyncrt_loop(asyncrt *rt);

/* The runtime that a Lua state belongs to. */
asyncrt *asyncrt_of(lua_State *L);

/* Cancels the task `main`, and with it every task; closers run. `status` is
 * that of the run if this ends `main` before its return, unless the script says
 * another. Callable from a libuv callback of the runtime's loop. `reason` must
 * be a literal. */
void asyncrt_cancel(asyncrt *rt, const char *reason, int status);

/* Tells the runtime that something outside of it, unknown to it, may wake a
 * task (hold) or no longer will (release): while held, a run in which every
 * task waits is no deadlock. Calls nest. */
void asyncrt_hold(asyncrt *rt);
void asyncrt_release(asyncrt *rt);

/* Tells the runtime that a handle was started on its loop outside an op's
 * `arm`, so that it polls the loop soon. */
void asyncrt_loop_changed(asyncrt *rt);

/* A hash of every step since the runtime was made: of the task, of what it had
 * waited for, of the arm chosen and of the time. The same script and seed give
 * the same under virtual time. 0 without the option. */
uint64_t asyncrt_trace_hash(asyncrt *rt);

/* A script may subscribe to any signal. libuv replaces the host's handler then,
 * and sets the default action after the last subscription; `restore` is called
 * with the signal at that moment, to set the host's handler again. */
void asyncrt_on_signal_released(asyncrt *rt,
                                void (*restore)(int signal_number));

/* Makes the runtime say on stderr what every task does. Callable from the
 * handler of a signal. */
void asyncrt_request_dump(asyncrt *rt);

/* Nanoseconds on the runtime's clock: monotonic, or virtual. */
uint64_t asyncrt_now(asyncrt *rt);

/* --- Operations: the one way to block ---
 *
 * An op is one thing that a task can wait for. A direct call (`ch:recv()`)
 * performs one op; a select performs several and takes the first. The four
 * functions of its type are called in this order:
 *
 *   attempt  in the task. Tries to do it now. Returns ASYNCRT_NOT_READY with
 *            nothing changed, or ASYNCRT_DONE(n) with n results pushed: the
 *            op has committed. May raise, but only before it commits.
 *   arm      links the op to what it waits for and starts the watcher.
 *            Allocates nothing, calls no Lua.
 *   disarm   undoes arm. O(1), calls no Lua. Also called on commit.
 *   finish   in the woken task, after asyncrt_op_complete: turns what the
 *            callback left in the op into pushed results and returns their
 *            number, or ASYNCRT_AGAIN where the wake-up was spurious, which
 *            is allowed for an op that is waited for alone.
 *
 * describe writes what is waited for into `text` for reports: `recv "jobs"`.
 *
 * Between arm and commit the op belongs to the runtime. What it points at is
 * kept alive by the calling C function's own stack. */
#define ASYNCRT_NOT_READY 0
#define ASYNCRT_DONE(n) ((n) + 1)
#define ASYNCRT_AGAIN (-1)

struct asyncrt_op_type {
  const char *name;
  int (*attempt)(asyncrt_op *op, lua_State *L);
  void (*arm)(asyncrt_op *op);
  void (*disarm)(asyncrt_op *op);
  int (*finish)(asyncrt_op *op, lua_State *L);
  void (*describe)(const asyncrt_op *op, char *text, size_t size);
  unsigned flags; /* ASYNCRT_OP_* */
};

/* The op is completed from outside: by the loop, a thread, another process.
 * While one is armed, a run in which every task waits is no deadlock. */
#define ASYNCRT_OP_EXTERNAL 1u

/* The op is chosen by a select only where no other arm is ready. */
#define ASYNCRT_OP_LAST 2u

/* With ASYNCRT_OP_EXTERNAL: nothing is under way that will complete the op. A
 * virtual clock does not wait for it. */
#define ASYNCRT_OP_UNPROMPTED 4u

/* The op may stay armed between two waits of a task that selects among the same
 * events again and again: the more of them are of such a type, the less it
 * costs. Such a type keeps to this:
 * - What the op waits for is a queue, which it joins by asyncrt_queue_push. An
 *   op in it is not ready; what makes it ready completes it. One that is not
 *   waited for at that moment then just leaves the queue. To give a value to
 *   it, take it from asyncrt_queue_first.
 * - While armed it needs nothing on the stack: `prepare` is called anew before
 *   each attempt, and before finish, which finds of the completion its status
 *   and values moved to its thread, on the top. It makes no object of Lua, so
 *   that no finalizer runs meanwhile.
 * Not with ASYNCRT_OP_EXTERNAL. */
#define ASYNCRT_OP_KEPT 8u

/* A deadline in the runtime's timer heap. */
typedef struct asyncrt_timer {
  uint64_t at;         /* ns on the runtime's clock; UINT64_MAX: never */
  uint32_t heap_index; /* 1 + its place in the heap; 0: not armed */
  uint8_t kind;        /* what it belongs to: see timer.h */
} asyncrt_timer;

struct asyncrt_op {
  asyncrt_op *prev, *next;     /* in a wait queue, while armed */
  asyncrt_wait *wait;          /* borrowed; the task that waits */
  const asyncrt_op_type *type; /* borrowed; static */
  void *object;                /* borrowed; what is waited for */
  int slot;        /* stack index of a value in the waiting thread */
  uint32_t status; /* for the type: what the completer found */
  union {
    asyncrt_timer timer;
    size_t size;
    void *data;
    int64_t integer;
    double number;
    struct {
      void *data;
      size_t size;
    } pair;
  } u; /* for the type */
};

/* First half of a direct call: checks that the caller may block here (raises
 * if not) and returns the calling task's own op, of this type, waiting for
 * `object`. Fill in the rest, then return asyncrt_perform(L, op). */
asyncrt_op *asyncrt_prepare(lua_State *L, const asyncrt_op_type *type,
                            void *object);

/* Second half: attempts the op, else suspends the task until it is completed.
 * Use it as `return asyncrt_perform(L, op);`: the results of the op are the
 * results of the calling C function. A cancellation point. */
int asyncrt_perform(lua_State *L, asyncrt_op *op);

/* Commits an armed op: disarms it and its rivals and makes the task ready. Not
 * for an op that is no longer armed. Calls no Lua. */
void asyncrt_op_complete(asyncrt_op *op);

/* The runtime of an armed op. */
asyncrt *asyncrt_op_runtime(const asyncrt_op *op);

/* The Lua thread that waits in an armed or completed op: a completer that runs
 * in a task may move values to it. */
lua_State *asyncrt_op_thread(const asyncrt_op *op);

/* --- Events: what select, sync and poll accept ---
 *
 * `prepare(L, index, op)` fills in the zeroed `op` for the event at stack index
 * `index`; it sets at least the type and the object, may push values that the
 * op needs (they stay on the stack while the op lives) and may raise. */
typedef void (*asyncrt_prepare_fn)(lua_State *L, int index, asyncrt_op *op);

/* Makes every object whose metatable is on the top of the stack an event. */
void asyncrt_set_event(lua_State *L, asyncrt_prepare_fn prepare);

/* Pushes a new event object: a userdata of `values` user values whose first
 * `size` bytes are returned, zeroed. `prepare` reads them back with
 * asyncrt_event_data(L, index). */
void *asyncrt_new_event(lua_State *L, asyncrt_prepare_fn prepare, size_t size,
                        int values);
void *asyncrt_event_data(lua_State *L, int index);

/* --- Wait queues: FIFO, O(1) --- */

typedef struct asyncrt_queue {
  asyncrt_op *first, *last;
} asyncrt_queue;

/* The op that waits first, or NULL. Where an op gets nothing when it is
 * completed, queue.first will do. */
asyncrt_op *asyncrt_queue_first(asyncrt_queue *queue);
void asyncrt_queue_push(asyncrt_queue *queue, asyncrt_op *op);
void asyncrt_queue_remove(asyncrt_queue *queue, asyncrt_op *op);

/* --- Handles: what must be closed before the loop can end --- */

/* Embed one in whatever owns a file descriptor or libuv handle. `close` is
 * called at the end of a run for what is still open; it must lead, now or in a
 * later callback, to asyncrt_handle_closed. */
typedef struct asyncrt_handle {
  struct asyncrt_handle *prev, *next; /* owned by the runtime */
  void (*close)(struct asyncrt_handle *handle);
  const char *kind; /* for reports: "socket" */
  const char *site; /* where it was opened, or NULL */
} asyncrt_handle;

void asyncrt_handle_opened(asyncrt *rt, asyncrt_handle *handle,
                           const char *kind,
                           void (*close)(asyncrt_handle *handle));
void asyncrt_handle_closed(asyncrt *rt, asyncrt_handle *handle);

/* --- Errors --- */

/* Pushes nil, "<operation> <object>: <reason>" and the code of a negative
 * libuv error (UV_ECONNREFUSED is "ECONNREFUSED"); returns 3. `object` may be
 * NULL. */
int asyncrt_push_error(lua_State *L, const char *operation, const char *object,
                       int uv_error);

#ifdef __cplusplus
}
#endif

#endif
