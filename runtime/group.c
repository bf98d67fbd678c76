/* Groups: who owns a task, and what its failure does. */
#include "group.h"

#include "error.h"
#include "runtime.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void push(lua_State *L, art_group *group) {
  art_anchor_push(L, group->rt, group->anchor);
}

static void push_value(lua_State *L, art_group *group, int value) {
  push(L, group);
  lua_getiuservalue(L, -1, value);
  lua_remove(L, -2);
}

void art_group_push_error(lua_State *L, art_group *group) {
  push_value(L, group, ART_GROUP_ERROR);
}

void art_group_push_handler(lua_State *L, art_group *group) {
  push_value(L, group, ART_GROUP_HANDLER);
}

/* --- Opening --- */

const char art_group_tag;

art_group *art_group_open(lua_State *L, art_task *task, bool implicit) {
  asyncrt *rt = task->rt;
  art_group *group = lua_newuserdatauv(L, sizeof(*group), ART_GROUP_VALUES);

  memset(group, 0, sizeof(*group));
  group->tag = &art_group_tag;
  group->closed = true; /* until nothing below can raise */
  lua_rawgeti(L, LUA_REGISTRYINDEX, rt->group_reference);
  lua_setmetatable(L, -2);
  lua_pushvalue(L, -1);
  group->anchor = art_anchor(L, rt);
  if (implicit && task->implicit != NULL) {
    /* A finalizer that ran meanwhile needed one too. */
    art_unanchor(L, rt, group->anchor);
    return task->implicit;
  }
  group->rt = rt;
  group->task = task;
  group->limit = UINT32_MAX;
  group->implicit = implicit;
  group->site = implicit ? task->site : art_origin(L);
  art_list_init(&group->tasks);
  group->closed = false;
  if (implicit) {
    art_scope_open(&group->children, &task->base, ART_SCOPE_CHILDREN, NULL);
    task->implicit = group;
    return group;
  }
  art_scope_open(&group->children, task->scope, ART_SCOPE_CHILDREN, NULL);
  art_scope_open(&group->body, task->scope, ART_SCOPE_BODY, task);
  group->outer = task->opened;
  task->opened = group;
  task->scope = &group->body;
  return group;
}

static art_group *implicit_of(lua_State *L, art_task *task) {
  if (task->implicit == NULL) {
    art_group_open(L, task, true);
    lua_pop(L, 1);
  }
  return task->implicit;
}

art_group *art_group_current(lua_State *L, art_task *task) {
  return task->opened != NULL ? task->opened : implicit_of(L, task);
}

/* --- Cancelling --- */

static void cancel_all(art_group *group, const char *reason) {
  art_scope_cancel(&group->children, reason);
  if (group->implicit)
    art_scope_cancel(&group->task->base, reason);
  else
    art_scope_cancel(&group->body, reason);
}

void art_group_cancel(art_group *group, const char *reason) {
  if (group->closed) return;
  art_scope_cancel(&group->children, reason);
  if (group->function_form) art_scope_cancel(&group->body, reason);
}

static void cancel_daemons(art_group *group) {
  art_link *link, *next;

  if (group->daemons_cancelled) return;
  group->daemons_cancelled = true;
  for (link = group->tasks.next; link != &group->tasks; link = next) {
    next = link->next;
    art_scope_cancel(&art_container_of(link, art_task, sibling)->base,
                     "cancelled");
  }
}

/* --- Coming and going of tasks --- */

static void start_pending(art_group *group) {
  while (group->pending_first != NULL && group->running < group->limit) {
    art_task *task = group->pending_first;

    group->pending_first = task->ready_next;
    group->running++;
    art_task_ready(task);
  }
}

void art_group_joined(art_group *group, art_task *task) {
  art_list_append(&group->tasks, &task->sibling);
  group->count++;
  if (task->daemon) {
    group->daemons++;
    if (group->daemons_cancelled) art_scope_cancel(&task->base, "cancelled");
  }
  if (group->running < group->limit) {
    group->running++;
    art_task_ready(task);
    return;
  }
  task->state = ART_TASK_READY; /* it will run, though it is not queued yet */
  task->ready_next = NULL;
  if (group->pending_first != NULL)
    group->pending_last->ready_next = task;
  else
    group->pending_first = task;
  group->pending_last = task;
}

bool art_group_finished(art_group *group) {
  if (group->count > group->daemons) return false;
  if (group->count > 0) {
    cancel_daemons(group);
    return false;
  }
  return true;
}

/* add(table, value): appends */
static int add(lua_State *L) {
  lua_rawseti(L, 1, (lua_Integer) lua_rawlen(L, 1) + 1);
  return 0;
}

static void record_completed(lua_State *L, art_group *group, int index) {
  push_value(L, group, ART_GROUP_COMPLETED);
  lua_pushvalue(L, index);
  art_try(L, add, 2);
}

/* Whether a task is one of main's own: of those for which main does not end
 * before they do, though its function has returned. */
static bool is_of_main(const art_group *group) {
  while (group != NULL && group->implicit) {
    if (group->task->id == 0) return true;
    group = group->task->group;
  }
  return false;
}

void art_group_left(lua_State *L, art_group *group, art_task *task, int index) {
  asyncrt_op *op, *next;

  art_list_remove(&task->sibling);
  group->count--;
  group->running--;
  if (task->daemon) group->daemons--;
  if (task->rt->returned && task->cancelled && !task->daemon &&
      is_of_main(group))
    task->rt->cut_off = true;
  start_pending(group);
  if (group->tracks_completed) record_completed(L, group, index);
  for (op = group->waiters.first; op != NULL; op = next) {
    next = op->next;
    if (op->type == &art_group_completed_op ||
        (op->type == &art_group_idle_op && group->count == group->daemons) ||
        (op->type == &art_group_op && art_group_finished(group)))
      asyncrt_op_complete(op);
  }
}

/* --- Failures --- */

/* suppress(group, error) */
static int suppress(lua_State *L) {
  if (lua_getiuservalue(L, 1, ART_GROUP_SUPPRESSED) != LUA_TTABLE) {
    lua_newtable(L);
    lua_pushvalue(L, -1);
    lua_setiuservalue(L, 1, ART_GROUP_SUPPRESSED);
  }
  lua_pushvalue(L, 2);
  lua_rawseti(L, -2, (lua_Integer) lua_rawlen(L, -2) + 1);
  return 0;
}

void art_group_suppress(lua_State *L, art_group *group) {
  push(L, group);
  lua_insert(L, -2);
  art_try(L, suppress, 2);
}

void art_group_failed(lua_State *L, art_group *group, art_task *task) {
  switch (group->on_error) {
    case ART_ON_ERROR_LOG: art_task_report(L, task, -1); return;
    case ART_ON_ERROR_COLLECT: return;
    case ART_ON_ERROR_CALL:
      if (!task->unhandled) return;
      break;
    default: break;
  }
  if (group->failed || group->body_failed) {
    lua_pushvalue(L, -1);
    art_group_suppress(L, group);
    return;
  }
  push(L, group);
  lua_pushvalue(L, -2);
  lua_setiuservalue(L, -2, ART_GROUP_ERROR);
  lua_pop(L, 1);
  group->failed = true;
  group->trace = art_trace_copy(L, task);
  cancel_all(group, "a task of the group failed");
}

void art_group_body_failed(lua_State *L, art_group *group, bool cancelled) {
  (void) L;
  if (!group->failed && !cancelled) group->body_failed = true;
}

/* Makes what a group suppressed available to rt.suppressed by the error at
 * `index`, unless that is a string: equal strings are one value. */
static void attach_suppressed(lua_State *L, art_group *group, int index) {
  int type = lua_type(L, index);

  push_value(L, group, ART_GROUP_SUPPRESSED);
  if (!lua_isnil(L, -1) && (type == LUA_TTABLE || type == LUA_TUSERDATA)) {
    lua_rawgetp(L, LUA_REGISTRYINDEX, &group->rt->suppressed);
    lua_pushvalue(L, index);
    lua_pushvalue(L, -3);
    lua_rawset(L, -3);
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
}

/* --- Waiting --- */

static int group_attempt(asyncrt_op *op, lua_State *L) {
  (void) L;
  return art_group_finished(op->object) ? ASYNCRT_DONE(0) : ASYNCRT_NOT_READY;
}

static void group_arm(asyncrt_op *op) {
  art_group *group = op->object;

  asyncrt_queue_push(&group->waiters, op);
}

static void group_disarm(asyncrt_op *op) {
  art_group *group = op->object;

  asyncrt_queue_remove(&group->waiters, op);
}

static int group_finish(asyncrt_op *op, lua_State *L) {
  (void) op;
  (void) L;
  return 0;
}

static void group_describe(const asyncrt_op *op, char *text, size_t size) {
  const art_group *group = op->object;
  unsigned count = (unsigned) group->count;
  const char *tasks = count == 1 ? "task" : "tasks";

  if (group->implicit)
    snprintf(text, size, "%u %s that it spawned", count, tasks);
  else
    snprintf(text, size, "%u %s of the group opened at %s", count, tasks,
             group->site);
}

const asyncrt_op_type art_group_op = {
    "group",      group_attempt,  group_arm, group_disarm,
    group_finish, group_describe, 0,
};

static int idle_attempt(asyncrt_op *op, lua_State *L) {
  const art_group *group = op->object;

  (void) L;
  return group->count == group->daemons ? ASYNCRT_DONE(0) : ASYNCRT_NOT_READY;
}

const asyncrt_op_type art_group_idle_op = {
    "group",      idle_attempt,   group_arm, group_disarm,
    group_finish, group_describe, 0,
};

/* Pushes the first of the ended tasks, or nil if there is none. */
static int push_completed(lua_State *L, art_group *group, int index) {
  if (group->closed) {
    lua_pushnil(L);
    return 1;
  }
  lua_getiuservalue(L, index, ART_GROUP_COMPLETED);
  lua_rawgeti(L, -1, (lua_Integer) ++group->completed_taken);
  if (lua_isnil(L, -1)) {
    group->completed_taken--;
  } else {
    lua_pushboolean(L, 0); /* its place is taken: the task may be collected */
    lua_rawseti(L, -3, (lua_Integer) group->completed_taken);
  }
  lua_remove(L, -2);
  return 1;
}

static int completed_attempt(asyncrt_op *op, lua_State *L) {
  art_group *group = op->object;

  push_completed(L, group, op->slot);
  if (lua_isnil(L, -1) && group->count > group->daemons) {
    lua_pop(L, 1);
    return ASYNCRT_NOT_READY;
  }
  return ASYNCRT_DONE(1);
}

/* Of several that wait, all are woken and the first one gets the task. */
static int completed_finish(asyncrt_op *op, lua_State *L) {
  int results = completed_attempt(op, L);

  return results == ASYNCRT_NOT_READY ? ASYNCRT_AGAIN : results - 1;
}

const asyncrt_op_type art_group_completed_op = {
    "completed",      completed_attempt, group_arm, group_disarm,
    completed_finish, group_describe,    0,
};

/* --- Leaving --- */

void art_group_close(lua_State *L, art_group *group) {
  art_task *task = group->task;

  group->closed = true;
  art_trace_free(group->trace);
  group->trace = NULL;
  if (group->implicit) {
    task->implicit = NULL;
  } else {
    task->scope = group->body.parent;
    task->opened = group->outer;
    art_scope_close(&group->body);
  }
  art_scope_close(&group->children);
  art_unanchor(L, group->rt, group->anchor);
}

bool art_scope_may_close(lua_State *L, const art_scope *scope) {
  const art_frame *frame = art_frame_of(L);
  const art_scope *inner;

  /* What a function or a coroutine around the caller stands in must outlive
   * it: only blocks opened since may end on the way. */
  for (inner = frame->task->scope; inner != frame->scope && inner != NULL;
       inner = inner->parent) {
    bool function = inner->kind == ART_SCOPE_TIMEOUT ||
                    inner->kind == ART_SCOPE_SHIELD ||
                    (inner->kind == ART_SCOPE_BODY &&
                     art_container_of(inner, art_group, body)->function_form);

    if (function) return false;
    if (inner == scope) return true;
  }
  return false;
}

/* Closes the group and raises the failure of its first task in the place of
 * whatever its body ended with. */
static _Noreturn void raise_failure(lua_State *L, art_group *group) {
  art_task *task = group->task;

  art_group_push_error(L, group);
  attach_suppressed(L, group, lua_gettop(L));
  art_trace_free(task->trace);
  task->trace = group->trace;
  group->trace = NULL;
  task->propagating = true;
  art_group_close(L, group);
  lua_error(L);
  abort(); /* lua_error does not return, but is not declared so */
}

/* The body ended: with the error at `index`, or normally (0). True the first
 * time: look again at what is open, since a finalizer may have run. */
static bool end_body(lua_State *L, art_group *group, int index) {
  art_task *task = group->task;

  if (group->ending) return false;
  group->ending = true;
  if (index == 0) return false;
  lua_pushvalue(L, index);
  if (group->failed && !art_is_cancelled(L, -1)) {
    /* Raised by cleaning up after the failure of a task. */
    lua_pushvalue(L, -1);
    art_group_suppress(L, group);
  }
  art_group_body_failed(L, group,
                        task->scope->effective && art_is_cancelled(L, -1));
  lua_pop(L, 1);
  art_scope_cancel(&group->children, "cancelled");
  return true;
}

/* Stack: group, error or nil. */
static int leave_block(lua_State *L, int ignored) {
  art_group *group = lua_touserdata(L, 1);
  art_task *task = art_task_of(L);
  bool waited;

  (void) ignored;
  lua_settop(L, 2);
  if (task->scope != &group->body &&
      !art_scope_unwound(L, task, &group->body, true))
    return art_scope_wait(L, task, leave_block);
  if (end_body(L, group, lua_isnil(L, 2) ? 0 : 2)) return leave_block(L, 0);
  if (!art_group_finished(group)) {
    group->waited = true;
    return art_perform_then(
        L, art_prepare_uncancellable(L, &art_group_op, group), leave_block);
  }
  if (group->failed) raise_failure(L, group);
  if (!lua_isnil(L, 2)) attach_suppressed(L, group, 2);
  waited = group->waited;
  art_group_close(L, group);
  if (lua_isnil(L, 2) && waited && task->scope->effective)
    art_raise_cancelled(L);
  return 0;
}

int art_group_leave(lua_State *L) {
  art_group *group = lua_touserdata(L, 1);
  art_task *task;

  if (group->closed) return 0;
  task = art_check_blocking(L);
  if (group->task != task)
    art_raise(L, "a group is closed by the task that opened it");
  if (!art_scope_may_close(L, &group->body))
    art_raise(L, "a group is closed in the function that opened it");
  return leave_block(L, 0);
}

enum { CALL_GROUP = 1, CALL_HANDLER, CALL_RESULTS };

/* Stack: group, handler, results or error. */
static int leave_call(lua_State *L, int ignored) {
  art_group *group = lua_touserdata(L, CALL_GROUP);
  art_task *task = art_task_of(L);
  bool absorbed;

  (void) ignored;
  if (task->scope != &group->body &&
      !art_scope_unwound(L, task, &group->body, true))
    return art_scope_wait(L, task, leave_call);
  if (end_body(L, group, group->body_raised ? CALL_RESULTS : 0))
    return leave_call(L, 0);
  if (!art_group_finished(group)) {
    group->waited = true;
    return art_perform_then(
        L, art_prepare_uncancellable(L, &art_group_op, group), leave_call);
  }
  if (group->failed) raise_failure(L, group);
  absorbed = art_scope_absorbs(&group->body);
  if (group->body_raised) attach_suppressed(L, group, CALL_RESULTS);
  art_group_close(L, group);
  if (group->body_raised) {
    if (!(absorbed && art_is_cancelled(L, CALL_RESULTS))) art_raise_again(L);
    lua_pushnil(L);
    lua_pushliteral(L, "cancelled");
    return 2;
  }
  if (group->waited && task->scope->effective) art_raise_cancelled(L);
  return lua_gettop(L) - CALL_RESULTS + 1;
}

static int body_ended(lua_State *L, int status, lua_KContext context) {
  art_group *group = lua_touserdata(L, CALL_GROUP);

  (void) context;
  group->body_raised = status != LUA_OK && status != LUA_YIELD;
  if (group->body_raised) lua_settop(L, CALL_RESULTS);
  return leave_call(L, 0);
}

int art_group_call(lua_State *L) {
  art_group *group = lua_touserdata(L, CALL_GROUP);
  int status;

  group->function_form = true;
  lua_pushcfunction(L, art_keep_traceback);
  lua_insert(L, CALL_HANDLER);
  lua_pushvalue(L, CALL_GROUP);
  status = lua_pcallk(L, 1, LUA_MULTRET, CALL_HANDLER, 0, body_ended);
  return body_ended(L, status, 0);
}

/* --- Scopes that were never closed --- */

static void report_open(art_task *task, const char *site) {
  art_log("scope left open: the %s opened at %s was never closed; "
          "use `local x <close> =`",
          task->scope->kind == ART_SCOPE_BODY ? "group" : "deadline", site);
}

/* A failure that nothing can raise any more is not lost. */
static void report_failure(lua_State *L, art_group *group) {
  art_group_push_error(L, group);
  art_trace_print(L, group->trace, -1);
  lua_pop(L, 1);
  art_trace_free(group->trace);
  group->trace = NULL;
}

/* Moves the tasks of `group`, cancelled, to where they are awaited. */
static void hand_over(lua_State *L, art_group *group, art_group *heir) {
  art_link *link;

  art_scope_cancel(&group->children, "cancelled");
  while ((link = group->tasks.next) != &group->tasks) {
    art_task *child = art_container_of(link, art_task, sibling);

    art_list_remove(link);
    art_scope_close(&child->base);
    child->base.parent = heir != NULL ? &heir->children : NULL;
    art_scope_relink(&child->base);
    child->group = heir;
    if (heir == NULL) continue;
    art_list_append(&heir->tasks, link);
    heir->count++;
    heir->running++;
    if (child->daemon) heir->daemons++;
  }
  while (group->pending_first != NULL) {
    art_task *child = group->pending_first;

    group->pending_first = child->ready_next;
    art_task_ready(child);
  }
  art_group_close(L, group);
}

bool art_scope_unwound(lua_State *L, art_task *task, art_scope *scope,
                       bool report) {
  while (task->scope != scope) {
    art_scope *open = task->scope;

    if (open->kind == ART_SCOPE_BODY) {
      art_group *group = art_container_of(open, art_group, body), *heir;

      if (!group->ending) {
        if (report) report_open(task, group->site);
        group->ending = true;
        art_scope_cancel(&group->children, "cancelled");
      }
      if (!art_group_finished(group)) {
        if (art_can_block(L)) return false;
        heir = group->outer != NULL ? group->outer : implicit_of(L, task);
        if (task->scope != open) continue; /* a finalizer has opened one */
        hand_over(L, group, heir);
      } else if (group->failed) {
        /* Telling the error may run code, which may spawn into the group. */
        group->failed = false;
        report_failure(L, group);
      } else {
        art_group_close(L, group);
      }
    } else {
      art_timed_scope *timed = art_container_of(open, art_timed_scope, scope);

      if (report) report_open(task, timed->site);
      art_timed_scope_close(timed);
    }
  }
  return true;
}

int art_scope_wait(lua_State *L, art_task *task, art_done done) {
  art_group *group = art_container_of(task->scope, art_group, body);

  return art_perform_then(L, art_prepare_uncancellable(L, &art_group_op, group),
                          done);
}

void art_scope_hand_over(lua_State *L, art_task *task) {
  while (task->scope != &task->base) {
    art_scope *open = task->scope;

    if (open->kind == ART_SCOPE_BODY)
      hand_over(L, art_container_of(open, art_group, body), task->group);
    else
      art_timed_scope_close(art_container_of(open, art_timed_scope, scope));
  }
  if (task->implicit != NULL) hand_over(L, task->implicit, task->group);
}
