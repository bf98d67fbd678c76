/* asyncrt.core.scope: time limits, shields, cancellation. */
#include "scope.h"
#include "bindings.h"
#include "error.h"
#include "group.h"
#include "runtime.h"
#include "timer.h"

#include <math.h>

/* Stack of a running scope function: the message handler, later the scope;
 * then the results or the error. */
enum { TIMED_SCOPE = 1, TIMED_RESULTS };

static int leave(lua_State *L, int ignored);

/* Ends a scope function. `timed->failed` tells how its body ended. */
static int leave_timed(lua_State *L, art_timed_scope *timed) {
  art_task *task = art_task_of(L);
  bool failed = timed->failed, absorbs;

  if (task->scope != &timed->scope &&
      !art_scope_unwound(L, task, &timed->scope, true)) {
    lua_pushlightuserdata(L, timed);
    lua_replace(L, TIMED_SCOPE);
    return art_scope_wait(L, task, leave);
  }
  absorbs = failed && art_scope_absorbs(&timed->scope) &&
            art_is_cancelled(L, TIMED_RESULTS);
  art_timed_scope_close(timed);
  if (!failed) return lua_gettop(L) - TIMED_RESULTS + 1;
  if (!absorbs) art_raise_again(L);
  lua_pushnil(L);
  lua_pushliteral(L, "timeout");
  return 2;
}

static int leave(lua_State *L, int ignored) {
  (void) ignored;
  return leave_timed(L, lua_touserdata(L, TIMED_SCOPE));
}

static int body_ended(lua_State *L, int status, lua_KContext context) {
  art_timed_scope *timed = (art_timed_scope *) context;

  timed->failed = status != LUA_OK && status != LUA_YIELD;
  return leave_timed(L, timed);
}

static int run_timed(lua_State *L, art_scope_kind kind) {
  uint64_t at = art_check_deadline(L, 1, true);
  art_task *task = art_task_of(L);
  art_timed_scope *timed;
  int status;

  art_check_callable(L, 2);
  if (task == NULL) art_raise(L, "not inside a task");
  timed = art_timed_scope_open(L, task, kind, at);
  lua_pushcfunction(L, art_keep_traceback);
  lua_replace(L, TIMED_SCOPE);
  status = lua_pcallk(L, lua_gettop(L) - TIMED_RESULTS, LUA_MULTRET,
                      TIMED_SCOPE, (lua_KContext) timed, body_ended);
  return body_ended(L, status, (lua_KContext) timed);
}

/* timeout(seconds, f, ...) -> results... | nil, "timeout"
 *
 * Calls f(...); once `seconds` have passed, every cancellation point in it
 * raises until it is left. Zero or less: from the start. A body that never
 * waits keeps its results. Source: Trio's move_on_after. */
static int scope_timeout(lua_State *L) {
  return run_timed(L, ART_SCOPE_TIMEOUT);
}

/* shield(seconds, f, ...) -> results... | nil, "timeout"
 *
 * Calls f(...), into which no cancellation from outside enters, for at most
 * `seconds` (math.huge is allowed): for clean-up that must wait. */
static int scope_shield(lua_State *L) {
  return run_timed(L, ART_SCOPE_SHIELD);
}

/* --- The block form --- */

/* deadline(seconds) -> to be closed
 *
 * `local d <close> = rt.deadline(s)`: the block that takes longer raises
 * "timeout". Source: Trio's fail_after. */
static int scope_deadline(lua_State *L) {
  uint64_t at = art_check_deadline(L, 1, true);
  art_task *task = art_task_of(L);
  art_timed_scope **box;

  if (task == NULL) art_raise(L, "not inside a task");
  box = art_box_push(L, 0);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_setmetatable(L, -2);
  *box = art_timed_scope_open(L, task, ART_SCOPE_DEADLINE, at);
  (*box)->box = box;
  art_box_share(box);
  (*box)->site = art_origin(L);
  return 1;
}

/* Stack: box, error or nil. */
static int close_deadline(lua_State *L, int ignored) {
  art_timed_scope *timed = *(art_timed_scope **) art_box_at(L, 1);
  art_task *task = art_task_of(L);
  bool absorbs;

  (void) ignored;
  lua_settop(L, 2);
  if (task->scope != &timed->scope &&
      !art_scope_unwound(L, task, &timed->scope, true))
    return art_scope_wait(L, task, close_deadline);
  absorbs = art_scope_absorbs(&timed->scope) && art_is_cancelled(L, 2);
  art_timed_scope_close(timed);
  art_box_drop(L, 1); /* sooner than the collector: there may be many */
  if (!absorbs) return 0;
  lua_pushliteral(L, "timeout");
  return lua_error(L);
}

static int deadline_close(lua_State *L) {
  art_timed_scope **box = art_box_in(art_check_self(L, 1, "asyncrt.deadline"));

  if (*box == NULL) return 0;
  if ((*box)->scope.task != art_task_of(L))
    art_raise(L, "a deadline is closed by the task that set it");
  if (!art_scope_may_close(L, &(*box)->scope))
    art_raise(L, "a deadline is closed in the function that set it");
  return close_deadline(L, 0);
}

static int deadline_gc(lua_State *L) {
  art_timed_scope **box = art_box_in(art_check_self(L, 1, "asyncrt.deadline"));

  if (*box != NULL) { /* the scope is closed with its task */
    (*box)->box = NULL;
    art_box_empty(art_runtime_of(L), box);
  }
  art_box_drop(L, 1);
  return 0;
}

/* --- The rest --- */

/* cancelled() -> boolean, reason
 *
 * Whether the calling code is cancelled: whether its next cancellation point
 * raises, and why. */
static int scope_cancelled(lua_State *L) {
  art_task *task = art_task_of(L);
  bool cancelled = task != NULL && task->scope->effective;

  lua_pushboolean(L, cancelled);
  if (!cancelled) return 1;
  lua_pushstring(L, art_scope_reason(task->scope));
  return 2;
}

static const luaL_Reg functions[] = {
    {"cancelled", scope_cancelled},
    {"shield", scope_shield},
    {"timeout", scope_timeout},
    {NULL, NULL},
};

static const luaL_Reg metamethods[] = {
    {"__close", deadline_close},
    {"__gc", deadline_gc},
    {NULL, NULL},
};

int art_open_scope(lua_State *L) {
  luaL_newlib(L, functions);
  lua_newtable(L);
  lua_pushliteral(L, "asyncrt.deadline");
  lua_setfield(L, -2, "__name");
  lua_pushvalue(L, -1);
  luaL_setfuncs(L, metamethods, 1);
  lua_pushcclosure(L, scope_deadline, 1);
  lua_setfield(L, -2, "deadline");
  return 1;
}
