/* asyncrt.core.semaphore: permits, handed over first in, first out. */
#include "bindings.h"
#include "error.h"
#include "op.h"
#include "runtime.h"

#include <stdio.h>
#include <string.h>

#define NOBODY (-1)

/* A mutex is a semaphore with an owner, a limit one with a ceiling. */
typedef enum art_semaphore_kind { SEMAPHORE, MUTEX, LIMIT } art_semaphore_kind;

static const char *const kind_names[] = {"semaphore", "mutex", "limit"};

/* Where a task waits, nothing is available: a released permit is handed over
 * and nobody can take it in between. */
typedef struct art_semaphore {
  const char *name; /* borrowed, from the user value; or NULL */
  asyncrt_queue waiters;
  lua_Integer available;
  lua_Integer limit; /* of a limit: what it was made with */
  int64_t owner;     /* the id of the task that holds a mutex, or NOBODY */
  uint32_t hold;     /* counts the acquisitions: tells one from a later one */
  uint8_t kind;      /* art_semaphore_kind */
} art_semaphore;

/* Its user value is the semaphore. */
typedef struct art_permit {
  uint32_t hold;
  bool held;
} art_permit;

static const char permit_key; /* its address: the metatable of permits in that
                                 of semaphores */

/* --- Taking and giving back --- */

static void take(art_semaphore *s, asyncrt_op *op, const art_task *task) {
  s->owner = task->id;
  op->status = ++s->hold;
}

static void give_back(art_semaphore *s) {
  asyncrt_op *op = s->waiters.first;

  s->owner = NOBODY;
  if (op == NULL) {
    s->available++;
    return;
  }
  take(s, op, art_task_of(asyncrt_op_thread(op)));
  asyncrt_op_complete(op);
}

/* True where the acquisition number `hold` can still be given back: a mutex
 * may have been released by a call already. */
static bool is_held(const art_semaphore *s, uint32_t hold) {
  if (s->kind == MUTEX) return s->owner != NOBODY && s->hold == hold;
  return s->kind == SEMAPHORE || s->available < s->limit;
}

static bool is_owner(lua_State *L, const art_semaphore *s) {
  const art_task *task = art_task_of(L);

  return task != NULL && s->owner == task->id;
}

static void check_owner(lua_State *L, const art_semaphore *s) {
  if (s->kind == MUTEX && !is_owner(L, s))
    art_raise(L, s->owner == NOBODY
                     ? "cannot release the mutex: it is not locked"
                     : "cannot release the mutex: another task holds it");
}

/* --- acquire --- */

static int push_permit(asyncrt_op *op, lua_State *L) {
  art_permit *permit;

  if (op->slot == 0) return 0;
  permit = lua_touserdata(L, op->slot);
  permit->hold = op->status;
  permit->held = true;
  lua_pushvalue(L, op->slot);
  return 1;
}

static int acquire_attempt(asyncrt_op *op, lua_State *L) {
  art_semaphore *s = op->object;

  if (s->available == 0) return ASYNCRT_NOT_READY;
  s->available--;
  take(s, op, art_task_of(L));
  return ASYNCRT_DONE(push_permit(op, L));
}

static void acquire_arm(asyncrt_op *op) {
  art_semaphore *s = op->object;

  asyncrt_queue_push(&s->waiters, op);
}

static void acquire_disarm(asyncrt_op *op) {
  art_semaphore *s = op->object;

  asyncrt_queue_remove(&s->waiters, op);
}

static int acquire_finish(asyncrt_op *op, lua_State *L) {
  return push_permit(op, L);
}

static void acquire_describe(const asyncrt_op *op, char *text, size_t size) {
  const art_semaphore *s = op->object;
  char what[24];
  size_t used;

  snprintf(what, sizeof(what), "acquire %s", kind_names[s->kind]);
  art_describe_named(text, size, what, s->name, s);
  used = strlen(text);
  if (s->kind == MUTEX)
    snprintf(text + used, size - used, " held by t%d", (int) s->owner);
}

static const asyncrt_op_type acquire_op = {
    "acquire",      acquire_attempt,  acquire_arm, acquire_disarm,
    acquire_finish, acquire_describe, 0,
};

/* --- Methods --- */

static art_semaphore *check_semaphore(lua_State *L) {
  const char *type;

  if (lua_type(L, 1) == LUA_TUSERDATA && lua_getmetatable(L, 1)) {
    bool equal = lua_rawequal(L, -1, lua_upvalueindex(1));

    lua_pop(L, 1);
    if (equal) return lua_touserdata(L, 1);
  }
  lua_getfield(L, lua_upvalueindex(1), "__name");
  type = lua_tostring(L, -1);
  lua_pop(L, 1); /* it stays in the metatable; no argument must stay none */
  luaL_typeerror(L, 1, type);
  return NULL;
}

/* Pushes a permit of the semaphore at `index`, which holds nothing yet: made
 * before the wait, since what was acquired must not be lost for want of
 * memory. */
static void new_permit(lua_State *L, int index) {
  art_permit *permit = lua_newuserdatauv(L, sizeof(*permit), 1);

  permit->held = false;
  lua_pushvalue(L, index);
  lua_setiuservalue(L, -2, 1);
  lua_getmetatable(L, index);
  lua_rawgetp(L, -1, &permit_key);
  lua_setmetatable(L, -3);
  lua_pop(L, 1);
}

/* A task that waits for itself would wait for ever. */
static void check_not_owner(lua_State *L, const art_semaphore *s) {
  if (s->kind == MUTEX && is_owner(L, s))
    art_raise(L, "this task already holds the mutex");
}

/* semaphore:acquire() -> permit
 *
 * Waits for a permit, in the order of the calls. Close the permit to give it
 * back: `local permit <close> = semaphore:acquire()`. On a mutex it raises
 * where the calling task holds it. A cancellation point; whoever is cancelled
 * takes none. */
static int semaphore_acquire(lua_State *L) {
  art_semaphore *s = check_semaphore(L);
  asyncrt_op *op;

  lua_settop(L, 1);
  check_not_owner(L, s);
  new_permit(L, 1);
  op = asyncrt_prepare(L, &acquire_op, s);
  op->slot = 2;
  return asyncrt_perform(L, op);
}

static void prepare_acquire(lua_State *L, int index, asyncrt_op *op) {
  op->type = &acquire_op;
  op->object = lua_touserdata(L, index);
  new_permit(L, index);
  op->slot = lua_gettop(L);
}

static void prepare_acquire_evt(lua_State *L, int index, asyncrt_op *op) {
  lua_getiuservalue(L, index, 1);
  prepare_acquire(L, lua_gettop(L), op);
}

/* semaphore:acquire_evt() -> event: what acquire does */
static int semaphore_acquire_evt(lua_State *L) {
  check_semaphore(L);
  asyncrt_new_event(L, prepare_acquire_evt, 0, 1);
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, -2, 1);
  return 1;
}

/* semaphore:release()
 *
 * Gives a permit to the task that has waited longest, or back. Never waits. A
 * semaphore needs no permit for it and may end up with more than it began
 * with; a limit raises then, a mutex where another task holds it. */
static int semaphore_release(lua_State *L) {
  art_semaphore *s = check_semaphore(L);

  check_owner(L, s);
  if (s->kind == LIMIT && s->available == s->limit)
    art_raise(L, "cannot release the limit: nothing of it is taken");
  give_back(s);
  return 0;
}

static int with_done(lua_State *L, int status, lua_KContext hold) {
  art_semaphore *s = lua_touserdata(L, 1);

  if (is_held(s, (uint32_t) hold)) give_back(s);
  if (status != LUA_OK && status != LUA_YIELD) art_raise_again(L);
  return lua_gettop(L) - 2;
}

/* Stack: semaphore, function, arguments. */
static int acquired(lua_State *L, int results) {
  art_semaphore *s = lua_touserdata(L, 1);
  lua_KContext hold = s->hold;

  (void) results;
  lua_pushcfunction(L, art_keep_traceback);
  lua_insert(L, 2);
  return with_done(
      L, lua_pcallk(L, lua_gettop(L) - 3, LUA_MULTRET, 2, hold, with_done),
      hold);
}

/* semaphore:with(f, ...) -> results...
 *
 * Acquires, calls f(...) and gives back, however f ends. Needs no memory. */
static int semaphore_with(lua_State *L) {
  art_semaphore *s = check_semaphore(L);
  asyncrt_op *op;

  art_check_callable(L, 2);
  check_not_owner(L, s);
  op = asyncrt_prepare(L, &acquire_op, s);
  op->slot = 0;
  return art_perform_then(L, op, acquired);
}

/* semaphore:available() -> integer: the permits that nobody holds */
static int semaphore_available(lua_State *L) {
  lua_pushinteger(L, check_semaphore(L)->available);
  return 1;
}

/* mutex:is_locked() -> boolean */
static int mutex_is_locked(lua_State *L) {
  lua_pushboolean(L, check_semaphore(L)->available == 0);
  return 1;
}

static int semaphore_tostring(lua_State *L) {
  art_semaphore *s = check_semaphore(L);

  art_push_named(L, kind_names[s->kind], s->name, s);
  if (s->kind == MUTEX)
    lua_pushstring(L, s->available == 0 ? " (locked)" : " (free)");
  else
    lua_pushfstring(L, " (%I available)", (LUAI_UACINT) s->available);
  lua_concat(L, 2);
  return 1;
}

/* --- Permits --- */

static art_permit *check_permit(lua_State *L) {
  return art_check_self(L, 1, "asyncrt.permit");
}

/* permit:release(), permit:close()
 *
 * Gives the permit back; nothing happens the second time, nor where the mutex
 * was released since. Never waits. That of a mutex raises in another task. */
static int permit_release(lua_State *L) {
  art_permit *permit = check_permit(L);
  art_semaphore *s;

  if (!permit->held) return 0;
  lua_getiuservalue(L, 1, 1);
  s = lua_touserdata(L, -1);
  if (is_held(s, permit->hold)) {
    check_owner(L, s);
    give_back(s);
  }
  permit->held = false;
  return 0;
}

static int permit_tostring(lua_State *L) {
  const art_permit *permit = check_permit(L);

  lua_pushfstring(L, "permit %p (%s)", (const void *) permit,
                  permit->held ? "held" : "released");
  return 1;
}

/* --- Making --- */

/* Its name is at `arg`, if it has one. */
static int new_semaphore(lua_State *L, art_semaphore_kind kind,
                         lua_Integer available, int arg) {
  const char *name = art_check_name(L, arg);
  art_semaphore *s = lua_newuserdatauv(L, sizeof(*s), name != NULL ? 1 : 0);

  memset(s, 0, sizeof(*s));
  s->name = art_keep_name(L, name, arg, 1);
  s->kind = (uint8_t) kind;
  s->available = s->limit = available;
  s->owner = NOBODY;
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_setmetatable(L, -2);
  return 1;
}

/* semaphore(n [, name]) -> semaphore
 *
 * `n` permits, 0 or more, that tasks acquire and release. It is itself an
 * event: to acquire one. */
static int semaphore_semaphore(lua_State *L) {
  return new_semaphore(L, SEMAPHORE, art_check_integer(L, 1, 0, INT32_MAX), 2);
}

/* mutex([name]) -> mutex
 *
 * One permit, released only by the task that acquired it. Needed only around
 * code that waits: between two waits no other task runs. */
static int semaphore_mutex(lua_State *L) {
  return new_semaphore(L, MUTEX, 1, 1);
}

/* limit(n [, name]) -> limit
 *
 * `n` permits, 1 or more, of which never more than `n` are there: how many
 * tasks may do something at once. Source: Trio's capacity limiter. */
static int semaphore_limit(lua_State *L) {
  return new_semaphore(L, LIMIT, art_check_integer(L, 1, 1, INT32_MAX), 2);
}

static const luaL_Reg permit_methods[] = {
    {"close", permit_release},
    {"release", permit_release},
    {NULL, NULL},
};

static const luaL_Reg permit_metamethods[] = {
    {"__close", permit_release},
    {"__tostring", permit_tostring},
    {NULL, NULL},
};

static const luaL_Reg semaphore_methods[] = {
    {"acquire", semaphore_acquire},         {"release", semaphore_release},
    {"acquire_evt", semaphore_acquire_evt}, {"with", semaphore_with},
    {"available", semaphore_available},     {NULL, NULL},
};

static const luaL_Reg mutex_methods[] = {
    {"acquire", semaphore_acquire},         {"release", semaphore_release},
    {"acquire_evt", semaphore_acquire_evt}, {"with", semaphore_with},
    {"is_locked", mutex_is_locked},         {NULL, NULL},
};

static const luaL_Reg metamethods[] = {
    {"__tostring", semaphore_tostring},
    {NULL, NULL},
};

/* Sets the constructor of a class in the module on the top of the stack, above
 * the metatable of permits. */
static void add_class(lua_State *L, const char *type, const luaL_Reg *methods,
                      const char *name, lua_CFunction constructor) {
  lua_newtable(L);
  lua_pushstring(L, type);
  lua_setfield(L, -2, "__name");
  art_set_methods(L, methods);
  lua_pushvalue(L, -1);
  luaL_setfuncs(L, metamethods, 1);
  asyncrt_set_event(L, prepare_acquire);
  lua_pushvalue(L, -3);
  lua_rawsetp(L, -2, &permit_key);
  lua_pushcclosure(L, constructor, 1);
  lua_setfield(L, -2, name);
}

int art_open_semaphore(lua_State *L) {
  lua_newtable(L);
  lua_pushliteral(L, "asyncrt.permit");
  lua_setfield(L, -2, "__name");
  art_set_methods(L, permit_methods);
  lua_pushvalue(L, -1);
  luaL_setfuncs(L, permit_metamethods, 1);
  lua_createtable(L, 0, 3);
  add_class(L, "asyncrt.semaphore", semaphore_methods, "semaphore",
            semaphore_semaphore);
  add_class(L, "asyncrt.mutex", mutex_methods, "mutex", semaphore_mutex);
  add_class(L, "asyncrt.limit", semaphore_methods, "limit", semaphore_limit);
  return 1;
}
