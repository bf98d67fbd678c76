/* Tasks: a coroutine that the scheduler runs, owned by a group. */
#include "task.h"

#include "error.h"
#include "group.h"
#include "replay.h"
#include "runtime.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- Traces --- */

void art_trace_free(art_trace *trace) {
  if (trace == NULL) return;
  free(trace->origin);
  free(trace->text);
  free(trace);
}

void art_trace_add(art_task *task, const char *text) {
  size_t old, length = strlen(text);
  char *joined;

  if (task->trace == NULL) task->trace = calloc(1, sizeof(art_trace));
  if (task->trace == NULL) return; /* the error itself matters more */
  old = task->trace->text != NULL ? strlen(task->trace->text) : 0;
  joined = realloc(task->trace->text, old + length + 2);
  if (joined == NULL) return;
  if (old > 0) joined[old++] = '\n';
  memcpy(joined + old, text, length + 1);
  task->trace->text = joined;
}

art_trace *art_trace_copy(lua_State *L, art_task *task) {
  art_trace *copy = calloc(1, sizeof(*copy));
  char name[96], origin[256];

  if (copy == NULL) return NULL;
  if (task->trace != NULL && task->trace->text != NULL)
    copy->text = strdup(task->trace->text);
  if (task->trace != NULL && task->trace->origin != NULL) {
    copy->origin = strdup(task->trace->origin);
  } else {
    art_task_describe(L, task, name, sizeof(name));
    snprintf(origin, sizeof(origin), "task %s (spawned at %s)", name,
             task->site);
    copy->origin = strdup(origin);
  }
  return copy;
}

/* print_error(value, trace) */
static int print_error(lua_State *L) {
  const art_trace *trace = lua_touserdata(L, 2);
  const char *message = art_push_error_text(L, 1);

  fputs("asyncrt: ", stderr);
  if (trace != NULL && trace->origin != NULL) {
    art_log_text(trace->origin);
    fputs(" failed: ", stderr);
  }
  art_log_text(message);
  fputc('\n', stderr);
  if (trace != NULL && trace->text != NULL) {
    art_log_text(trace->text);
    fputc('\n', stderr);
  }
  fflush(stderr);
  return 0;
}

void art_trace_print(lua_State *L, const art_trace *trace, int index) {
  lua_pushvalue(L, index);
  lua_pushlightuserdata(L, (void *) (uintptr_t) trace);
  if (!art_try(L, print_error, 2))
    art_log("an error could not be told: not enough memory");
}

void art_task_report(lua_State *L, art_task *task, int index) {
  art_trace *trace;

  index = lua_absindex(L, index);
  trace = art_trace_copy(L, task);
  art_trace_print(L, trace, index);
  art_trace_free(trace);
}

void art_task_describe(lua_State *L, art_task *task, char *text, size_t size) {
  if (task->id == 0) {
    snprintf(text, size, "main");
  } else if (!task->has_name || task->state == ART_TASK_DONE) {
    snprintf(text, size, "t%u", (unsigned) task->id);
  } else {
    art_task_push(L, task);
    lua_getiuservalue(L, -1, ART_TASK_NAME);
    snprintf(text, size, "t%u \"%s\"", (unsigned) task->id,
             lua_tostring(L, -1));
    lua_pop(L, 2);
  }
}

/* --- Birth --- */

/* Index of the userdata and the handler in the stack of a task's body. */
enum { BODY_TASK = 1, BODY_HANDLER, BODY_RESULTS };

/* Arguments of body besides those of the task's function: the userdata, the
 * handler, the function. */
#define BODY_ARGUMENTS 3

static int body(lua_State *L);

void art_task_push(lua_State *L, art_task *task) {
  lua_State *root = task->root;
  lua_Debug activation;

  if (root == NULL) {
    art_anchor_push(L, task->rt, task->anchor);
    return;
  }
  if (!lua_checkstack(root, 1)) art_raise(L, "not enough memory");
  if (task->body == NULL) {
    lua_pushvalue(root, BODY_TASK + 1); /* below it stands its function */
  } else {
    activation.i_ci = task->body;
    lua_getlocal(root, &activation, BODY_TASK);
  }
  lua_xmove(root, L, 1);
}

art_task *art_task_at(lua_State *L, const asyncrt *rt, uint32_t place) {
  lua_State *root;
  art_task *task = NULL;

  art_anchor_push(L, rt, place);
  root = lua_tothread(L, -1);
  if (root != NULL) {
    task = art_frame_of(root)->task;
  } else if (lua_getmetatable(L, -1)) {
    if (lua_topointer(L, -1) == rt->task_metatable)
      task = lua_touserdata(L, -2);
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
  return task;
}

void art_task_ready(art_task *task) {
  asyncrt *rt = task->rt;

  task->state = ART_TASK_READY;
  task->ready_next = NULL;
  if (rt->ready_last != NULL)
    rt->ready_last->ready_next = task;
  else
    rt->ready_first = task;
  rt->ready_last = task;
}

#define MOST_MOVED 8 /* arguments, for which an idle thread has room */

/* Makes `co`, whose place is `anchor`, the thread of the task whose userdata is
 * on the top of L: the caller moves the function and its arguments there. */
static void give_thread(lua_State *L, art_task *task, lua_State *co,
                        uint32_t anchor) {
  lua_pushcfunction(co, body);
  lua_pushvalue(L, -1);
  lua_xmove(L, co, 1);
  lua_pushcfunction(co, art_keep_traceback);
  task->anchor = anchor;
  task->root = co;
  task->wait.L = co;
  task->frame.task = task;
  task->frame.scope = &task->base;
  art_frame_set(co, &task->frame);
}

static lua_State *push_thread(lua_State *L) {
  lua_State *co = lua_newthread(L);

  if (!lua_checkstack(co, ART_STACK_HEADROOM))
    art_raise(L, "not enough memory");
  return co;
}

static void add_idle_thread(lua_State *L, asyncrt *rt) {
  lua_State *co = push_thread(L);
  uint32_t anchor = art_anchor(L, rt);

  rt->threads++;
  rt->idle[rt->idle_count].L = co;
  rt->idle[rt->idle_count++].anchor = anchor;
}

/* Keeps the function at `function` and the arguments above it, which stand
 * below the userdata on the top, in user values, until there is a thread. */
static void keep_call(lua_State *L, int function, int arguments, int first) {
  int i;

  for (i = 0; i < arguments; i++) {
    lua_pushvalue(L, function + 1 + i);
    lua_setiuservalue(L, -2, first + i);
  }
  lua_pushvalue(L, function);
  lua_setiuservalue(L, -2, ART_TASK_VALUE);
}

/* Hands the function at `function` and the arguments above it to the task whose
 * userdata is on the top, and which takes their place; `first` is the first
 * user value for arguments. Raises without memory, nothing being changed. */
static void hand_call(lua_State *L, art_task *task, int function, int first) {
  asyncrt *rt = task->rt;
  int arguments = lua_gettop(L) - function - 1;
  const art_idle_thread *thread = NULL;

  if (rt->idle_count == 0 && rt->threads < ART_IDLE_THREADS)
    add_idle_thread(L, rt);
  if (rt->idle_count > 0 && arguments <= MOST_MOVED) {
    /* Nothing below allocates then: no finalizer takes the thread. */
    thread = &rt->idle[rt->idle_count - 1];
  } else {
    keep_call(L, function, arguments, first);
    lua_pushvalue(L, -1);
    task->anchor = art_anchor(L, rt);
  }
  if ((rt->options.random_order && art_ready_reserve(rt) != 0) ||
      art_timers_hold(&rt->timers, 1) != 0) {
    if (thread == NULL) art_unanchor(L, rt, task->anchor);
    art_raise(L, "not enough memory");
  }
  if (thread != NULL) {
    rt->idle_count--;
    give_thread(L, task, thread->L, thread->anchor);
    lua_insert(L, function);
    lua_xmove(L, thread->L, arguments + 1);
  } else {
    lua_replace(L, function);
    lua_settop(L, function);
  }
}

static void inherit_bindings(lua_State *L, art_task *task) {
  art_task *spawner = art_task_of(L);

  if (spawner == NULL || !spawner->bound) return;
  art_task_push(L, spawner);
  lua_getiuservalue(L, -1, ART_TASK_BINDINGS);
  lua_setiuservalue(L, -3, ART_TASK_BINDINGS);
  lua_pop(L, 1);
  task->bound = true;
}

art_task *art_task_new(lua_State *L, art_group *group, int function, int name,
                       bool daemon) {
  asyncrt *rt = art_runtime_of(L);
  art_task *task;
  int arguments = lua_gettop(L) - function;
  int first = name != 0 ? ART_TASK_ARGUMENTS + 1 : ART_TASK_ARGUMENTS;
  const char *site = group != NULL ? art_origin(L) : "the command line";

  if (first + arguments > UINT16_MAX) art_raise(L, "too many arguments");
  luaL_checkstack(L, 8, NULL);
  task = lua_newuserdatauv(L, sizeof(*task), first - 1 + arguments);
  memset(task, 0, sizeof(*task));
  task->rt = rt;
  task->state = ART_TASK_DONE; /* until nothing below can raise */
  lua_rawgeti(L, LUA_REGISTRYINDEX, rt->task_reference);
  lua_setmetatable(L, -2);
  if (name != 0) {
    lua_pushvalue(L, name);
    lua_setiuservalue(L, -2, ART_TASK_NAME);
    task->has_name = true;
  }
  inherit_bindings(L, task);
  hand_call(L, task, function, first);
  task->arguments = (uint16_t) arguments;
  task->site = site;
  task->id = rt->next_id++;
  task->daemon = daemon;
  task->group = group;
  task->scope = &task->base;
  art_scope_open(&task->base, group != NULL ? &group->children : NULL,
                 ART_SCOPE_TASK, task);
  rt->tasks++;
  if (rt->notes.wanted != 0) art_notes_add(rt, ART_NOTE_TASK_SPAWNED, task);
  if (group != NULL)
    art_group_joined(group, task);
  else
    art_task_ready(task);
  return task;
}

/* --- End --- */

/* Stores the `results` values on the top of L in the task's userdata, at
 * `index`: one as it is, more in a table. */
static void store_results(lua_State *L, art_task *task, int index,
                          int results) {
  int i;

  task->results = results;
  if (results == 0) return; /* the function was taken when it began */
  if (results > 1) {
    lua_createtable(L, results, 0);
    lua_insert(L, -results - 1);
    for (i = results; i >= 1; i--) lua_rawseti(L, -i - 1, i);
  }
  lua_setiuservalue(L, index, ART_TASK_VALUE);
}

/* keep_trace(userdata): a table of origin and text in place of the bindings */
static int keep_trace(lua_State *L) {
  const art_task *task = lua_touserdata(L, 1);

  lua_createtable(L, 0, 2);
  lua_pushstring(L, task->trace->origin);
  lua_setfield(L, -2, "origin");
  lua_pushstring(L, task->trace->text);
  lua_setfield(L, -2, "text");
  lua_setiuservalue(L, 1, ART_TASK_BINDINGS);
  return 0;
}

/* Moves the trace of a failure to the userdata, where it is collected with
 * it. */
static void store_trace(lua_State *L, art_task *task, int index) {
  if (task->bound) {
    lua_pushnil(L);
    lua_setiuservalue(L, index, ART_TASK_BINDINGS);
  }
  if (task->trace != NULL && task->failed) {
    lua_pushvalue(L, index);
    art_try(L, keep_trace, 1);
  }
  art_trace_free(task->trace);
  task->trace = NULL;
}

void art_trace_inherit(lua_State *L, art_task *task, int failed) {
  const art_task *other = lua_touserdata(L, failed);
  char origin[256];
  const char *text;

  art_trace_free(task->trace);
  task->trace = calloc(1, sizeof(art_trace));
  if (task->trace == NULL) return;
  if (lua_getiuservalue(L, failed, ART_TASK_BINDINGS) == LUA_TTABLE) {
    lua_getfield(L, -1, "text");
    text = lua_tostring(L, -1);
    if (text != NULL) task->trace->text = strdup(text);
    lua_getfield(L, -2, "origin");
    text = lua_tostring(L, -1);
    if (text != NULL) task->trace->origin = strdup(text);
    lua_pop(L, 2);
  }
  lua_pop(L, 1);
  if (task->trace->origin == NULL) {
    snprintf(origin, sizeof(origin), "task t%u (spawned at %s)",
             (unsigned) other->id, other->site);
    task->trace->origin = strdup(origin);
  }
  task->propagating = true;
}

/* The task has ended with `results` values, or with an error, on the top of L;
 * its userdata is at `index`. May raise for want of memory, but only before
 * anything has changed. Code that runs meanwhile, a finalizer or the error's
 * __tostring, runs in no task: nobody would await what it spawned. */
static void finish(lua_State *L, art_task *task, int index, int results) {
  asyncrt *rt = task->rt;
  art_group *group = task->group;
  asyncrt_op *op;

  if (task->root != NULL) art_frame_set(task->root, &rt->base_frame);
  if (task->failed && task->base.effective && art_is_cancelled(L, -1)) {
    task->cancelled = true;
    lua_pop(L, 1);
    lua_pushliteral(L, "cancelled");
  }
  if (task->failed && !task->cancelled && group != NULL)
    art_group_failed(L, group, task);
  if (task->id == 0) art_main_ended(L, rt, task);
  store_results(L, task, index, results);
  store_trace(L, task, index);
  art_scope_close(&task->base);
  task->state = ART_TASK_DONE;
  if (rt->guarded == task) rt->guarded = NULL;
  rt->tasks--;
  art_ops_give(task);
  art_timers_release(&rt->timers, 1);
  while ((op = task->joiners.first) != NULL) asyncrt_op_complete(op);
  if (group != NULL) {
    task->group = NULL;
    art_group_left(L, group, task, index);
  }
  if (rt->notes.wanted != 0) art_notes_exited(L, rt, index);
  /* No hook of the script sees how the thread of an ended task returns. */
  if (task->root != NULL && lua_gethook(task->root) != NULL)
    lua_sethook(task->root, NULL, 0, 0);
}

static int settle(lua_State *L, int ignored);

/* Takes over the first failure of the implicit group as the task's own: what
 * fails later is suppressed. */
static void take_failure(lua_State *L, art_task *task, art_group *group) {
  /* An error that cleaning up after the child's failure raised. */
  if (task->failed &&
      !(task->base.effective && art_is_cancelled(L, BODY_RESULTS))) {
    lua_pushvalue(L, BODY_RESULTS);
    art_group_suppress(L, group);
  }
  art_trace_free(task->trace);
  task->trace = group->trace;
  group->trace = NULL;
  lua_settop(L, BODY_HANDLER);
  art_group_push_error(L, group);
  task->failed = true;
  group->failed = false;
  group->body_failed = true;
}

static int handled(lua_State *L, int status, lua_KContext context) {
  art_task *task = art_task_of(L);

  (void) context;
  if (status != LUA_OK && status != LUA_YIELD) {
    /* An error in the handler is the group's failure. */
    lua_replace(L, BODY_RESULTS);
    task->unhandled = true;
  }
  task->handled = true;
  return settle(L, 0); /* the handler may have spawned tasks */
}

/* What is left of a task after its body: closes forgotten scopes, awaits the
 * tasks of its implicit group, hands an error to the function of its group.
 * Called again after each wait. */
static int settle(lua_State *L, int ignored) {
  art_task *task = art_task_of(L);
  art_group *group;

  (void) ignored;
  if (task->scope != &task->base &&
      !art_scope_unwound(L, task, &task->base, true))
    return art_scope_wait(L, task, settle);
  group = task->implicit;
  if (group != NULL) {
    group->ending = true;
    if (task->failed && !task->handled)
      art_scope_cancel(&group->children, "cancelled");
    if (!art_group_finished(group))
      return art_perform_then(
          L, art_prepare_uncancellable(L, &art_group_op, group), settle);
    if (group->failed) {
      take_failure(L, task, group);
      return settle(L, 0); /* a finalizer may have spawned tasks */
    }
    art_group_close(L, group);
  }
  if (!task->failed) {
    finish(L, task, BODY_TASK, lua_gettop(L) - BODY_RESULTS + 1);
    return 0;
  }
  lua_settop(L, BODY_RESULTS);
  if (!task->handled && task->group != NULL &&
      task->group->on_error == ART_ON_ERROR_CALL &&
      !(task->base.effective && art_is_cancelled(L, BODY_RESULTS))) {
    art_group_push_handler(L, task->group);
    lua_pushvalue(L, BODY_RESULTS);
    lua_pushvalue(L, BODY_TASK);
    return handled(L, lua_pcallk(L, 2, 0, 0, 0, handled), 0);
  }
  finish(L, task, BODY_TASK, 1);
  return 0;
}

static int body_ended(lua_State *L, int status, lua_KContext context) {
  art_task *task = art_task_of(L);

  (void) context;
  if (status != LUA_OK && status != LUA_YIELD) {
    task->failed = true;
    if (task->implicit != NULL)
      art_group_body_failed(L, task->implicit,
                            task->base.effective && art_is_cancelled(L, -1));
  }
  return settle(L, 0);
}

/* The main function of a task's thread: userdata, handler, function, arguments.
 */
static int body(lua_State *L) {
  lua_Debug activation;
  int status;

  lua_getstack(L, 0, &activation);
  art_task_of(L)->body = activation.i_ci;
  status = lua_pcallk(L, lua_gettop(L) - BODY_RESULTS, LUA_MULTRET,
                      BODY_HANDLER, 0, body_ended);
  return body_ended(L, status, 0);
}

/* Fails the task whose userdata stands below the error on the top; both are
 * popped. */
static void fail(lua_State *L, art_task *task) {
  task->failed = true;
  task->unhandled = true; /* no function of its group can be called */
  art_scope_hand_over(L, task);
  finish(L, task, lua_gettop(L) - 1, 1);
  art_unanchor(L, task->rt, task->anchor);
  lua_pop(L, 1);
}

void art_task_abort(lua_State *L, art_task *task) {
  art_task_push(L, task);
  lua_insert(L, -2);
  fail(L, task);
}

/* --- Steps --- */

/* Gives a task that has none its thread: an idle one, or a new one, which takes
 * the place of the userdata among the anchors. */
static void start(lua_State *L, art_task *task) {
  asyncrt *rt = task->rt;
  int first = task->has_name ? ART_TASK_ARGUMENTS + 1 : ART_TASK_ARGUMENTS;
  int arguments = task->arguments, i;
  lua_State *co;

  art_task_push(L, task);
  if (rt->idle_count > 0 && arguments <= MOST_MOVED) {
    const art_idle_thread *thread = &rt->idle[--rt->idle_count];

    art_unanchor(L, rt, task->anchor);
    co = thread->L;
    give_thread(L, task, co, thread->anchor);
  } else {
    co = push_thread(L);
    if (!lua_checkstack(co, arguments + 8)) art_raise(L, "not enough memory");
    art_anchor_set(L, rt, task->anchor);
    rt->threads++;
    give_thread(L, task, co, task->anchor);
  }
  for (i = -1; i < arguments; i++) {
    int value = i < 0 ? ART_TASK_VALUE : first + i;

    lua_getiuservalue(L, -1, value);
    lua_xmove(L, co, 1);
    lua_pushnil(L);
    lua_setiuservalue(L, -2, value);
  }
  lua_pop(L, 1);
}

/* The thread of a task that has ended is kept for the next one, unless it may
 * be known elsewhere. */
static void release(lua_State *L, art_task *task) {
  asyncrt *rt = task->rt;
  lua_State *root = task->root;
  art_idle_thread *thread;

  task->root = NULL;
  if (task->exposed || rt->idle_count == ART_IDLE_THREADS) {
    art_unanchor(L, rt, task->anchor);
    rt->threads--;
    return;
  }
  thread = &rt->idle[rt->idle_count++];
  thread->L = root;
  thread->anchor = task->anchor;
}

/* Takes the thread from the task whose userdata stands below the error on the
 * top: that is an anchor of its own again. */
static void lose_thread(lua_State *L, art_task *task) {
  asyncrt *rt = task->rt;

  lua_pushvalue(L, -2);
  art_anchor_set(L, rt, task->anchor);
  art_frame_set(task->root, &rt->base_frame); /* it may be known elsewhere */
  task->root = NULL;
  rt->threads--;
}

static void ended(lua_State *L, art_task *task, int status) {
  lua_State *root = task->root;

  if (status == LUA_OK) {
    release(L, task); /* nothing else holds the userdata: it may be collected */
    return;
  }
  art_task_push(L, task);
  if (status == LUA_YIELD) /* foreign code called lua_yield itself */
    lua_pushliteral(L, "task yielded outside asyncrt");
  else /* out of memory while the task ended */
    lua_xmove(root, L, 1);
  lua_resetthread(root);
  lose_thread(L, task);
  fail(L, task);
}

void art_task_step(lua_State *L, art_task *task) {
  asyncrt *rt = task->rt;
  lua_State *thread;
  int arguments = 0, status, results;

  if (rt->notes.wanted != 0) art_notes_tell(L, rt, ART_NOTE_BEFORE_STEP, task);
  rt->current = task;
  art_watch_enter(&rt->watch);
  if (rt->options.trace_hash) art_replay_step(rt, task);
  task->state = ART_TASK_RUNNING;
  task->budget = ART_STEP_OPS;
  if (task->body == NULL) {
    if (task->root == NULL) start(L, task);
    arguments = task->arguments + BODY_ARGUMENTS;
  }
  thread = task->wait.L;
  for (;;) {
    rt->parking = false;
    rt->watch.top = thread;
    status = lua_resume(thread, L, arguments, &results);
    if (status == LUA_YIELD && rt->parking) break;
    if (thread == task->root) {
      ended(L, task, status);
      break;
    }
    /* A coroutine that had waited has stopped: its resumer goes on. */
    task->inner_status = status;
    task->results = results;
    thread = art_frame_of(thread)->u.parent;
    arguments = 0;
  }
  rt->parking = false;
  rt->current = NULL;
  art_watch_leave(&rt->watch);
  if (rt->notes.wanted != 0) art_notes_tell(L, rt, ART_NOTE_AFTER_STEP, task);
}

/* --- Joining --- */

int art_task_push_outcome(lua_State *L, art_task *task, int index) {
  int i;

  index = lua_absindex(L, index);
  luaL_checkstack(L, task->results + 2, "too many results");
  lua_pushboolean(L, !task->failed);
  if (task->results == 0 && !task->failed) return 1;
  lua_getiuservalue(L, index, ART_TASK_VALUE);
  if (task->failed || task->results == 1) return 2;
  for (i = 1; i <= task->results; i++) lua_rawgeti(L, -i, i);
  lua_remove(L, -task->results - 1);
  return task->results + 1;
}

static int join_attempt(asyncrt_op *op, lua_State *L) {
  art_task *task = op->object;

  if (task->state != ART_TASK_DONE) return ASYNCRT_NOT_READY;
  return ASYNCRT_DONE(art_task_push_outcome(L, task, op->slot));
}

static void join_arm(asyncrt_op *op) {
  art_task *task = op->object;

  asyncrt_queue_push(&task->joiners, op);
}

static void join_disarm(asyncrt_op *op) {
  art_task *task = op->object;

  asyncrt_queue_remove(&task->joiners, op);
}

static int join_finish(asyncrt_op *op, lua_State *L) {
  return art_task_push_outcome(L, op->object, op->slot);
}

static void join_describe(const asyncrt_op *op, char *text, size_t size) {
  const art_task *task = op->object;

  snprintf(text, size, "join t%u", (unsigned) task->id);
}

const asyncrt_op_type art_join_op = {
    "join",      join_attempt,  join_arm,        join_disarm,
    join_finish, join_describe, ASYNCRT_OP_KEPT,
};
