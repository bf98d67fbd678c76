/* Handles: what must be closed before the loop can end. */
#include "runtime.h"

#include <stdlib.h>

const char *art_running_site(asyncrt *rt) {
  const art_task *task = rt->current;

  return task != NULL && task->root != NULL ? art_site_at(task->root, 0) : "?";
}

void art_handle_taken(lua_State *L, asyncrt_handle *handle) {
  const char *site = art_runtime_of(L)->record_sites ? art_site_at(L, 0) : "?";

  if (*site != '?') handle->site = site;
}

void art_handle_collected(asyncrt *rt, const asyncrt_handle *handle) {
  art_forgotten *forgotten;

  if (handle->site == NULL) return;
  forgotten = malloc(sizeof(*forgotten));
  if (forgotten == NULL) return;
  forgotten->kind = handle->kind;
  forgotten->site = handle->site;
  forgotten->next = rt->forgotten;
  rt->forgotten = forgotten;
}

void art_handles_forget(asyncrt *rt) {
  while (rt->forgotten != NULL) {
    art_forgotten *first = rt->forgotten;

    rt->forgotten = first->next;
    free(first);
  }
}

void asyncrt_handle_opened(asyncrt *rt, asyncrt_handle *handle,
                           const char *kind,
                           void (*close)(asyncrt_handle *handle)) {
  handle->kind = kind;
  handle->close = close;
  handle->site = rt->record_sites ? art_running_site(rt) : NULL;
  handle->next = NULL;
  handle->prev = rt->last_handle;
  if (rt->last_handle != NULL)
    rt->last_handle->next = handle;
  else
    rt->first_handle = handle;
  rt->last_handle = handle;
  rt->handle_count++;
}

void asyncrt_handle_closed(asyncrt *rt, asyncrt_handle *handle) {
  if (rt->next_to_close == handle) rt->next_to_close = handle->next;
  if (handle->prev != NULL)
    handle->prev->next = handle->next;
  else
    rt->first_handle = handle->next;
  if (handle->next != NULL)
    handle->next->prev = handle->prev;
  else
    rt->last_handle = handle->prev;
  handle->prev = handle->next = NULL;
  rt->handle_count--;
}
