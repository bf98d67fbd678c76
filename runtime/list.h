/* Intrusive doubly linked lists whose links live in their elements. */
#ifndef ART_LIST_H
#define ART_LIST_H

#include <stddef.h>

/* The structure of type `type` whose member `member` is at `pointer`. */
#define art_container_of(pointer, type, member) \
  ((type *) (void *) ((char *) (pointer) -offsetof(type, member)))

/* A list's head is a link of its own; an unlinked element points at itself. */
typedef struct art_link {
  struct art_link *prev, *next;
} art_link;

static inline void art_list_init(art_link *head) {
  head->prev = head;
  head->next = head;
}

static inline int art_list_empty(const art_link *head) {
  return head->next == head;
}

static inline void art_list_append(art_link *head, art_link *link) {
  link->prev = head->prev;
  link->next = head;
  head->prev->next = link;
  head->prev = link;
}

static inline void art_list_remove(art_link *link) {
  link->prev->next = link->next;
  link->next->prev = link->prev;
  art_list_init(link);
}

#endif
