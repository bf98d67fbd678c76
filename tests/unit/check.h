/* CHECK: what a unit test asserts, in every kind of build. */
#ifndef CHECK_H
#define CHECK_H

#include <stdio.h>
#include <stdlib.h>

#define CHECK(condition)                                                      \
  do {                                                                        \
    if (!(condition)) {                                                       \
      fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
      exit(EXIT_FAILURE);                                                     \
    }                                                                         \
  } while (0)

#endif
