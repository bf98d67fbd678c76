/* The runtime: its state, and the loop that runs ready tasks. */
#include "runtime.h"

#include "arms.h"
#include "error.h"
#include "group.h"
#include "replay.h"
#include "report.h"
#include "virtual.h"

#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* --- Clock and chance --- */

static uint64_t real_now(asyncrt *rt) {
  (void) rt;
  return uv_hrtime();
}

static uint64_t virtual_now(asyncrt *rt) {
  return rt->virtual_now;
}

static const art_clock real_clock = {real_now};
static const art_clock virtual_clock = {virtual_now};

uint64_t asyncrt_now(asyncrt *rt) {
  return rt->clock->now(rt);
}

/* splitmix64: spreads a seed over the state of the generator. */
static uint64_t spread(uint64_t *seed) {
  uint64_t z = (*seed += 0x9e3779b97f4a7c15u);

  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

static uint64_t rotate(uint64_t x, int bits) {
  return (x << bits) | (x >> (64 - bits));
}

/* xoshiro256**, by Blackman and Vigna. */
static uint64_t next_random(uint64_t *s) {
  uint64_t result = rotate(s[1] * 5, 7) * 9, t = s[1] << 17;

  s[2] ^= s[0];
  s[3] ^= s[1];
  s[1] ^= s[2];
  s[0] ^= s[3];
  s[2] ^= t;
  s[3] = rotate(s[3], 45);
  return result;
}

uint32_t art_random(asyncrt *rt, uint32_t bound) {
  if (bound <= 1) return 0;
  return (uint32_t) (((next_random(rt->random) >> 32) * bound) >> 32);
}

static void seed_random(asyncrt *rt, uint64_t seed) {
  int i;

  if (seed == 0 && !rt->options.virtual_time &&
      uv_random(NULL, NULL, &seed, sizeof(seed), 0, NULL) != 0)
    seed = uv_hrtime() ^ (uint64_t) getpid();
  for (i = 0; i < 4; i++) rt->random[i] = spread(&seed);
}

/* --- Anchors: what keeps running tasks and open groups from collection ---
 *
 * They stand in tables of a few hundred places. Lua visits a table that was
 * written to again, as a whole, while everything stands still: one table for a
 * million tasks would be a pause of its own. */

/* Doubles the room in the arrays. */
static bool grow_anchors(asyncrt *rt) {
  uint32_t tables = rt->anchor_room > 0 ? 2 * rt->anchor_room : 1;
  int *refs = realloc(rt->anchor_tables, tables * sizeof(*refs));
  uint32_t *next;

  if (refs == NULL) return false;
  rt->anchor_tables = refs;
  next = realloc(rt->anchor_next,
                 (size_t) tables * ART_ANCHORS_EACH * sizeof(*next));
  if (next == NULL) return false;
  rt->anchor_next = next;
  rt->anchor_room = tables;
  return true;
}

/* A place that was never used. A finalizer that runs while a table is made may
 * anchor something of its own. */
static uint32_t new_place(lua_State *L, asyncrt *rt) {
  int table;

  while (rt->anchor_count == rt->anchor_made * ART_ANCHORS_EACH) {
    lua_createtable(L, ART_ANCHORS_EACH, 0);
    table = luaL_ref(L, LUA_REGISTRYINDEX);
    if (rt->anchor_count >= ART_MOST_ANCHORS ||
        (rt->anchor_made == rt->anchor_room && !grow_anchors(rt))) {
      luaL_unref(L, LUA_REGISTRYINDEX, table);
      art_raise(L, "not enough memory");
    }
    rt->anchor_tables[rt->anchor_made++] = table;
  }
  return ++rt->anchor_count;
}

static void push_anchors(lua_State *L, const asyncrt *rt, uint32_t place) {
  lua_rawgeti(L, LUA_REGISTRYINDEX,
              rt->anchor_tables[(place - 1) / ART_ANCHORS_EACH]);
}

static lua_Integer index_of(uint32_t place) {
  return (lua_Integer) ((place - 1) % ART_ANCHORS_EACH) + 1;
}

uint32_t art_anchor(lua_State *L, asyncrt *rt) {
  uint32_t place = rt->anchor_free;

  if (place != 0)
    rt->anchor_free = rt->anchor_next[place - 1];
  else
    place = new_place(L, rt);
  art_anchor_set(L, rt, place);
  return place;
}

void art_anchor_push(lua_State *L, const asyncrt *rt, uint32_t place) {
  push_anchors(L, rt, place);
  lua_rawgeti(L, -1, index_of(place));
  lua_replace(L, -2);
}

void art_anchor_set(lua_State *L, const asyncrt *rt, uint32_t place) {
  push_anchors(L, rt, place);
  lua_insert(L, -2);
  lua_rawseti(L, -2, index_of(place));
  lua_pop(L, 1);
}

void art_unanchor(lua_State *L, asyncrt *rt, uint32_t place) {
  lua_pushboolean(L, 0);
  art_anchor_set(L, rt, place);
  rt->anchor_next[place - 1] = rt->anchor_free;
  rt->anchor_free = place;
}

/* --- Sites --- */

const char *art_intern(asyncrt *rt, const char *text) {
  unsigned hash = 5381;
  const char *c;
  art_site **list, *site;
  size_t size = strlen(text) + 1;

  for (c = text; *c != '\0'; c++) hash = hash * 33 + (unsigned char) *c;
  list = &rt->sites[hash % (sizeof(rt->sites) / sizeof(rt->sites[0]))];
  for (site = *list; site != NULL; site = site->next)
    if (strcmp(site->text, text) == 0) return site->text;
  site = malloc(sizeof(*site) + size);
  if (site == NULL) return "?";
  memcpy(site->text, text, size);
  site->next = *list;
  *list = site;
  return site->text;
}

bool art_is_library(const lua_Debug *where) {
  const char *rest = where->source + strlen("@asyncrt");

  if (strncmp(where->source, "@asyncrt", strlen("@asyncrt")) != 0) return false;
  return *rest == '/' || strcmp(rest, ".lua") == 0;
}

/* A place that spawns again and again is found without formatting its text. */
static const art_known_site *know_site(asyncrt *rt, const lua_Debug *where) {
  uintptr_t key =
      (uintptr_t) where->source / 16 + (uintptr_t) where->currentline;
  art_known_site *known = &rt->known_sites[key % ART_KNOWN_SITES];
  char text[LUA_IDSIZE + 16];

  if (known->line == where->currentline && known->form == *where->source &&
      strncmp(known->text, where->short_src, known->length) == 0 &&
      where->short_src[known->length] == '\0')
    return known;
  snprintf(text, sizeof(text), "%s:%d", where->short_src, where->currentline);
  known->text = art_intern(rt, text);
  known->line = *known->text != '?' ? where->currentline : 0;
  known->length = strlen(where->short_src);
  known->form = *where->source;
  known->library = art_is_library(where);
  return known;
}

/* NULL where nothing else than the library runs; its own line is in *library
 * then. */
static const char *find_site(lua_State *L, int level, const char **library) {
  lua_Debug where;
  const art_known_site *site;

  *library = "?";
  for (; lua_getstack(L, level, &where); level++) {
    lua_getinfo(L, "Sl", &where);
    if (where.currentline <= 0) continue;
    site = know_site(art_runtime_of(L), &where);
    if (!site->library) return site->text;
    if (**library == '?') *library = site->text;
  }
  return NULL;
}

const char *art_site_at(lua_State *L, int level) {
  const char *library, *site = find_site(L, level, &library);

  return site != NULL ? site : library;
}

const char *art_origin(lua_State *L) {
  const char *library, *site = find_site(L, 1, &library);
  const art_task *task = art_task_of(L);

  if (site != NULL) return site;
  return task != NULL && task->id != 0 ? task->site : library;
}

/* Its address: the metatable field of events, the registry key of the list of
 * their metatables. */
static const char event_key;

/* --- Creation --- */

static int cancelled_tostring(lua_State *L) {
  lua_pushliteral(L, "cancelled");
  return 1;
}

/* Reached only by an error outside every protected call: a bug. */
static int panic(lua_State *L) {
  static const char text[] = "asyncrt: unprotected error in the runtime\n";
  ssize_t written = write(STDERR_FILENO, text, sizeof(text) - 1);

  (void) L;
  (void) written;
  _exit(70);
}

/* As that of lua, but on from the start: an error in a finalizer, which only a
 * warning tells, is not to be lost. */
static void warn(void *context, const char *message, int continues) {
  asyncrt *rt = context;
  bool begins = !rt->in_warning;

  rt->in_warning = continues != 0;
  if (begins && !continues && message[0] == '@') {
    if (strcmp(message, "@on") == 0) rt->warnings = true;
    if (strcmp(message, "@off") == 0) rt->warnings = false;
    return;
  }
  if (!rt->warnings) return;
  if (begins) art_log_text("Lua warning: ");
  art_log_text(message);
  if (!continues) art_log_text("\n");
}

/* os.exit([code [, close]])
 *
 * Ends the process at once, stdio flushed. The state is not closed, whatever
 * `close` says: the calling task runs in it. */
static int exit_process(lua_State *L) {
  int code;

  if (lua_isboolean(L, 1))
    code = lua_toboolean(L, 1) ? EXIT_SUCCESS : EXIT_FAILURE;
  else
    code = (int) luaL_optinteger(L, 1, EXIT_SUCCESS);
  /* A thread of libuv's pool is at work, and exit() waits for it: for a name
   * server that does not answer, that may be a minute. */
  if (art_runtime_of(L)->loop->active_reqs.count > 0) {
    fflush(NULL);
    _exit(code);
  }
  exit(code);
}

static void open_registry(lua_State *L, asyncrt *rt) {
  lua_newtable(L);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &event_key);
  lua_newuserdatauv(L, 0, 0);
  lua_createtable(L, 0, 2);
  lua_pushcfunction(L, cancelled_tostring);
  lua_setfield(L, -2, "__tostring");
  lua_pushliteral(L, "asyncrt.cancelled");
  lua_setfield(L, -2, "__name");
  lua_setmetatable(L, -2);
  rt->cancelled = luaL_ref(L, LUA_REGISTRYINDEX);
  lua_newtable(L);
  lua_createtable(L, 0, 1);
  lua_pushliteral(L, "k");
  lua_setfield(L, -2, "__mode");
  lua_setmetatable(L, -2);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &rt->suppressed);
}

/* Metatables that the runtime itself needs; bindings add the methods.
 * `reference` is NULL for one that is seldom looked up. */
static const void *open_metatable(lua_State *L, const void *key, int *reference,
                                  const char *name) {
  const void *pointer;

  lua_newtable(L);
  lua_pushstring(L, name);
  lua_setfield(L, -2, "__name");
  pointer = lua_topointer(L, -1);
  if (reference != NULL) {
    lua_pushvalue(L, -1);
    *reference = luaL_ref(L, LUA_REGISTRYINDEX);
  }
  lua_rawsetp(L, LUA_REGISTRYINDEX, key);
  return pointer;
}

static int open_state(lua_State *L) {
  asyncrt *rt = lua_touserdata(L, 1);

  luaL_openlibs(L);
  open_registry(L, rt);
  rt->task_metatable = open_metatable(L, &rt->task_metatable,
                                      &rt->task_reference, "asyncrt.task");
  rt->group_metatable = open_metatable(L, &rt->group_metatable,
                                       &rt->group_reference, "asyncrt.group");
  rt->event_metatable = open_metatable(
      L, &rt->event_metatable, &rt->event_reference, "asyncrt.event_object");
  rt->arms_metatable =
      open_metatable(L, &rt->arms_metatable, NULL, "asyncrt.arms");
  art_open_coroutine(L);
  lua_getglobal(L, LUA_OSLIBNAME);
  lua_pushcfunction(L, exit_process);
  lua_setfield(L, -2, "exit");
  if (rt->options.virtual_time) art_open_virtual(L);
  if (rt->options.virtual_time || rt->options.seed != 0)
    art_seed_math(L, rt->options.seed);
  return 0;
}

asyncrt *asyncrt_new(uv_loop_t *loop, const asyncrt_options *options) {
  asyncrt *rt = calloc(1, sizeof(*rt));

  if (rt == NULL) return NULL;
  if (options != NULL) rt->options = *options;
  rt->loop = loop;
  rt->clock = rt->options.virtual_time ? &virtual_clock : &real_clock;
  rt->requested_status = -1;
  art_list_init(&rt->arms);
#ifndef ART_POLLER_UV
  rt->poll_fd = -1;
#endif
  rt->base_frame.u.rt = rt;
  seed_random(rt, rt->options.seed);
  rt->buffer = malloc(ART_BUFFER);
  if (rt->options.virtual_time) art_allocator_keep_order(&rt->allocator);
  rt->L = lua_newstate(art_allocate, &rt->allocator);
  if (rt->buffer == NULL || rt->L == NULL || art_poll_init(rt) != 0) goto fail;
  art_frame_set(rt->L, &rt->base_frame);
  lua_atpanic(rt->L, panic);
  rt->warnings = true;
  lua_setwarnf(rt->L, warn, rt);
  lua_pushcfunction(rt->L, open_state);
  lua_pushlightuserdata(rt->L, rt);
  if (lua_pcall(rt->L, 1, 0, 0) != LUA_OK) goto fail;
  return rt;
fail:
  asyncrt_free(rt);
  return NULL;
}

/* How long a tick may wait for events, or UINT64_MAX. */
static uint64_t patience(asyncrt *rt) {
  uint64_t next = art_timers_next(&rt->timers), now;

  if (rt->ready_first != NULL) return 0;
  if (rt->options.virtual_time) {
    if (rt->external > rt->unprompted) return UINT64_MAX;
    if (next == UINT64_MAX) return rt->external > 0 ? UINT64_MAX : 0;
    rt->virtual_now = next;
    return 0;
  }
  if (next == UINT64_MAX) return UINT64_MAX;
  now = asyncrt_now(rt);
  return next > now ? next - now : 0;
}

/* Closes what is still open, in the order of opening, and waits for it. */
static void close_handles(asyncrt *rt) {
  asyncrt_handle *handle = rt->first_handle;

  /* Closing one may close others: the next one is kept where that is seen. */
  while (handle != NULL) {
    rt->next_to_close = handle->next;
    handle->close(handle);
    handle = rt->next_to_close;
  }
  while (rt->handle_count > 0) {
    rt->tick_now = asyncrt_now(rt);
    art_timers_fire(rt);
    art_poll_loop(rt);
    if (rt->handle_count > 0) art_poll_wait(rt, patience(rt));
  }
}

void asyncrt_free(asyncrt *rt) {
  size_t i;

  close_handles(rt); /* of a host; a run has closed its own */
  rt->closed = true; /* finalizers run below, and no loop any more */
  if (rt->L != NULL) lua_close(rt->L);
  art_allocator_free(&rt->allocator);
  art_poll_close(rt);
  art_timers_free(&rt->timers);
  while (rt->free_frames != NULL) {
    art_frame *frame = rt->free_frames;

    rt->free_frames = frame->u.next;
    free(frame);
  }
  while (rt->free_scopes != NULL) {
    art_timed_scope *timed = rt->free_scopes;

    rt->free_scopes = timed->next;
    free(timed);
  }
  art_boxes_free(rt);
  art_arms_free(rt);
  for (i = 0; i < ART_OPS_CLASSES; i++) {
    while (rt->free_ops[i] != NULL) {
      void *ops = rt->free_ops[i];

      rt->free_ops[i] = *(void **) ops;
      free(ops);
    }
  }
  for (i = 0; i < sizeof(rt->sites) / sizeof(rt->sites[0]); i++) {
    while (rt->sites[i] != NULL) {
      art_site *site = rt->sites[i];

      rt->sites[i] = site->next;
      free(site);
    }
  }
  art_notes_free(&rt->notes);
  free(rt->drawn);
  free(rt->anchor_tables);
  free(rt->anchor_next);
  art_handles_forget(rt);
  free(rt->buffer);
  free(rt);
}

lua_State *asyncrt_state(asyncrt *rt) {
  return rt->L;
}

uv_loop_t *asyncrt_loop(asyncrt *rt) {
  return rt->loop;
}

asyncrt *asyncrt_of(lua_State *L) {
  return art_runtime_of(L);
}

void asyncrt_on_signal_released(asyncrt *rt,
                                void (*restore)(int signal_number)) {
  rt->restore_signal = restore;
}

void asyncrt_hold(asyncrt *rt) {
  rt->external++;
}

void asyncrt_release(asyncrt *rt) {
  rt->external--;
}

void asyncrt_preload(asyncrt *rt, const char *name, lua_CFunction open) {
  lua_State *L = rt->L;

  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
  lua_pushcfunction(L, open);
  lua_setfield(L, -2, name);
  lua_pop(L, 1);
}

/* --- Events --- */

typedef struct event_object {
  asyncrt_prepare_fn prepare; /* NULL: a composite */
  union {
    LUAI_MAXALIGN; /* what Lua aligns a userdata for */
  } data[];
} event_object;

/* Copies the methods of event objects, where they are known, to the methods of
 * the class whose metatable is on the top. */
static void inherit_methods(lua_State *L) {
  int class = lua_gettop(L);

  lua_rawgetp(L, LUA_REGISTRYINDEX, &art_runtime_of(L)->event_metatable);
  if (lua_getfield(L, -1, "__index") == LUA_TTABLE &&
      lua_getfield(L, class, "__index") == LUA_TTABLE) {
    lua_pushnil(L);
    while (lua_next(L, class + 2) != 0) {
      lua_pushvalue(L, -2);
      lua_insert(L, -2);
      lua_rawset(L, class + 3);
    }
  }
  lua_settop(L, class);
}

void asyncrt_set_event(lua_State *L, asyncrt_prepare_fn prepare) {
  lua_pushlightuserdata(L, (void *) prepare);
  lua_rawsetp(L, -2, &event_key);
  /* A list of these metatables, for methods that are defined later. */
  lua_rawgetp(L, LUA_REGISTRYINDEX, &event_key);
  lua_pushvalue(L, -2);
  lua_rawseti(L, -2, (lua_Integer) lua_rawlen(L, -2) + 1);
  lua_pop(L, 1);
  inherit_methods(L);
}

void art_set_event_methods(lua_State *L) {
  lua_Integer i, count;

  lua_rawgetp(L, LUA_REGISTRYINDEX, &art_runtime_of(L)->event_metatable);
  lua_insert(L, -2);
  lua_setfield(L, -2, "__index");
  lua_rawgetp(L, LUA_REGISTRYINDEX, &event_key);
  count = (lua_Integer) lua_rawlen(L, -1);
  for (i = 1; i <= count; i++) {
    lua_rawgeti(L, -1, i);
    inherit_methods(L);
    lua_pop(L, 1);
  }
  lua_pop(L, 2);
}

void *asyncrt_new_event(lua_State *L, asyncrt_prepare_fn prepare, size_t size,
                        int values) {
  event_object *event = lua_newuserdatauv(L, sizeof(*event) + size, values);

  event->prepare = prepare;
  memset(event->data, 0, size);
  lua_rawgeti(L, LUA_REGISTRYINDEX, art_runtime_of(L)->event_reference);
  lua_setmetatable(L, -2);
  return event->data;
}

void *asyncrt_event_data(lua_State *L, int index) {
  return ((event_object *) lua_touserdata(L, index))->data;
}

/* What the class of events whose metatable is on the top prepares with, or
 * NULL. */
static asyncrt_prepare_fn prepare_of_class(lua_State *L,
                                           const void *metatable) {
  asyncrt *rt = art_runtime_of(L);
  art_event_class *known =
      &rt->known_classes[(uintptr_t) metatable / 16 % ART_KNOWN_CLASSES];
  asyncrt_prepare_fn prepare;

  if (known->metatable == metatable) return known->prepare;
  lua_rawgetp(L, -1, &event_key);
  prepare = (asyncrt_prepare_fn) lua_touserdata(L, -1);
  lua_pop(L, 1);
  if (prepare != NULL) { /* then asyncrt_set_event has anchored it */
    known->metatable = metatable;
    known->prepare = prepare;
  }
  return prepare;
}

art_event_kind art_event_of(lua_State *L, int index,
                            asyncrt_prepare_fn *prepare) {
  const event_object *object = lua_touserdata(L, index);
  const void *metatable;

  if (object == NULL || !lua_getmetatable(L, index)) return ART_EVENT_NONE;
  metatable = lua_topointer(L, -1);
  if (metatable == art_runtime_of(L)->event_metatable) {
    *prepare = object->prepare;
    lua_pop(L, 1);
    return *prepare != NULL ? ART_EVENT_BASE : ART_EVENT_COMPOSITE;
  }
  *prepare = prepare_of_class(L, metatable);
  lua_pop(L, 1);
  return *prepare != NULL ? ART_EVENT_BASE : ART_EVENT_NONE;
}

void asyncrt_cancel(asyncrt *rt, const char *reason, int status) {
  const art_group *tasks = rt->main != NULL ? rt->main->implicit : NULL;

  if (!rt->interrupted) rt->returned = tasks != NULL && tasks->ending;
  rt->interrupted = true;
  rt->interrupt_status = status;
  if (rt->main != NULL) art_scope_cancel(&rt->main->base, reason);
}

/* --- The loop --- */

static art_task *next_ready(asyncrt *rt) {
  art_task *task = rt->ready_first;

  if (rt->options.random_order) return art_ready_draw(rt);
  rt->ready_first = task->ready_next;
  if (rt->ready_first == NULL) rt->ready_last = NULL;
  return task;
}

static void run_ready(lua_State *L, asyncrt *rt) {
  uint64_t start = rt->tick_now;
  int steps = 0;

  while (rt->ready_first != NULL && steps < ART_TICK_STEPS) {
    art_task_step(L, next_ready(rt));
    if (++steps % 16 == 0 && asyncrt_now(rt) - start > ART_TICK_NS) break;
  }
}

/* tell_deadlock(headline) */
static int tell_deadlock(lua_State *L) {
  art_report_tasks(L, art_runtime_of(L), lua_touserdata(L, 1));
  return 0;
}

/* Without memory the tasks are cancelled all the same. */
static void report_deadlock(lua_State *L, const char *headline) {
  lua_pushlightuserdata(L, (void *) (uintptr_t) headline);
  if (!art_try(L, tell_deadlock, 1))
    art_log("the tasks cannot be told: not enough memory");
}

/* Every task waits for another one. Cancels main, so that closers run; then
 * what a shield keeps alive; then gives up. */
static void break_deadlock(lua_State *L, asyncrt *rt) {
  art_task *task;
  uint32_t place;

  switch (rt->deadlocks++) {
    case 0:
      report_deadlock(L, "deadlock: all tasks are blocked");
      if (rt->guarded != NULL) {
        art_scope_cancel(&rt->guarded->base, "deadlock");
        break;
      }
      rt->exit_status = ASYNCRT_EXIT_DEADLOCK;
      /* Where main was ended for want of memory, its tasks are left. */
      if (rt->main != NULL) art_scope_cancel(&rt->main->base, "deadlock");
      break;
    case 1:
      report_deadlock(L, "deadlock again: cancelling shielded tasks");
      for (place = 1; place <= rt->anchor_count; place++) {
        task = art_task_at(L, rt, place);
        if (task != NULL) art_scope_cancel(task->scope, "deadlock");
      }
      break;
    default:
      art_log("deadlock: cannot be broken by cancelling");
      fflush(NULL);
      _exit(ASYNCRT_EXIT_DEADLOCK);
  }
}

/* True where a busy tick may leave out its poll: no descriptor is watched, so
 * that there is nothing to poll for but signals and wake-ups from other
 * threads, and these were looked for a moment ago. A poll is a call into the
 * kernel, which costs as much as many steps. */
static bool may_skip_poll(const asyncrt *rt) {
  return rt->ready_first != NULL && rt->watched == 0 && !rt->loop_changed &&
         !rt->options.virtual_time &&
         rt->tick_now - rt->polled_at < ART_IDLE_POLL_NS &&
         !uv_loop_alive(rt->loop);
}

static void tick(lua_State *L, asyncrt *rt) {
  rt->ticks++;
  if (rt->watch.requests != 0) art_watch_answer(L, rt);
  run_ready(L, rt);
  rt->tick_now = asyncrt_now(rt);
  art_timers_fire(rt);
  if (rt->tasks == 0) return;
  if (rt->ready_first == NULL && rt->external == 0 &&
      art_timers_next(&rt->timers) == UINT64_MAX) {
    art_poll_loop(rt);
    art_poll_wait(rt, 0); /* a signal may be on its way */
    if (rt->ready_first == NULL && rt->external == 0) break_deadlock(L, rt);
    return;
  }
  if (may_skip_poll(rt)) return;
  if (rt->notes.wanted != 0) art_notes_tell(L, rt, ART_NOTE_BEFORE_POLL, NULL);
  art_poll_loop(rt);
  art_poll_wait(rt, patience(rt));
  if (rt->notes.wanted != 0) art_notes_tell(L, rt, ART_NOTE_AFTER_POLL, NULL);
  rt->tick_now = rt->polled_at = asyncrt_now(rt);
  art_timers_fire(rt);
}

static int run_loop(lua_State *L) {
  asyncrt *rt = lua_touserdata(L, 1);

  while (rt->tasks > 0) tick(L, rt);
  return 0;
}

/* Runs the loop. An error in it, which only the lack of memory makes, ends the
 * task that was being run and no other. */
static void run_tasks(asyncrt *rt) {
  lua_State *L = rt->L;
  int top = lua_gettop(L);

  for (;;) {
    lua_pushcfunction(L, run_loop);
    lua_pushlightuserdata(L, rt);
    if (lua_pcall(L, 1, 0, 0) == LUA_OK) break;
    if (rt->current != NULL) {
      art_task *task = rt->current;

      rt->current = NULL;
      rt->parking = false;
      art_watch_leave(&rt->watch);
      art_task_abort(L, task);
    }
    lua_settop(L, top);
  }
}

void art_main_ended(lua_State *L, asyncrt *rt, art_task *main) {
  rt->main = NULL;
  if (!main->failed) return;
  if (main->cancelled) {
    const char *reason = art_scope_reason(&main->base);

    if (rt->deadlocks > 0 || rt->requested_status >= 0) return;
    if (rt->interrupted) {
      rt->cut_off = true;
      return;
    }
    art_log("main was cancelled: %s", reason != NULL ? reason : "?");
  } else {
    art_trace_print(L, main->trace, -1);
  }
  if (rt->exit_status == ASYNCRT_EXIT_OK) rt->exit_status = ASYNCRT_EXIT_ERROR;
}

/* start_main(function, arguments…) */
static int start_main(lua_State *L) {
  asyncrt *rt = art_runtime_of(L);

  rt->main = art_task_new(L, NULL, 1, 0, false);
  return 0;
}

int asyncrt_run(asyncrt *rt, int nargs) {
  lua_State *L = rt->L;

  rt->exit_status = ASYNCRT_EXIT_OK;
  rt->deadlocks = 0;
  rt->interrupted = rt->returned = rt->cut_off = false;
  rt->requested_status = -1;
  rt->next_id = 0;
  rt->tick_now = asyncrt_now(rt);
  if (!art_try(L, start_main, nargs + 1)) {
    art_log("cannot start: not enough memory");
    return ASYNCRT_EXIT_ERROR;
  }
  art_watch_start(rt);
  run_tasks(rt);
  close_handles(rt);
  art_poll_loop(rt);
  art_poll_wait(rt, 0);
  art_watch_stop(rt);
  if (rt->requested_status >= 0) return rt->requested_status;
  if (rt->cut_off && rt->exit_status == ASYNCRT_EXIT_OK)
    return rt->interrupt_status;
  return rt->exit_status;
}

int asyncrt_run_file(asyncrt *rt, const char *path, int argc, char **argv) {
  lua_State *L = rt->L;
  int i;

  if (luaL_loadfilex(L, path, "t") != LUA_OK) {
    art_log("%s", lua_tostring(L, -1));
    lua_pop(L, 1);
    return ASYNCRT_EXIT_ERROR;
  }
  luaL_checkstack(L, argc, "too many arguments");
  for (i = 0; i < argc; i++) lua_pushstring(L, argv[i]);
  return asyncrt_run(rt, argc);
}
