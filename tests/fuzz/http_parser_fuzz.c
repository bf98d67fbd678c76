/* Fuzzes the HTTP parser: any bytes give the same events however they are
 * split, and no byte is read that was not given. The first byte of the input
 * chooses what is parsed: bit 0 the kind, bits 1 and 2 what a response answers,
 * bit 3 small limits. The second split follows from the input's size. */
#include "trace.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const art_http_limits small_limits = {32, 64, 4, 24, 8, 40};

static bool split_every(size_t at, size_t parameter) {
  return at % parameter == 0;
}

static void check_same(char *expected, char *events) {
  if (strcmp(expected, events) != 0) {
    fprintf(stderr, "whole\n%ssplit\n%s", expected, events);
    abort();
  }
  free(events);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  const art_http_limits *limits;
  art_http_kind kind;
  art_http_answer answer;
  const char *text = (const char *) data + 1;
  char *whole;

  if (size == 0) return 0;
  kind = (art_http_kind) (data[0] & 1);
  answer = (art_http_answer) ((data[0] >> 1 & 3) % 3);
  limits = data[0] & 8 ? &small_limits : NULL;
  size--;
  whole = trace(kind, answer, limits, text, size, split_nowhere, 0);
  check_same(whole,
             trace(kind, answer, limits, text, size, split_everywhere, 0));
  check_same(whole, trace(kind, answer, limits, text, size, split_every,
                          2 + size % 7));
  free(whole);
  return 0;
}
