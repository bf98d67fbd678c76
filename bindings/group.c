/* asyncrt.core.group: groups, the owners of tasks. */
#include "group.h"
#include "bindings.h"
#include "error.h"
#include "options.h"
#include "runtime.h"

#include <string.h>

static art_group *check_group(lua_State *L) {
  return art_check_tagged(L, 1, &art_group_tag, sizeof(art_group),
                          "asyncrt.group");
}

static const char *const option_names[] = {"limit", "on_error", NULL};

/* Reads the option table at `arg` into `group`, whose userdata is at `index`.
 */
static void apply_options(lua_State *L, int arg, art_group *group, int index) {
  if (lua_isnil(L, arg)) return;
  group->limit = (uint32_t) art_option_integer(L, arg, "limit", 1,
                                               UINT32_MAX - 1, UINT32_MAX);
  switch (lua_getfield(L, arg, "on_error")) {
    case LUA_TNIL: break;
    case LUA_TFUNCTION:
      group->on_error = ART_ON_ERROR_CALL;
      lua_pushvalue(L, -1);
      lua_setiuservalue(L, index, ART_GROUP_HANDLER);
      break;
    default: {
      const char *text = lua_tostring(L, -1);

      if (text != NULL && strcmp(text, "log") == 0)
        group->on_error = ART_ON_ERROR_LOG;
      else if (text != NULL && strcmp(text, "collect") == 0)
        group->on_error = ART_ON_ERROR_COLLECT;
      else if (text == NULL || strcmp(text, "fail") != 0)
        art_raise_argument(L, arg,
                           "option 'on_error' must be \"fail\", \"log\", "
                           "\"collect\" or a function");
    }
  }
  lua_pop(L, 1);
}

static void check_on_error(lua_State *L, int arg) {
  art_group scratch = {0};

  if (lua_isnil(L, arg)) return;
  lua_newuserdatauv(L, 0, ART_GROUP_VALUES);
  apply_options(L, arg, &scratch, lua_gettop(L));
  lua_pop(L, 1);
}

/* group([options]) -> to be closed
 * group([options,] f) -> results... | nil, "cancelled"
 *
 * Opens a group: an owner of tasks that does not end before them. Block form:
 * `local g <close> = rt.group()`. Function form: calls f(g). The end waits for
 * every task. A task that fails cancels the others and the body, and its error
 * is raised there. Options: `limit`, how many tasks run at once, the others
 * wait for their turn; `on_error`, "fail", or "log", "collect" or f(err, task)
 * to go on without the failed one. Source: Trio's nurseries. */
static int group_group(lua_State *L) {
  art_task *task;
  art_group *group;
  bool function_form = lua_isfunction(L, 1) || !lua_isnone(L, 2);

  if (lua_isfunction(L, 1)) {
    lua_pushnil(L);
    lua_insert(L, 1);
  }
  lua_settop(L, 2);
  art_check_options(L, 1, option_names);
  if (function_form) art_check_callable(L, 2);
  check_on_error(L, 1); /* before anything is open */
  task = art_check_blocking(L);
  group = art_group_open(L, task, false);
  apply_options(L, 1, group, 3);
  if (!function_form) return 1;
  lua_replace(L, 1);
  return art_group_call(L);
}

static art_group *check_open(lua_State *L) {
  art_group *group = check_group(L);

  if (group->closed) art_raise(L, "cannot spawn into a closed group");
  return group;
}

/* group:spawn(f, ...) -> task
 *
 * Starts f(...) as a task of the group. Never waits. Raises once the group has
 * closed. */
static int group_spawn(lua_State *L) {
  art_group *group = check_open(L);

  art_check_callable(L, 2);
  art_task_new(L, group, 2, 0, false);
  return 1;
}

/* Spawns with the options at `arg`, behind which the function stands. */
static int spawn_with(lua_State *L, art_group *group, int arg) {
  static const char *const names[] = {"daemon", "name", NULL};
  bool daemon;

  luaL_checktype(L, arg, LUA_TTABLE);
  art_check_options(L, arg, names);
  art_check_callable(L, arg + 1);
  daemon = art_option_boolean(L, arg, "daemon", false);
  if (lua_getfield(L, arg, "name") == LUA_TNIL) {
    lua_pop(L, 1);
    art_task_new(L, group, arg + 1, 0, daemon);
    return 1;
  }
  if (lua_type(L, -1) != LUA_TSTRING)
    art_raise_argument(L, arg, "option 'name' must be a string");
  lua_replace(L, arg);
  art_task_new(L, group, arg + 1, arg, daemon);
  return 1;
}

/* group:spawn_with({name=, daemon=}, f, ...) -> task
 *
 * As spawn, with a name for reports; a daemon does not keep the group: it is
 * cancelled once all other tasks have ended. */
static int group_spawn_with(lua_State *L) {
  return spawn_with(L, check_open(L), 2);
}

/* spawn_with({name=, daemon=}, f, ...) -> task
 *
 * The same into the innermost open group of the calling task, or into the
 * calling task itself. */
static int group_spawn_with_here(lua_State *L) {
  art_task *task = art_task_of(L);

  if (task == NULL) art_raise(L, "cannot spawn outside a task");
  return spawn_with(L, art_group_current(L, task), 1);
}

/* group:cancel([reason])
 *
 * Cancels the tasks of the group; in the function form the body too. */
static int group_cancel(lua_State *L) {
  art_group *group = check_group(L);

  /* A reason outlives the group's scopes, so it is interned like a site. */
  art_group_cancel(group, lua_isnoneornil(L, 2)
                              ? "cancelled"
                              : art_intern(group->rt, luaL_checkstring(L, 2)));
  return 0;
}

/* group:wait()
 *
 * Waits until all tasks, but for daemons, have ended; the group stays open. A
 * cancellation point. */
static int group_wait(lua_State *L) {
  art_group *group = check_group(L);
  asyncrt_op *op = asyncrt_prepare(L, &art_group_idle_op, group);

  if (group->closed) return 0;
  if (art_task_of(L)->group == group)
    art_raise(L, "a task cannot wait for its own group");
  return asyncrt_perform(L, op);
}

/* group:count() -> integer: the tasks that have not ended */
static int group_count(lua_State *L) {
  art_group *group = check_group(L);

  lua_pushinteger(L, group->closed ? 0 : group->count);
  return 1;
}

static int next_completed(lua_State *L) {
  art_group *group = check_group(L);
  asyncrt_op *op = asyncrt_prepare(L, &art_group_completed_op, group);

  op->slot = 1;
  return asyncrt_perform(L, op);
}

/* for task in group:completed() do … end
 *
 * The tasks in the order in which they end, until none but daemons is left.
 * Each goes to one of the loops, if there are several. Those that ended before
 * the first call of completed are not among them: call it before the first
 * wait. */
static int group_completed(lua_State *L) {
  art_group *group = check_group(L);

  if (!group->tracks_completed && !group->closed) {
    lua_newtable(L);
    lua_setiuservalue(L, 1, ART_GROUP_COMPLETED);
    group->tracks_completed = true;
  }
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_pushcclosure(L, next_completed, 1);
  lua_pushvalue(L, 1);
  return 2;
}

static int group_close(lua_State *L) {
  check_group(L);
  lua_settop(L, 2);
  return art_group_leave(L);
}

static int group_tostring(lua_State *L) {
  art_group *group = check_group(L);
  int count = group->closed ? 0 : (int) group->count;

  lua_pushfstring(L, "group opened at %s (%s, %d %s)", group->site,
                  group->closed ? "closed" : "open", count,
                  count == 1 ? "task" : "tasks");
  return 1;
}

/* suppressed(err [, group]) -> {err, ...}
 *
 * The errors that were raised after `err` in its group, which `err` stands
 * for. Equal strings are one value: for a string error name the group. */
static int group_suppressed(lua_State *L) {
  asyncrt *rt = art_runtime_of(L);

  luaL_checkany(L, 1);
  if (!lua_isnoneornil(L, 2)) {
    if (!lua_getmetatable(L, 2) || lua_topointer(L, -1) != rt->group_metatable)
      luaL_typeerror(L, 2, "asyncrt.group");
    lua_pop(L, 1);
    lua_getiuservalue(L, 2, ART_GROUP_SUPPRESSED);
  } else {
    lua_rawgetp(L, LUA_REGISTRYINDEX, &rt->suppressed);
    if (lua_isnil(L, 1)) {
      lua_pushnil(L);
    } else {
      lua_pushvalue(L, 1);
      lua_rawget(L, -2);
    }
  }
  if (lua_isnil(L, -1)) lua_newtable(L);
  return 1;
}

static const luaL_Reg functions[] = {
    {"group", group_group},
    {"spawn_with", group_spawn_with_here},
    {"suppressed", group_suppressed},
    {NULL, NULL},
};

static const luaL_Reg methods[] = {
    {"cancel", group_cancel},
    {"completed", group_completed},
    {"count", group_count},
    {"spawn", group_spawn},
    {"spawn_with", group_spawn_with},
    {"wait", group_wait},
    {NULL, NULL},
};

static const luaL_Reg metamethods[] = {
    {"__close", group_close},
    {"__tostring", group_tostring},
    {NULL, NULL},
};

int art_open_group(lua_State *L) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &art_runtime_of(L)->group_metatable);
  art_set_methods(L, methods);
  lua_pushvalue(L, -1);
  luaL_setfuncs(L, metamethods, 1);
  luaL_newlib(L, functions);
  return 1;
}
