/* Handles: what must be closed before the loop can end. */
#include "runtime.h"

void asyncrt_handle_opened(asyncrt *rt, asyncrt_handle *handle,
                           const char *kind,
                           void (*close)(asyncrt_handle *handle)) {
  handle->kind = kind;
  handle->close = close;
  handle->site = NULL;
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
