/* asyncrt.core.test: what `asyncrt test` asks of the runtime. */
#include "bindings.h"
#include "error.h"
#include "group.h"
#include "report.h"
#include "runtime.h"

#include <stdio.h>
#include <sys/stat.h>

/* Sets the field `name` of the table on the top to `text`, unless NULL. */
static void set_text(lua_State *L, const char *name, const char *text) {
  if (text == NULL) return;
  lua_pushstring(L, text);
  lua_setfield(L, -2, name);
}

/* Appends the table on the top to the one below it. */
static void append(lua_State *L) {
  lua_rawseti(L, -2, (lua_Integer) lua_rawlen(L, -2) + 1);
}

/* mark()
 *
 * Records from now on where handles are opened; forgets those that are open. */
static int test_mark(lua_State *L) {
  asyncrt *rt = art_runtime_of(L);
  asyncrt_handle *handle;

  rt->record_sites = true;
  art_handles_forget(rt);
  for (handle = rt->first_handle; handle != NULL; handle = handle->next)
    handle->site = NULL;
  return 0;
}

static void append_handle(lua_State *L, const char *kind, const char *site) {
  lua_createtable(L, 0, 2);
  set_text(L, "kind", kind);
  set_text(L, "site", site);
  append(L);
}

/* handles() -> {{kind =, site =}, ...}
 *
 * The handles that were opened since the last mark and are still open, or were
 * closed by nobody but the collector. */
static int test_handles(lua_State *L) {
  asyncrt *rt = art_runtime_of(L);
  const asyncrt_handle *handle;
  const art_forgotten *forgotten;

  lua_newtable(L);
  for (forgotten = rt->forgotten; forgotten != NULL;
       forgotten = forgotten->next)
    append_handle(L, forgotten->kind, forgotten->site);
  for (handle = rt->first_handle; handle != NULL; handle = handle->next)
    if (handle->site != NULL) append_handle(L, handle->kind, handle->site);
  return 1;
}

/* scopes() -> {{kind =, site =}, ...}
 *
 * The groups and deadlines of blocks that are open around the caller, outermost
 * first; `site` is where one was opened. Those of functions close themselves.
 */
static int test_scopes(lua_State *L) {
  art_task *task = art_task_of(L);
  const art_scope *scope = task != NULL ? task->scope : NULL;
  lua_Integer count = 0;

  lua_newtable(L);
  for (; scope != NULL && scope->task == task; scope = scope->parent) {
    const char *site = NULL;

    if (scope->kind == ART_SCOPE_DEADLINE)
      site = art_container_of(scope, art_timed_scope, scope)->site;
    else if (scope->kind == ART_SCOPE_BODY &&
             !art_container_of(scope, art_group, body)->function_form)
      site = art_container_of(scope, art_group, body)->site;
    if (site == NULL) continue;
    lua_createtable(L, 0, 2);
    set_text(L, "kind",
             scope->kind == ART_SCOPE_DEADLINE ? "deadline" : "group");
    set_text(L, "site", site);
    lua_rawseti(L, -2, ++count);
  }
  return 1;
}

static art_task *check_task(lua_State *L, int arg) {
  art_task *task = NULL;

  if (lua_type(L, arg) == LUA_TUSERDATA && lua_getmetatable(L, arg)) {
    if (lua_topointer(L, -1) == art_runtime_of(L)->task_metatable)
      task = lua_touserdata(L, arg);
    lua_pop(L, 1);
  }
  if (task == NULL) luaL_typeerror(L, arg, "task");
  return task;
}

/* task(task) -> {name =, site =, daemon =, waits =}
 *
 * What a report tells of a task that has not ended. `waits` is what it waits
 * for, or absent. */
static int test_task(lua_State *L) {
  art_task *task = check_task(L, 1);
  char text[512];

  lua_createtable(L, 0, 4);
  art_task_describe(L, task, text, sizeof(text));
  set_text(L, "name", text);
  set_text(L, "site", task->site);
  lua_pushboolean(L, task->daemon);
  lua_setfield(L, -2, "daemon");
  if (task->state == ART_TASK_WAITING && task->wait.state == ART_WAIT_ARMED) {
    art_describe_wait(task, text, sizeof(text));
    set_text(L, "waits", text);
  }
  return 1;
}

/* failure(task) -> {origin =, text =}
 *
 * Where the error of a failed task came from, and its traceback. */
static int test_failure(lua_State *L) {
  check_task(L, 1);
  if (lua_getiuservalue(L, 1, ART_TASK_BINDINGS) != LUA_TTABLE) lua_newtable(L);
  return 1;
}

/* guard(task)
 *
 * From now on a deadlock cancels this task, and not main. */
static int test_guard(lua_State *L) {
  asyncrt *rt = art_runtime_of(L);
  art_task *task = check_task(L, 1);

  rt->guarded = task->state != ART_TASK_DONE ? task : NULL;
  rt->deadlocks = 0;
  return 0;
}

/* unguard() -> boolean: whether there was a deadlock */
static int test_unguard(lua_State *L) {
  asyncrt *rt = art_runtime_of(L);

  rt->guarded = NULL;
  lua_pushboolean(L, rt->deadlocks > 0);
  rt->deadlocks = 0;
  return 1;
}

/* options() -> {virtual_time =, random_order =, seed =}
 *
 * What a run was started with; the seed as text. */
static int test_options(lua_State *L) {
  const asyncrt_options *options = &art_runtime_of(L)->options;
  char seed[32];

  lua_createtable(L, 0, 3);
  lua_pushboolean(L, options->virtual_time);
  lua_setfield(L, -2, "virtual_time");
  lua_pushboolean(L, options->random_order);
  lua_setfield(L, -2, "random_order");
  snprintf(seed, sizeof(seed), "%llu", (unsigned long long) options->seed);
  set_text(L, "seed", seed);
  return 1;
}

/* A link to a folder is none: it could lead back. */
static bool is_folder(const char *folder, const uv_dirent_t *entry) {
  char path[4096];
  uv_fs_t request;
  bool result;

  if (entry->type != UV_DIRENT_UNKNOWN) return entry->type == UV_DIRENT_DIR;
  snprintf(path, sizeof(path), "%s/%s", folder, entry->name);
  result = uv_fs_lstat(NULL, &request, path, NULL) == 0 &&
           (request.statbuf.st_mode & S_IFMT) == S_IFDIR;
  uv_fs_req_cleanup(&request);
  return result;
}

/* Pushes the name of every entry of a scanned folder: {name = is folder} */
static int push_entries(lua_State *L) {
  uv_fs_t *request = lua_touserdata(L, 1);
  uv_dirent_t entry;

  lua_newtable(L);
  while (uv_fs_scandir_next(request, &entry) == 0) {
    lua_pushboolean(L, is_folder(request->path, &entry));
    lua_setfield(L, -2, entry.name);
  }
  return 1;
}

/* entries(path) -> {[name] = whether it is a folder} | nil, message, code
 *
 * What a folder holds. Does not give way. */
static int test_entries(lua_State *L) {
  const char *path = art_check_cstring(L, 1);
  uv_fs_t request;
  int status = uv_fs_scandir(NULL, &request, path, 0, NULL);

  if (status >= 0) {
    lua_pushcfunction(L, push_entries);
    lua_pushlightuserdata(L, &request);
    status = lua_pcall(L, 1, 1, 0) == LUA_OK ? 0 : UV_ENOMEM;
  }
  uv_fs_req_cleanup(&request);
  if (status < 0) return asyncrt_push_error(L, "open", path, status);
  return 1;
}

static const luaL_Reg functions[] = {
    {"entries", test_entries}, {"failure", test_failure},
    {"guard", test_guard},     {"handles", test_handles},
    {"mark", test_mark},       {"options", test_options},
    {"scopes", test_scopes},   {"task", test_task},
    {"unguard", test_unguard}, {NULL, NULL},
};

int art_open_test(lua_State *L) {
  luaL_newlib(L, functions);
  return 1;
}
