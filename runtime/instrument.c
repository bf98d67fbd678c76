/* Instruments: Lua functions that are told what the scheduler does. */
#include "instrument.h"

#include "error.h"
#include "report.h"
#include "runtime.h"

#include <stdlib.h>
#include <string.h>

#define MOST_HELD 4 /* tasks that end between two tellings: one a step */

static const char *const names[ART_NOTE_KINDS] = {
    "task_spawned", "before_step", "after_step",  "blocked",    "woken",
    "cancelled",    "exited",      "before_poll", "after_poll",
};

/* --- Notes --- */

void art_notes_add(asyncrt *rt, art_note_kind kind, art_task *task) {
  art_notes *notes = &rt->notes;

  if (!(notes->wanted >> kind & 1)) return;
  if (notes->count == notes->capacity) {
    uint32_t capacity = notes->capacity > 0 ? 2 * notes->capacity : 64;
    art_note *items = realloc(notes->items, capacity * sizeof(*items));

    if (items == NULL) return; /* what is noted matters less than the run */
    notes->items = items;
    notes->capacity = capacity;
  }
  notes->items[notes->count++] = (art_note){task, (uint8_t) kind};
}

void art_notes_exited(lua_State *L, asyncrt *rt, int index) {
  art_notes *notes = &rt->notes;

  if (notes->held == MOST_HELD) return;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &notes->held);
  lua_pushvalue(L, index);
  lua_rawseti(L, -2, ++notes->held); /* the table has room: no memory */
  lua_pop(L, 1);
  art_notes_add(rt, ART_NOTE_EXITED, lua_touserdata(L, index));
}

static void remove_all(art_notes *notes) {
  notes->wanted = 0;
  notes->count = 0;
  notes->installed++;
}

/* --- Telling --- */

static void push_ended(lua_State *L, asyncrt *rt, const art_task *task) {
  int place;

  lua_rawgetp(L, LUA_REGISTRYINDEX, &rt->notes.held);
  for (place = 1; place <= rt->notes.held; place++) {
    lua_rawgeti(L, -1, place);
    if (lua_touserdata(L, -1) == task) {
      lua_remove(L, -2);
      return;
    }
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
  lua_pushnil(L);
}

/* True where the task has ended: its memory may be looked at only then. */
static bool is_held(lua_State *L, asyncrt *rt, const art_task *task) {
  bool held;

  push_ended(L, rt, task);
  held = !lua_isnil(L, -1);
  lua_pop(L, 1);
  return held;
}

/* Pushes the arguments of a note's function; returns their number. */
static int push_arguments(lua_State *L, asyncrt *rt, art_note note) {
  char text[512];

  if (note.task == NULL) return 0;
  if (is_held(L, rt, note.task)) {
    push_ended(L, rt, note.task);
    return 1;
  }
  art_task_push(L, note.task);
  switch (note.kind) {
    case ART_NOTE_BLOCKED:
      art_describe_wait(note.task, text, sizeof(text));
      lua_pushstring(L, text);
      return 2;
    case ART_NOTE_CANCELLED:
      lua_pushstring(L, art_scope_reason(note.task->scope));
      return 2;
    default: return 1;
  }
}

/* tell(runtime) */
static int tell(lua_State *L) {
  asyncrt *rt = lua_touserdata(L, 1);
  art_notes *notes = &rt->notes;
  uint32_t count = notes->count, installed = notes->installed, i;

  luaL_checkstack(L, LUA_MINSTACK, NULL);
  for (i = 0; i < count && notes->installed == installed; i++) {
    art_note note = notes->items[i];

    lua_rawgetp(L, LUA_REGISTRYINDEX, notes);
    if (lua_rawgeti(L, -1, note.kind + 1) != LUA_TNIL)
      lua_call(L, push_arguments(L, rt, note), 0);
    lua_settop(L, 1);
  }
  if (notes->installed != installed) return 0;
  /* What the functions themselves brought about is told next time. */
  notes->count -= count;
  memmove(notes->items, notes->items + count,
          notes->count * sizeof(*notes->items));
  return 0;
}

static void release_held(lua_State *L, art_notes *notes) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &notes->held);
  for (; notes->held > 0; notes->held--) {
    lua_pushnil(L);
    lua_rawseti(L, -2, notes->held);
  }
  lua_pop(L, 1);
}

static int add_traceback(lua_State *L) {
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  luaL_traceback(L, L, art_push_error_text(L, 1), 1);
  return 1;
}

void art_notes_tell(lua_State *L, asyncrt *rt, art_note_kind kind,
                    art_task *task) {
  art_notes *notes = &rt->notes;

  art_notes_add(rt, kind, task);
  if (notes->count > 0) {
    lua_pushcfunction(L, add_traceback);
    lua_pushcfunction(L, tell);
    lua_pushlightuserdata(L, rt);
    if (lua_pcall(L, 1, 0, -3) != LUA_OK) {
      remove_all(notes);
      art_log_text("asyncrt: an instrument failed and is removed: ");
      art_log_text(lua_tostring(L, -1));
      art_log_text("\n");
      lua_pop(L, 1);
    }
    lua_pop(L, 1);
  }
  if (notes->held > 0) release_held(L, notes);
}

/* --- Installing --- */

static int kind_of(const char *name) {
  int kind;

  for (kind = 0; kind < ART_NOTE_KINDS; kind++)
    if (strcmp(names[kind], name) == 0) return kind;
  return -1;
}

/* Pushes a sequence of the functions in the table at `index`, in the place of
 * their kinds; returns the set of them. */
static uint16_t push_functions(lua_State *L, int index) {
  unsigned wanted = 0;
  int kind;

  lua_createtable(L, ART_NOTE_KINDS, 0);
  lua_pushnil(L);
  while (lua_next(L, index) != 0) {
    const char *name =
        lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "?";

    kind = kind_of(name);
    if (kind < 0)
      art_raise_argument(L, index,
                         lua_pushfstring(L, "unknown instrument '%s'", name));
    if (lua_type(L, -1) != LUA_TFUNCTION)
      art_raise_argument(
          L, index,
          lua_pushfstring(L, "instrument '%s': function expected, got %s", name,
                          luaL_typename(L, -1)));
    lua_rawseti(L, -3, kind + 1);
    wanted |= 1u << kind;
  }
  return (uint16_t) wanted;
}

void art_notes_install(lua_State *L, asyncrt *rt, int index) {
  art_notes *notes = &rt->notes;
  uint16_t wanted;

  if (lua_isnoneornil(L, index)) {
    remove_all(notes);
    return;
  }
  luaL_checktype(L, index, LUA_TTABLE);
  wanted = push_functions(L, index);
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &notes->held) == LUA_TNIL) {
    lua_createtable(L, MOST_HELD, 0);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &notes->held);
  }
  lua_pop(L, 1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, notes);
  remove_all(notes);
  notes->wanted = wanted;
}

void art_notes_free(art_notes *notes) {
  free(notes->items);
}
