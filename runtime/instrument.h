/* Instruments: Lua functions that are told what the scheduler does.
 *
 * What happens is noted where it happens, which may be a callback of libuv;
 * the functions are called from the scheduler, before and after each step and
 * each poll. Source: Trio's instruments. */
#ifndef ART_INSTRUMENT_H
#define ART_INSTRUMENT_H

#include "asyncrt.h"

struct art_task;

typedef enum art_note_kind {
  ART_NOTE_TASK_SPAWNED,
  ART_NOTE_BEFORE_STEP,
  ART_NOTE_AFTER_STEP,
  ART_NOTE_BLOCKED,
  ART_NOTE_WOKEN,
  ART_NOTE_CANCELLED,
  ART_NOTE_EXITED,
  ART_NOTE_BEFORE_POLL,
  ART_NOTE_AFTER_POLL,
  ART_NOTE_KINDS
} art_note_kind;

typedef struct art_note {
  struct art_task *task; /* borrowed; kept until it is told, or NULL */
  uint8_t kind;          /* art_note_kind */
} art_note;

typedef struct art_notes {
  art_note *items; /* owned; not told yet */
  uint32_t count, capacity;
  uint16_t wanted; /* bit n: kind n has a function; 0: nothing is installed */
  uint16_t held;   /* ended tasks that are kept for their notes */
  uint32_t installed; /* how often that was changed */
} art_notes;

/* All of these only where `rt->notes.wanted` is not 0. */

/* Notes what happened. Calls no Lua. */
void art_notes_add(asyncrt *rt, art_note_kind kind, struct art_task *task);

/* Notes the end of the task whose userdata is at `index`. Raises nothing. */
void art_notes_exited(lua_State *L, asyncrt *rt, int index);

/* Notes one more and calls the functions for all; in the scheduler only. */
void art_notes_tell(lua_State *L, asyncrt *rt, art_note_kind kind,
                    struct art_task *task);

/* Installs the functions of the table at `index`, by their names, in the place
 * of the former ones; nil removes them. Raises for anything else. */
void art_notes_install(lua_State *L, asyncrt *rt, int index);
void art_notes_free(art_notes *notes);

#endif
