/* Cancel scopes: the tree along which cancellation travels. */
#include "scope.h"

#include "error.h"
#include "op.h"
#include "runtime.h"

#include <stdlib.h>

void art_scope_relink(art_scope *scope) {
  art_scope *parent = scope->parent;

  scope->prev = scope->next = scope;
  if (parent == NULL) return;
  if (parent->child == NULL) {
    parent->child = scope;
    return;
  }
  scope->prev = parent->child->prev; /* a ring: appending is O(1) */
  scope->next = parent->child;
  scope->prev->next = scope;
  scope->next->prev = scope;
}

void art_scope_open(art_scope *scope, art_scope *parent, art_scope_kind kind,
                    art_task *task) {
  scope->parent = parent;
  scope->child = NULL;
  scope->task = task;
  scope->reason = NULL;
  scope->kind = (uint8_t) kind;
  scope->cancelled = false;
  scope->effective =
      parent != NULL && parent->effective && kind != ART_SCOPE_SHIELD;
  art_scope_relink(scope);
}

void art_scope_close(art_scope *scope) {
  art_scope *parent = scope->parent;

  if (parent != NULL && parent->child == scope)
    parent->child = scope->next != scope ? scope->next : NULL;
  scope->prev->next = scope->next;
  scope->next->prev = scope->prev;
  scope->prev = scope->next = scope;
}

static void mark(art_scope *scope) {
  art_task *task = scope->task;

  scope->effective = true;
  if (task == NULL || task->scope != scope) return;
  if (task->rt->notes.wanted != 0)
    art_notes_add(task->rt, ART_NOTE_CANCELLED, task);
  art_wait_abandon(task);
}

static bool reachable(const art_scope *scope) {
  return scope->kind != ART_SCOPE_SHIELD && !scope->effective;
}

/* The next sibling that a cancel enters, or NULL at the end of the ring. */
static art_scope *next_sibling(art_scope *scope) {
  art_scope *first = scope->parent->child;

  for (scope = scope->next; scope != first; scope = scope->next)
    if (reachable(scope)) return scope;
  return NULL;
}

static art_scope *first_child(art_scope *scope) {
  if (scope->child == NULL) return NULL;
  return reachable(scope->child) ? scope->child : next_sibling(scope->child);
}

/* Walks with the tree's own pointers: a chain of tasks may be deeper than any
 * C stack. */
static void mark_tree(art_scope *root) {
  art_scope *scope = root, *next;

  mark(root);
  for (;;) {
    next = first_child(scope);
    while (next == NULL) {
      if (scope == root) return;
      next = next_sibling(scope);
      if (next == NULL) scope = scope->parent;
    }
    scope = next;
    mark(scope);
  }
}

void art_scope_cancel(art_scope *scope, const char *reason) {
  if (scope->cancelled) return;
  scope->cancelled = true;
  scope->reason = reason;
  if (!scope->effective) mark_tree(scope);
}

bool art_scope_absorbs(const art_scope *scope) {
  return scope->cancelled &&
         (scope->kind == ART_SCOPE_SHIELD || scope->parent == NULL ||
          !scope->parent->effective);
}

const char *art_scope_reason(const art_scope *scope) {
  const char *reason = NULL;

  for (; scope != NULL && scope->effective; scope = scope->parent) {
    if (scope->cancelled) reason = scope->reason;
    if (scope->kind == ART_SCOPE_SHIELD) break;
  }
  return reason;
}

art_timed_scope *art_timed_scope_open(lua_State *L, art_task *task,
                                      art_scope_kind kind, uint64_t at) {
  asyncrt *rt = task->rt;
  art_timed_scope *timed = rt->free_scopes;

  if (art_timers_reserve(&rt->timers, 1) != 0)
    art_raise(L, "not enough memory");
  if (timed != NULL) {
    rt->free_scopes = timed->next;
  } else {
    timed = calloc(1, sizeof(*timed));
    if (timed == NULL) art_raise(L, "not enough memory");
  }
  timed->rt = rt;
  timed->site = NULL;
  timed->box = NULL;
  timed->timer.at = at;
  timed->timer.heap_index = 0;
  timed->timer.kind = ART_TIMER_SCOPE;
  art_scope_open(&timed->scope, task->scope, kind, task);
  task->scope = &timed->scope;
  if (at == 0)
    art_scope_cancel(&timed->scope, "timeout");
  else
    art_timer_arm(&rt->timers, &timed->timer);
  return timed;
}

void art_timed_scope_close(art_timed_scope *timed) {
  asyncrt *rt = timed->rt;

  if (timed->box != NULL) art_box_empty(rt, timed->box);
  timed->box = NULL;
  art_timer_disarm(&rt->timers, &timed->timer);
  timed->scope.task->scope = timed->scope.parent;
  art_scope_close(&timed->scope);
  timed->next = rt->free_scopes;
  rt->free_scopes = timed;
}
