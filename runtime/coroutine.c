/* Coroutines inside a task: as under plain Lua, with waits passing through.
 *
 * A wait in a coroutine suspends the whole task: the thread that waits yields
 * with rt->parking set, and each resumer on the way down yields too, in
 * `resumed`. The scheduler later resumes the waiting thread directly, at any
 * depth; when that thread then yields to its user, returns or fails, the
 * scheduler resumes its parent, whose `resumed` completes the call. */
#include "coroutine.h"

#include "error.h"
#include "group.h"
#include "runtime.h"

#include <lualib.h>
#include <stdlib.h>

enum { BY_RESUME, BY_WRAP };

/* --- Tracebacks --- */

int art_keep_traceback(lua_State *L) {
  art_task *task = art_task_of(L);
  const char *title = NULL;

  lua_settop(L, 1);
  if (task == NULL || art_is_cancelled(L, 1)) return 1;
  if (task->kept) {
    task->kept = false;
    return 1;
  }
  if (!task->propagating) {
    art_trace_free(task->trace);
    task->trace = NULL;
  } else {
    title = task->trace != NULL && task->trace->origin != NULL ? "awaited by:"
                                                               : "resumed by:";
  }
  if (lua_checkstack(L, 16)) { /* luaL_traceback does not check */
    luaL_traceback(L, L, title, 1);
    art_trace_add(task, lua_tostring(L, -1));
  }
  task->propagating = false;
  lua_settop(L, 1);
  return 1;
}

void art_raise_again(lua_State *L) {
  art_task *task = art_task_of(L);

  /* That of a cancellation is never kept. */
  if (task != NULL) task->kept = !art_is_cancelled(L, -1);
  lua_error(L);
  abort(); /* lua_error does not return, but is not declared so */
}

/* An error that was caught has no use for its traceback. */
static void forget_traceback(art_task *task) {
  task->propagating = false;
  task->kept = false;
}

void art_push_task_traceback(lua_State *L, art_task *task) {
  lua_State *thread = task == task->rt->current ? L : task->wait.L;
  int parts = 0;

  luaL_checkstack(L, 24, NULL);
  if (task->state == ART_TASK_DONE || task->body == NULL) {
    lua_pushstring(L, task->state != ART_TASK_DONE ? "not started" : "ended");
    return;
  }
  while (thread != NULL) {
    luaL_traceback(L, thread,
                   parts == 0 ? NULL : "\nresumed by:", thread == L ? 1 : 0);
    if (++parts == 2) {
      lua_concat(L, 2);
      parts = 1;
    }
    thread = art_resumer_of(thread);
  }
}

/* --- pcall and xpcall, which do not catch cancellation --- */

/* True where the error at `index` is a cancellation that must go on. */
static bool goes_on(lua_State *L, int index) {
  art_task *task = art_task_of(L);

  return task != NULL && task->scope->effective && art_is_cancelled(L, index);
}

static int protected_done(lua_State *L, int status, lua_KContext hidden) {
  art_task *task;

  if (status == LUA_OK || status == LUA_YIELD)
    return lua_gettop(L) - (int) hidden;
  if (goes_on(L, -1)) lua_error(L);
  task = art_task_of(L);
  if (task != NULL) forget_traceback(task);
  lua_pushboolean(L, 0);
  lua_insert(L, -2);
  return 2;
}

/* pcall(f, ...) -> true, results... | false, err
 *
 * As Lua's, but a cancellation of the scope that the call stands in passes
 * through. */
static int protected_call(lua_State *L) {
  int status;

  luaL_checkany(L, 1);
  lua_pushboolean(L, 1);
  lua_insert(L, 1);
  status = lua_pcallk(L, lua_gettop(L) - 2, LUA_MULTRET, 0, 0, protected_done);
  return protected_done(L, status, 0);
}

static int handler_goes_on(lua_State *L) {
  lua_pushboolean(L, goes_on(L, 1));
  return 1;
}

/* Makes what stands before a handler in Lua. It ends in a tail call: levels
 * above the handler's own are those of the error, as under plain Lua. */
static const char make_guard[] = "local goes_on = ... "
                                 "return function(handler) "
                                 "  return function(err) "
                                 "    if goes_on(err) then return err end "
                                 "    return handler(err) "
                                 "  end "
                                 "end";

/* Stands before a handler in C: upvalue 1. */
static int guarded_handler(lua_State *L) {
  lua_settop(L, 1);
  if (goes_on(L, 1)) return 1;
  if (lua_tocfunction(L, lua_upvalueindex(1)) ==
      art_runtime_of(L)->traceback_function) {
    /* In place, so that the traceback does not show this function. */
    if (lua_type(L, 1) == LUA_TSTRING || lua_isnil(L, 1))
      luaL_traceback(L, L, lua_tostring(L, 1), 1);
    return 1;
  }
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  lua_call(L, 1, 1);
  return 1;
}

/* xpcall(f, handler, ...) -> true, results... | false, handled
 *
 * As Lua's, but neither catches a cancellation nor shows it to `handler`. The
 * upvalue is what make_guard makes. */
static int protected_call_handled(lua_State *L) {
  int count = lua_gettop(L), status;

  luaL_checktype(L, 2, LUA_TFUNCTION);
  if (lua_iscfunction(L, 2)) {
    lua_pushvalue(L, 2);
    lua_pushcclosure(L, guarded_handler, 1);
  } else {
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_pushvalue(L, 2);
    lua_call(L, 1, 1);
  }
  lua_replace(L, 2);
  lua_pushboolean(L, 1);
  lua_pushvalue(L, 1);
  lua_rotate(L, 3, 2);
  status = lua_pcallk(L, count - 2, LUA_MULTRET, 2, 2, protected_done);
  return protected_done(L, status, 2);
}

static int caught_all(lua_State *L, int status, lua_KContext hidden) {
  if (status == LUA_OK || status == LUA_YIELD)
    return lua_gettop(L) - (int) hidden;
  lua_pushboolean(L, 0);
  lua_insert(L, -2);
  return 2;
}

int art_pcall_all(lua_State *L) {
  int status;

  luaL_checkany(L, 1);
  lua_pushboolean(L, 1);
  lua_insert(L, 1);
  status = lua_pcallk(L, lua_gettop(L) - 2, LUA_MULTRET, 0, 0, caught_all);
  return caught_all(L, status, 0);
}

/* --- Frames --- */

static art_frame *enter(lua_State *L, lua_State *co, bool unyieldable) {
  art_frame *outer = art_frame_of(L), *frame;
  asyncrt *rt = outer->task->rt;

  frame = rt->free_frames;
  if (frame != NULL) {
    rt->free_frames = frame->u.next;
  } else {
    frame = malloc(sizeof(*frame));
    if (frame == NULL) art_raise(L, "not enough memory");
  }
  frame->task = outer->task;
  frame->u.parent = L;
  frame->scope = outer->task->scope;
  frame->bindings = 0;
  frame->unyieldable = unyieldable || outer->unyieldable || !lua_isyieldable(L);
  art_frame_set(co, frame);
  return frame;
}

static void leave(lua_State *co, art_frame *frame) {
  asyncrt *rt = frame->task->rt;

  art_frame_set(co, &rt->base_frame);
  frame->u.next = rt->free_frames;
  rt->free_frames = frame;
}

/* Runs the pending closers of a dead or suspended coroutine; they cannot wait.
 * An error is then on the top of `co`. */
static int reset(lua_State *L, lua_State *co) {
  art_frame *frame = NULL;
  int status;

  if (art_task_of(L) != NULL && art_frame_of(co)->task == NULL)
    frame = enter(L, co, true);
  status = lua_resetthread(co);
  if (frame != NULL) leave(co, frame);
  return status;
}

/* --- coroutine.resume and coroutine.wrap --- */

static lua_State *resumed_thread(lua_State *L, int by) {
  return lua_tothread(L, by == BY_WRAP ? lua_upvalueindex(1) : 1);
}

/* Moves what `co` yielded or returned to L: the results of the call. */
static int push_results(lua_State *L, lua_State *co, int results, int by) {
  if (!lua_checkstack(L, results + 1)) {
    lua_pop(co, results);
    if (by == BY_WRAP) art_raise(L, "too many results to resume");
    lua_pushboolean(L, 0);
    lua_pushliteral(L, "too many results to resume");
    return 2;
  }
  if (by == BY_RESUME) lua_pushboolean(L, 1);
  lua_xmove(co, L, results);
  return by == BY_RESUME ? results + 1 : results;
}

static _Noreturn void raise_from(lua_State *L) {
  art_task *task = art_task_of(L);

  if (task != NULL) task->propagating = true;
  lua_error(L);
  abort(); /* lua_error does not return, but is not declared so */
}

/* Ends a call whose coroutine failed; the error is on the top of `co`. */
static int push_error(lua_State *L, lua_State *co, int by) {
  art_task *task = art_task_of(L);
  bool cancelled =
      task != NULL && task->scope->effective && art_is_cancelled(co, -1);
  int status = lua_status(co);

  if (cancelled || (by == BY_WRAP && status != LUA_OK && status != LUA_YIELD))
    status = reset(L, co);
  lua_xmove(co, L, 1);
  if (cancelled) lua_error(L);
  if (by == BY_RESUME) {
    if (task != NULL) forget_traceback(task);
    lua_pushboolean(L, 0);
    lua_insert(L, -2);
    return 2;
  }
  if (status != LUA_ERRMEM && lua_type(L, -1) == LUA_TSTRING &&
      !art_is_refusal(lua_tostring(L, -1))) {
    luaL_where(L, 1);
    lua_insert(L, -2);
    lua_concat(L, 2);
  }
  raise_from(L);
}

static int settle_resume(lua_State *L, int results);
static int settle_wrap(lua_State *L, int results);

/* Ends a call after its coroutine stopped with `status`. */
static int settle(lua_State *L, lua_State *co, int status, int results,
                  int by) {
  art_frame *frame = art_frame_of(co);
  art_task *task = frame->task;

  if (task != NULL) {
    if (status != LUA_YIELD && task->scope != frame->scope &&
        !art_scope_unwound(L, task, frame->scope, status == LUA_OK))
      return art_scope_wait(L, task,
                            by == BY_WRAP ? settle_wrap : settle_resume);
    leave(co, frame);
  }
  if (status == LUA_OK || status == LUA_YIELD)
    return push_results(L, co, results, by);
  return push_error(L, co, by);
}

static int settle_again(lua_State *L, int by) {
  lua_State *co = resumed_thread(L, by);
  int status = lua_status(co);

  return settle(L, co, status, lua_gettop(co), by);
}

static int settle_resume(lua_State *L, int results) {
  (void) results;
  return settle_again(L, BY_RESUME);
}

static int settle_wrap(lua_State *L, int results) {
  (void) results;
  return settle_again(L, BY_WRAP);
}

/* Continues a resumer once its coroutine, which had waited, has stopped. */
static int resumed(lua_State *L, int status, lua_KContext by) {
  art_task *task = art_task_of(L);

  (void) status;
  return settle(L, resumed_thread(L, (int) by), task->inner_status,
                task->results, (int) by);
}

static int refuse(lua_State *L, const char *message, int by) {
  if (by == BY_WRAP) art_raise(L, "%s", message);
  lua_pushboolean(L, 0);
  lua_pushstring(L, message);
  return 2;
}

/* True for a wrapped coroutine that was not resumed yet: its stack holds
 * wrap_body and the function that is its first argument. */
static bool is_fresh(lua_State *co) {
  lua_Debug activation;

  return lua_status(co) == LUA_OK && lua_gettop(co) == 2 &&
         !lua_getstack(co, 0, &activation);
}

/* Why a coroutine cannot be resumed, or NULL. lua_resume would say the same, in
 * a string that it makes where nothing catches a lack of memory. */
static const char *resume_refusal(lua_State *co) {
  lua_Debug activation;

  if (art_frame_of(co)->task != NULL)
    return "cannot resume non-suspended coroutine";
  switch (lua_status(co)) {
    case LUA_YIELD: return NULL;
    case LUA_OK:
      if (lua_getstack(co, 0, &activation))
        return "cannot resume non-suspended coroutine";
      if (lua_gettop(co) > 0) return NULL;
      break;
    default: break;
  }
  return "cannot resume dead coroutine";
}

static int resume(lua_State *L, lua_State *co, int arguments, int by) {
  asyncrt *rt = art_runtime_of(L);
  int bound = by == BY_WRAP && is_fresh(co) ? 1 : 0;
  const char *refusal = resume_refusal(co);
  int status, results;

  if (refusal != NULL) return refuse(L, refusal, by);
  if (!lua_checkstack(co, arguments))
    return refuse(L, "too many arguments to resume", by);
  if (art_task_of(L) != NULL) enter(L, co, false);
  lua_xmove(L, co, arguments);
  rt->watch.top = co;
  status = lua_resume(co, L, arguments + bound, &results);
  rt->watch.top = L;
  if (status == LUA_YIELD && rt->parking) return lua_yieldk(L, 0, by, resumed);
  return settle(L, co, status, results, by);
}

static lua_State *check_thread(lua_State *L) {
  lua_State *co = lua_tothread(L, 1);

  if (co == NULL) luaL_typeerror(L, 1, "thread");
  return co;
}

/* coroutine.resume(co, ...) -> true, results... | false, err */
static int coroutine_resume(lua_State *L) {
  lua_State *co = check_thread(L);

  return resume(L, co, lua_gettop(L) - 1, BY_RESUME);
}

static int wrap_call(lua_State *L) {
  lua_State *co = resumed_thread(L, BY_WRAP);

  return resume(L, co, lua_gettop(L), BY_WRAP);
}

static int wrap_left(lua_State *L, int results) {
  art_task *task = art_task_of(L);

  (void) results;
  if (task != NULL && task->scope != art_frame_of(L)->scope &&
      !art_scope_unwound(L, task, art_frame_of(L)->scope, true))
    return art_scope_wait(L, task, wrap_left);
  lua_error(L); /* no handler: this thread's traceback is kept */
  return 0;
}

static int wrap_ended(lua_State *L, int status, lua_KContext context) {
  (void) context;
  if (status == LUA_OK || status == LUA_YIELD) return lua_gettop(L) - 1;
  return wrap_left(L, 0);
}

/* The main function of a wrapped coroutine: function, arguments. The call is
 * protected so that the closers of a failing body run here, where they can
 * wait, before the error reaches the caller. */
static int wrap_body(lua_State *L) {
  int status;

  lua_pushcfunction(L, art_keep_traceback);
  lua_insert(L, 1);
  status = lua_pcallk(L, lua_gettop(L) - 2, LUA_MULTRET, 1, 0, wrap_ended);
  return wrap_ended(L, status, 0);
}

static lua_State *new_thread(lua_State *L) {
  lua_State *co;

  luaL_checktype(L, 1, LUA_TFUNCTION);
  co = lua_newthread(L);
  if (!lua_checkstack(co, ART_STACK_HEADROOM))
    art_raise(L, "not enough memory");
  return co;
}

/* coroutine.create(f) -> thread */
static int coroutine_create(lua_State *L) {
  lua_State *co = new_thread(L);

  lua_pushvalue(L, 1);
  lua_xmove(L, co, 1);
  return 1;
}

/* coroutine.wrap(f) -> function */
static int coroutine_wrap(lua_State *L) {
  lua_State *co = new_thread(L);

  lua_pushcfunction(co, wrap_body);
  lua_pushvalue(L, 1);
  lua_xmove(L, co, 1);
  lua_pushcclosure(L, wrap_call, 1);
  return 1;
}

/* --- The rest of coroutine --- */

static bool is_root(lua_State *L, lua_State *co) {
  art_task *task = art_task_of(co);

  if (task != NULL) return task->root == co;
  return co == art_runtime_of(L)->L;
}

/* coroutine.yield(...) -> values of the next resume */
static int coroutine_yield(lua_State *L) {
  art_frame *frame = art_frame_of(L);

  if (is_root(L, L)) {
    lua_pushliteral(L, "attempt to yield from outside a coroutine");
    return lua_error(L);
  }
  if (frame->task != NULL && frame->task->scope != frame->scope)
    art_raise(L, "cannot yield out of an open group/timeout scope");
  if (frame->bindings > 0) art_raise(L, "cannot yield out of rt.with");
  return lua_yield(L, lua_gettop(L));
}

static const char *status_of(lua_State *L, lua_State *co) {
  lua_Debug activation;

  if (L == co) return "running";
  if (art_frame_of(co)->task != NULL) return "normal";
  switch (lua_status(co)) {
    case LUA_YIELD: return "suspended";
    case LUA_OK:
      if (lua_getstack(co, 0, &activation)) return "normal";
      return lua_gettop(co) == 0 ? "dead" : "suspended";
    default: return "dead";
  }
}

/* coroutine.status(co) -> "running" | "suspended" | "normal" | "dead" */
static int coroutine_status(lua_State *L) {
  lua_pushstring(L, status_of(L, check_thread(L)));
  return 1;
}

/* coroutine.isyieldable([co]) -> boolean */
static int coroutine_isyieldable(lua_State *L) {
  lua_State *co = lua_isnone(L, 1) ? L : check_thread(L);

  lua_pushboolean(L, !is_root(L, co) && lua_isyieldable(co));
  return 1;
}

/* coroutine.running() -> thread, whether it is the task's main one */
static int coroutine_running(lua_State *L) {
  art_task *task = art_runtime_of(L)->current;

  if (task != NULL) task->exposed = true;
  lua_pushthread(L);
  lua_pushboolean(L, is_root(L, L));
  return 2;
}

/* coroutine.close(co) -> true | false, err */
static int coroutine_close(lua_State *L) {
  lua_State *co = check_thread(L);
  const char *status = status_of(L, co);

  if (*status != 's' && *status != 'd')
    art_raise(L, "cannot close a %s coroutine", status);
  if (reset(L, co) == LUA_OK) {
    lua_pushboolean(L, 1);
    return 1;
  }
  lua_pushboolean(L, 0);
  lua_xmove(co, L, 1);
  return 2;
}

static const luaL_Reg functions[] = {
    {"close", coroutine_close},
    {"create", coroutine_create},
    {"isyieldable", coroutine_isyieldable},
    {"resume", coroutine_resume},
    {"running", coroutine_running},
    {"status", coroutine_status},
    {"wrap", coroutine_wrap},
    {"yield", coroutine_yield},
    {NULL, NULL},
};

static void open_xpcall(lua_State *L) {
  if (luaL_loadbufferx(L, make_guard, sizeof(make_guard) - 1, "=[C]", "t") !=
      LUA_OK)
    lua_error(L);
  lua_pushcfunction(L, handler_goes_on);
  lua_call(L, 1, 1);
  lua_pushcclosure(L, protected_call_handled, 1);
  lua_setglobal(L, "xpcall");
}

void art_open_coroutine(lua_State *L) {
  lua_getglobal(L, LUA_DBLIBNAME);
  lua_getfield(L, -1, "traceback");
  art_runtime_of(L)->traceback_function = lua_tocfunction(L, -1);
  lua_pop(L, 2);
  lua_pushcfunction(L, protected_call);
  lua_setglobal(L, "pcall");
  open_xpcall(L);
  lua_getglobal(L, LUA_COLIBNAME);
  luaL_setfuncs(L, functions, 0);
  lua_pop(L, 1);
}
