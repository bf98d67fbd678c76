/* asyncrt.core.local: values that belong to a task and what it spawns. */
#include "bindings.h"
#include "coroutine.h"
#include "error.h"
#include "runtime.h"

/* A binding is a userdata with these user values, and is never changed: tasks
 * share the list that begins with the innermost one. */
enum { BINDING_KEY = 1, BINDING_VALUE, BINDING_OUTER };

/* Stack of a running `with`: the message handler, the bindings before it; then
 * the results or the error. */
enum { WITH_HANDLER = 1, WITH_OUTER, WITH_RESULTS };

/* Makes the binding on the top, which is popped, the innermost of the task. */
static void set_bindings(lua_State *L, art_task *task) {
  task->bound = !lua_isnil(L, -1);
  art_task_push(L, task);
  lua_insert(L, -2);
  lua_setiuservalue(L, -2, ART_TASK_BINDINGS);
  lua_pop(L, 1);
}

static int with_done(lua_State *L, int status, lua_KContext context) {
  (void) context;
  art_frame_of(L)->bindings--;
  lua_pushvalue(L, WITH_OUTER);
  set_bindings(L, art_task_of(L));
  if (status != LUA_OK && status != LUA_YIELD) art_raise_again(L);
  return lua_gettop(L) - WITH_RESULTS + 1;
}

/* with(key, value, f, ...) -> results...
 *
 * Calls f(...), in which get(key) returns `value`, as it does in the tasks that
 * are spawned there, for as long as they live. Any value but nil is a key.
 * Source: Racket's parameterize. */
static int local_with(lua_State *L) {
  art_task *task = art_task_of(L);
  int status;

  if (lua_isnoneornil(L, 1)) art_raise_argument(L, 1, "a key cannot be nil");
  art_check_callable(L, 3);
  if (task == NULL) art_raise(L, "not inside a task");
  lua_newuserdatauv(L, 0, BINDING_OUTER);
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, -2, BINDING_KEY);
  lua_pushvalue(L, 2);
  lua_setiuservalue(L, -2, BINDING_VALUE);
  art_task_push(L, task);
  lua_getiuservalue(L, -1, ART_TASK_BINDINGS);
  lua_replace(L, WITH_OUTER);
  lua_pop(L, 1);
  lua_pushvalue(L, WITH_OUTER);
  lua_setiuservalue(L, -2, BINDING_OUTER);
  set_bindings(L, task);
  art_frame_of(L)->bindings++;
  lua_pushcfunction(L, art_keep_traceback);
  lua_replace(L, WITH_HANDLER);
  status = lua_pcallk(L, lua_gettop(L) - WITH_RESULTS, LUA_MULTRET,
                      WITH_HANDLER, 0, with_done);
  return with_done(L, status, 0);
}

/* get(key) -> value
 *
 * What the innermost `with` bound to `key` where this code, or the task it runs
 * in, was started; nil without one. Cost: the number of bindings. */
static int local_get(lua_State *L) {
  art_task *task = art_task_of(L);

  luaL_checkany(L, 1);
  lua_settop(L, 1);
  if (task == NULL || !task->bound) {
    lua_pushnil(L);
    return 1;
  }
  art_task_push(L, task);
  lua_getiuservalue(L, -1, ART_TASK_BINDINGS);
  while (!lua_isnil(L, -1)) {
    lua_getiuservalue(L, -1, BINDING_KEY);
    if (lua_rawequal(L, -1, 1)) {
      lua_getiuservalue(L, -2, BINDING_VALUE);
      return 1;
    }
    lua_pop(L, 1);
    lua_getiuservalue(L, -1, BINDING_OUTER);
    lua_remove(L, -2);
  }
  return 1;
}

static const luaL_Reg functions[] = {
    {"get", local_get},
    {"with", local_with},
    {NULL, NULL},
};

int art_open_local(lua_State *L) {
  luaL_newlib(L, functions);
  return 1;
}
