/* Checks the HTTP parser against files of cases (README.md tells their form):
 * fed whole, byte by byte, and split at every position.
 *
 *   check_cases FILE...
 *   check_cases --corpus FOLDER FILE...   writes the inputs for the fuzzer */
#include "trace.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct text {
  char *data; /* owned */
  size_t size, capacity;
} text;

typedef struct test_case {
  char name[128];
  art_http_kind kind;
  art_http_answer answer;
  art_http_limits limits;
  text input, expected;
} test_case;

static int cases, failures;
static const char *corpus; /* a folder, or NULL to check */

static void append(text *to, const char *data, size_t size) {
  if (to->data == NULL || to->size + size + 1 > to->capacity) {
    to->capacity = 2 * (to->size + size + 1);
    to->data = realloc(to->data, to->capacity);
    if (to->data == NULL) abort();
  }
  memcpy(to->data + to->size, data, size);
  to->size += size;
  to->data[to->size] = '\0';
}

static char hex_byte(const char *digits) {
  char two[3] = {digits[0], digits[0] ? digits[1] : '\0', '\0'}, *end;
  long value = strtol(two, &end, 16);

  if (end != two + 2) {
    fprintf(stderr, "bad \\x in a case\n");
    exit(EXIT_FAILURE);
  }
  return (char) value;
}

/* \{COUNT TEXT}: the text so many times. Returns what follows. */
static const char *append_repeated(text *to, const char *from) {
  char *repeated;
  unsigned long count = strtoul(from, &repeated, 10);
  const char *end = strchr(repeated, '}');

  if (end == NULL || *repeated != ' ') abort();
  while (count-- > 0) append(to, repeated + 1, (size_t) (end - repeated - 1));
  return end + 1;
}

static void append_unescaped(text *to, const char *from) {
  char byte;

  while (*from != '\0') {
    byte = *from++;
    if (byte == '\\') {
      byte = *from++;
      if (byte == '{') {
        from = append_repeated(to, from);
        continue;
      }
      if (byte == 'r') byte = '\r';
      if (byte == 'n') byte = '\n';
      if (byte == 't') byte = '\t';
      if (byte == 'x') {
        byte = hex_byte(from);
        from += 2;
      }
    }
    append(to, &byte, 1);
  }
}

/* Leaves the lines out that tell header fields. */
static void drop_fields(char *events) {
  char *to = events, *end;

  while (*events != '\0') {
    end = strchr(events, '\n') + 1;
    if (strncmp(events, "field ", 6) != 0) {
      memmove(to, events, (size_t) (end - events));
      to += end - events;
    }
    events = end;
  }
  *to = '\0';
}

static bool check(const test_case *test, split_fn split, size_t parameter,
                  const char *how) {
  char *events = trace(test->kind, test->answer, &test->limits,
                       test->input.data, test->input.size, split, parameter);
  bool same;

  if (strstr(test->expected.data, "field ") == NULL) drop_fields(events);
  same = strcmp(events, test->expected.data) == 0;
  if (!same)
    printf("--- %s, %s %zu\nexpected\n%sgot\n%s", test->name, how, parameter,
           test->expected.data, events);
  free(events);
  return same;
}

/* The first byte is the fuzzer's: see http_parser_fuzz.c. */
static void write_input(const test_case *test) {
  char path[4096];
  FILE *file;

  snprintf(path, sizeof(path), "%s/case_%d", corpus, cases++);
  file = fopen(path, "wb");
  if (file == NULL) {
    perror(path);
    exit(EXIT_FAILURE);
  }
  fputc((int) test->kind | (int) test->answer << 1, file);
  fwrite(test->input.data, 1, test->input.size, file);
  fclose(file);
}

static void run(test_case *test) {
  size_t at;
  bool good;

  append(&test->input, "", 0);
  append(&test->expected, "", 0);
  if (corpus != NULL) {
    if (test->input.size < 1000) write_input(test);
    return;
  }
  good = check(test, split_nowhere, 0, "whole") &&
         check(test, split_everywhere, 0, "byte by byte");
  /* A long input is as good as its two ends. */
  for (at = 1; good && at < test->input.size; at++) {
    if (at == 300 && test->input.size > 600) at = test->input.size - 300;
    good = check(test, split_at, at, "split at");
  }
  cases++;
  failures += !good;
}

static void set_limit(art_http_limits *limits, const char *name,
                      unsigned long value) {
  if (strcmp(name, "start_line") == 0)
    limits->start_line = (uint32_t) value;
  else if (strcmp(name, "head") == 0)
    limits->head = (uint32_t) value;
  else if (strcmp(name, "fields") == 0)
    limits->fields = (uint32_t) value;
  else if (strcmp(name, "trailers") == 0)
    limits->trailers = (uint32_t) value;
  else if (strcmp(name, "extensions") == 0)
    limits->extensions = (uint32_t) value;
  else if (strcmp(name, "body") == 0)
    limits->body = value;
  else
    abort();
}

/* "request", "response", "response to HEAD", then perhaps "head=100 …". */
static void begin_case(test_case *test, char *line) {
  char *word, *value, *rest = line;

  test->limits = art_http_default_limits;
  while ((word = strtok_r(rest, " \n", &rest)) != NULL) {
    value = strchr(word, '=');
    if (strcmp(word, "response") == 0) test->kind = ART_HTTP_RESPONSE;
    if (strcmp(word, "HEAD") == 0) test->answer = ART_HTTP_TO_HEAD;
    if (strcmp(word, "CONNECT") == 0) test->answer = ART_HTTP_TO_CONNECT;
    if (value == NULL) continue;
    *value = '\0';
    set_limit(&test->limits, word, strtoul(value + 1, NULL, 10));
  }
}

static void end_case(test_case *test) {
  if (test->input.data != NULL) run(test);
  free(test->input.data);
  free(test->expected.data);
  memset(test, 0, sizeof(*test));
}

static void read_line(test_case *test, char *line, size_t size) {
  switch (line[0]) {
    case '#':
      end_case(test);
      snprintf(test->name, sizeof(test->name), "%.*s", (int) size - 3,
               line + 2);
      break;
    case 'r': begin_case(test, line); break;
    case '>':
      if (line[size - 1] == '\n') line[size - 1] = '\0';
      append_unescaped(&test->input, line + 2);
      break;
    case '=': append(&test->expected, line + 2, size - 2); break;
    default: break;
  }
}

int main(int argc, char **argv) {
  test_case test = {0};
  char *line = NULL;
  size_t capacity = 0;
  ssize_t size;
  int i = 1;

  if (argc > 2 && strcmp(argv[1], "--corpus") == 0) {
    corpus = argv[2];
    i = 3;
  }
  for (; i < argc; i++) {
    FILE *file = fopen(argv[i], "r");

    if (file == NULL) {
      perror(argv[i]);
      return EXIT_FAILURE;
    }
    while ((size = getline(&line, &capacity, file)) > 0)
      read_line(&test, line, (size_t) size);
    end_case(&test);
    fclose(file);
  }
  free(line);
  printf("%d cases, %d failed\n", cases, failures);
  return failures > 0 || cases == 0;
}
