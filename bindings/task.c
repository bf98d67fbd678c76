/* asyncrt.core.task: starting tasks, and their handles. */
#include "task.h"
#include "bindings.h"
#include "error.h"
#include "group.h"
#include "runtime.h"

#include <stdlib.h>
#include <string.h>

static art_task *check_task(lua_State *L) {
  return art_check_self(L, 1, "asyncrt.task");
}

/* spawn(f, ...) -> task
 *
 * Starts f(...) as a task of the innermost open group of the calling task, or
 * of the calling task itself, which then ends only after it. Never waits: the
 * new task runs once the caller waits. An error in it cancels the group and is
 * raised by the group. Source: Trio's nurseries. */
static int task_spawn(lua_State *L) {
  art_task *task = art_task_of(L);

  art_check_callable(L, 1);
  if (task == NULL) art_raise(L, "cannot spawn outside a task");
  art_task_new(L, art_group_current(L, task), 1, 0, false);
  return 1;
}

/* task:join() -> true, results... | false, err
 *
 * Waits until the task has ended. `err` is the error value itself, or the
 * string "cancelled". Joining the calling task raises. A cancellation point;
 * a task is itself an event that does the same. */
static int task_join(lua_State *L) {
  art_task *task = check_task(L);
  asyncrt_op *op = asyncrt_prepare(L, &art_join_op, task);

  if (task == art_task_of(L)) art_raise(L, "a task cannot join itself");
  op->slot = 1;
  return asyncrt_perform(L, op);
}

static int awaited(lua_State *L, int results) {
  art_task *task = lua_touserdata(L, 1);

  if (!task->failed) return results - 1;
  art_trace_inherit(L, art_task_of(L), 1);
  return lua_error(L);
}

/* task:await() -> results...
 *
 * As join, but raises the error of a failed task; a cancelled one raises the
 * string "cancelled". A cancellation point. */
static int task_await(lua_State *L) {
  art_task *task = check_task(L);
  asyncrt_op *op = asyncrt_prepare(L, &art_join_op, task);

  if (task == art_task_of(L)) art_raise(L, "a task cannot await itself");
  op->slot = 1;
  return art_perform_then(L, op, awaited);
}

static void prepare_join(lua_State *L, int index, asyncrt_op *op) {
  art_task *task = lua_touserdata(L, index);

  if (task == art_task_of(L)) art_raise(L, "a task cannot join itself");
  op->type = &art_join_op;
  op->object = task;
  op->slot = index;
}

/* task:cancel()
 *
 * Cancels the task and what it owns: every cancellation point in it raises from
 * now on. Does not wait; join does. Nothing happens to an ended task. */
static int task_cancel(lua_State *L) {
  art_task *task = check_task(L);

  if (task->state != ART_TASK_DONE) art_scope_cancel(&task->base, "cancelled");
  return 0;
}

/* task:name() -> string
 *
 * The name it was given, or "main", or "t" and its number. */
static int task_name(lua_State *L) {
  art_task *task = check_task(L);

  if (task->has_name)
    lua_getiuservalue(L, 1, ART_TASK_NAME);
  else if (task->id == 0)
    lua_pushliteral(L, "main");
  else
    lua_pushfstring(L, "t%d", (int) task->id);
  return 1;
}

static const char *status_of(const art_task *task) {
  static const char *const names[] = {"ready", "running", "waiting"};

  if (task->state != ART_TASK_DONE) return names[task->state];
  if (task->cancelled) return "cancelled";
  return task->failed ? "failed" : "done";
}

/* task:status() -> "ready" | "running" | "waiting" | "done" | "failed" |
 * "cancelled" */
static int task_status(lua_State *L) {
  lua_pushstring(L, status_of(check_task(L)));
  return 1;
}

/* task:where() -> string
 *
 * The traceback of every coroutine of a task that has not ended, innermost
 * first; for a failed task, that of its error. */
static int task_where(lua_State *L) {
  art_task *task = check_task(L);

  if (task->state == ART_TASK_DONE &&
      lua_getiuservalue(L, 1, ART_TASK_BINDINGS) == LUA_TTABLE)
    lua_getfield(L, -1, "text");
  else
    art_push_task_traceback(L, task);
  return 1;
}

static int task_tostring(lua_State *L) {
  art_task *task = check_task(L);

  lua_settop(L, 1);
  task_name(L);
  lua_pushfstring(L, "task %s (%s)", lua_tostring(L, -1), status_of(task));
  return 1;
}

/* current() -> task */
static int task_current(lua_State *L) {
  art_task *task = art_task_of(L);

  if (task == NULL) art_raise(L, "not inside a task");
  art_task_push(L, task);
  return 1;
}

/* caught() -> string | nil
 *
 * The traceback of the error that a protected call of this task has caught
 * last, from where it was raised up to the innermost group or time limit that
 * it came through; with the task that it came from, where that was another.
 * Nothing between may have raised. */
static int task_caught(lua_State *L) {
  const art_task *task = art_task_of(L);
  const art_trace *trace = task != NULL ? task->trace : NULL;

  if (trace == NULL || trace->text == NULL)
    lua_pushnil(L);
  else if (trace->origin != NULL)
    lua_pushfstring(L, "%s\n%s", trace->origin, trace->text);
  else
    lua_pushstring(L, trace->text);
  return 1;
}

/* raise_again(err [, trace])
 *
 * Raises what was caught, with the traceback it had: the one that `caught`
 * returned, where others were caught since. */
static int task_raise_again(lua_State *L) {
  art_task *task = art_task_of(L);
  const char *trace = luaL_optstring(L, 2, NULL);

  if (task != NULL && trace != NULL) {
    art_trace_free(task->trace);
    task->trace = NULL;
    art_trace_add(task, trace);
  }
  lua_settop(L, 1);
  art_raise_again(L);
}

static int compare_ids(const void *a, const void *b) {
  const art_task *const *x = a, *const *y = b;

  return ((*x)->id > (*y)->id) - ((*x)->id < (*y)->id);
}

/* Pushes memory for a list of all tasks, of which a finalizer that runs
 * meanwhile may spawn more. */
static art_task **push_room(lua_State *L, const asyncrt *rt) {
  art_task **tasks;
  uint32_t room;

  do {
    lua_settop(L, 0);
    room = rt->tasks;
    tasks = lua_newuserdatauv(L, room * sizeof(*tasks), 0);
  } while (room < rt->tasks);
  return tasks;
}

/* tasks() -> {task, ...}
 *
 * Every task that has not ended, in the order of spawning. */
static int task_tasks(lua_State *L) {
  asyncrt *rt = art_runtime_of(L);
  art_task **tasks = push_room(L, rt);
  uint32_t count = 0, i;
  uint32_t place;

  for (place = 1; place <= rt->anchor_count; place++) {
    art_task *task = art_task_at(L, rt, place);

    if (task != NULL) tasks[count++] = task;
  }
  qsort(tasks, count, sizeof(*tasks), compare_ids);
  lua_createtable(L, (int) count, 0);
  for (i = 0; i < count; i++) {
    art_task_push(L, tasks[i]);
    lua_rawseti(L, -2, (lua_Integer) i + 1);
  }
  return 1;
}

/* can_block() -> boolean
 *
 * Whether a call that waits is possible here: inside a task, and not below a C
 * function that Lua cannot yield across (table.sort, string.gsub, a
 * finalizer). */
static int task_can_block(lua_State *L) {
  lua_pushboolean(L, art_can_block(L));
  return 1;
}

/* exit([code])
 *
 * Cancels main, and with it every task; closers run; then the process ends with
 * `code` (0). Returns; the caller's next cancellation point raises. os.exit
 * ends at once instead. */
static int task_exit(lua_State *L) {
  asyncrt *rt = art_runtime_of(L);

  rt->requested_status =
      lua_isnoneornil(L, 1) ? 0 : (int) art_check_integer(L, 1, 0, 255);
  if (rt->main != NULL) art_scope_cancel(&rt->main->base, "exit");
  return 0;
}

static const luaL_Reg functions[] = {
    {"can_block", task_can_block},
    {"caught", task_caught},
    {"current", task_current},
    {"exit", task_exit},
    {"pcall_all", art_pcall_all},
    {"raise_again", task_raise_again},
    {"spawn", task_spawn},
    {"tasks", task_tasks},
    {NULL, NULL},
};

static const luaL_Reg methods[] = {
    {"await", task_await}, {"cancel", task_cancel}, {"join", task_join},
    {"name", task_name},   {"status", task_status}, {"where", task_where},
    {NULL, NULL},
};

static const luaL_Reg metamethods[] = {
    {"__tostring", task_tostring},
    {NULL, NULL},
};

int art_open_task(lua_State *L) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &art_runtime_of(L)->task_metatable);
  art_set_methods(L, methods);
  lua_pushvalue(L, -1);
  luaL_setfuncs(L, metamethods, 1);
  asyncrt_set_event(L, prepare_join);
  luaL_newlib(L, functions);
  return 1;
}
