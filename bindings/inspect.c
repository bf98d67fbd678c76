/* asyncrt.core.inspect: what the runtime is doing. */
#include "bindings.h"
#include "report.h"
#include "runtime.h"
#include "timer.h"

/* instrument(functions | nil)
 *
 * Calls these functions as things happen: task_spawned, before_step,
 * after_step, blocked(task, what), woken, cancelled(task, reason), exited, each
 * with the task, and before_poll, after_poll. They run in the scheduler and
 * cannot wait; the first error removes them all. nil removes them. Source:
 * Trio's instruments. */
static int inspect_instrument(lua_State *L) {
  art_notes_install(L, asyncrt_of(L), 1);
  return 0;
}

/* dump() -> string
 *
 * One line a task, each below its owner: its name, what it waits for, where,
 * and where it was spawned. */
static int inspect_dump(lua_State *L) {
  art_push_task_tree(L, asyncrt_of(L));
  return 1;
}

static void set_integer(lua_State *L, const char *name, uint64_t value) {
  lua_pushinteger(L, (lua_Integer) value);
  lua_setfield(L, -2, name);
}

/* stats() -> table
 *
 * Counts: `tasks` that have not ended, `ready` ones, `timers`, `handles`; since
 * the start `ticks` of the loop and `steps` of tasks; `longest_step` in seconds
 * of real time, taken from the first call of stats on; `bytes` of Lua memory.
 * Cost: the number of ready tasks. */
static int inspect_stats(lua_State *L) {
  asyncrt *rt = asyncrt_of(L);
  art_watch *watch = &rt->watch;
  const art_task *task;
  uint64_t ready = rt->drawn_count;

  for (task = rt->ready_first; task != NULL; task = task->ready_next) ready++;
  lua_createtable(L, 0, 8);
  set_integer(L, "tasks", rt->tasks);
  set_integer(L, "ready", ready);
  set_integer(L, "timers", rt->timers.count);
  set_integer(L, "handles", rt->handle_count);
  set_integer(L, "ticks", rt->ticks);
  set_integer(L, "steps", art_watch_steps(watch));
  set_integer(L, "bytes",
              (uint64_t) lua_gc(L, LUA_GCCOUNT) * 1024 +
                  (uint64_t) lua_gc(L, LUA_GCCOUNTB));
  lua_pushnumber(L, (lua_Number) watch->longest_step / ART_NS_PER_SECOND);
  lua_setfield(L, -2, "longest_step");
  watch->measured = true;
  return 1;
}

static const luaL_Reg functions[] = {
    {"dump", inspect_dump},
    {"instrument", inspect_instrument},
    {"stats", inspect_stats},
    {NULL, NULL},
};

int art_open_inspect(lua_State *L) {
  luaL_newlib(L, functions);
  return 1;
}
