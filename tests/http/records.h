/* Inputs from a pipe: a line "request 27" or "response to HEAD 40", then so
 * many bytes. Used by the programs that compare.py talks to. */
#ifndef RECORDS_H
#define RECORDS_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct record {
  bool is_response, to_head, to_connect;
  char *data; /* owned */
  size_t size;
} record;

/* Reads the next record into a zeroed or earlier one; false at the end. */
static inline bool read_record(record *next) {
  char line[64];

  free(next->data);
  memset(next, 0, sizeof(*next));
  if (fgets(line, sizeof(line), stdin) == NULL) return false;
  next->is_response = strncmp(line, "response", 8) == 0;
  next->to_head = strstr(line, " HEAD") != NULL;
  next->to_connect = strstr(line, " CONNECT") != NULL;
  next->size = strtoul(strrchr(line, ' '), NULL, 10);
  next->data = malloc(next->size + 1);
  if (next->data == NULL) abort();
  return fread(next->data, 1, next->size, stdin) == next->size;
}

/* Ends the answer to a record. */
static inline void end_record(void) {
  puts(".");
  fflush(stdout);
}

#endif
