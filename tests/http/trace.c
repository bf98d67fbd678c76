/* The events of the HTTP parser as text. */
#include "trace.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct tracer {
  FILE *out; /* borrowed */
  art_http_parser parser;
  size_t used;    /* bytes of the whole input */
  bool in_body;   /* a body line is open */
  bool has_ended; /* with the connection, for the parser */
} tracer;

bool split_nowhere(size_t at, size_t parameter) {
  (void) at;
  (void) parameter;
  return false;
}

bool split_everywhere(size_t at, size_t parameter) {
  (void) at;
  (void) parameter;
  return true;
}

bool split_at(size_t at, size_t parameter) {
  return at == parameter;
}

static void write_bytes(FILE *out, const char *text, size_t size) {
  size_t i;

  for (i = 0; i < size; i++) {
    unsigned char byte = (unsigned char) text[i];

    if (byte == '\r')
      fputs("\\r", out);
    else if (byte == '\n')
      fputs("\\n", out);
    else if (byte == '\\')
      fputs("\\\\", out);
    else if (byte < 32 || byte > 126)
      fprintf(out, "\\x%02x", byte);
    else
      fputc(byte, out);
  }
}

static void write_slice(tracer *self, art_http_slice slice) {
  if (slice.size > 0)
    write_bytes(self->out, art_http_text(&self->parser, slice), slice.size);
}

static void write_fields(tracer *self, const char *label, uint32_t first,
                         uint32_t count) {
  uint32_t i;

  for (i = first; i < first + count; i++) {
    art_http_field field = art_http_field_at(&self->parser, i);

    fputs(label, self->out);
    write_slice(self, field.name);
    fputs(field.value.size > 0 ? ": " : ":", self->out);
    write_slice(self, field.value);
    fputc('\n', self->out);
  }
}

static void write_head(tracer *self) {
  static const char *const forms[] = {"", " absolute", " authority",
                                      " asterisk"};
  const art_http_parser *parser = &self->parser;

  if (parser->kind == ART_HTTP_REQUEST) {
    write_slice(self, parser->method);
    fputc(' ', self->out);
    write_slice(self, parser->target);
    fprintf(self->out, " 1.%d%s host=", parser->version, forms[parser->form]);
    write_slice(self, parser->authority);
  } else {
    fprintf(self->out, "%d 1.%d reason=", parser->status, parser->version);
    write_slice(self, parser->reason);
  }
  if (parser->framing == ART_HTTP_LENGTH)
    fprintf(self->out, " length=%" PRIu64, parser->length);
  if (parser->framing == ART_HTTP_CHUNKED) fputs(" chunked", self->out);
  if (parser->framing == ART_HTTP_UNTIL_EOF) fputs(" until-eof", self->out);
  if (!parser->keep_alive) fputs(" close", self->out);
  if (parser->upgrade) fputs(" upgrade", self->out);
  if (parser->expects_continue) fputs(" expects-continue", self->out);
  fputc('\n', self->out);
  write_fields(self, "field ", 0, parser->field_count);
}

static void end_body(tracer *self) {
  if (self->in_body) fputc('\n', self->out);
  self->in_body = false;
}

/* What follows these is not for the parser. */
static bool is_last(const art_http_parser *parser) {
  return !parser->keep_alive || parser->upgrade ||
         parser->form == ART_HTTP_AUTHORITY ||
         (parser->answer == ART_HTTP_TO_CONNECT && parser->status >= 200);
}

static void write_event(tracer *self, art_http_event event) {
  art_http_parser *parser = &self->parser;

  if (event == ART_HTTP_BODY) {
    if (!self->in_body) fputs("body ", self->out);
    self->in_body = true;
    write_bytes(self->out, parser->body, parser->body_size);
    return;
  }
  end_body(self);
  if (event == ART_HTTP_HEAD) write_head(self);
  if (event == ART_HTTP_TRAILERS)
    write_fields(self, "trailer ", parser->field_count, parser->trailer_count);
  if (event == ART_HTTP_FAILED) {
    fprintf(self->out, "%d %s at %zu\n", art_http_error_status(parser->error),
            art_http_error_name(parser->error), self->used);
    self->has_ended = true;
  }
  if (event == ART_HTTP_END) {
    fprintf(self->out, "end at %zu\n", self->used);
    self->has_ended = is_last(parser);
    if (!self->has_ended) art_http_restart(parser);
  }
}

static void feed(tracer *self, const char *data, size_t size) {
  char *piece = malloc(size ? size : 1);
  size_t offset = 0, used;
  art_http_event event;

  if (piece == NULL) abort();
  memcpy(piece, data, size);
  while (!self->has_ended) {
    event = art_http_parse(&self->parser, piece + offset, size - offset, &used);
    if (used > size - offset) abort();
    offset += used;
    self->used += used;
    if (event == ART_HTTP_NEED_MORE) break;
    write_event(self, event);
  }
  if (!self->has_ended && offset != size) abort();
  free(piece);
}

static void feed_all(tracer *self, const char *data, size_t size,
                     split_fn split, size_t parameter) {
  size_t start = 0, i;

  for (i = 1; i <= size; i++) {
    if (i < size && !split(i, parameter)) continue;
    feed(self, data + start, i - start);
    start = i;
  }
  if (!self->has_ended && !art_http_is_idle(&self->parser))
    write_event(self, art_http_eof(&self->parser));
  end_body(self);
}

char *trace(art_http_kind kind, art_http_answer answer,
            const art_http_limits *limits, const char *data, size_t size,
            split_fn split, size_t parameter) {
  char *text = NULL;
  size_t text_size;
  tracer self = {0};

  self.out = open_memstream(&text, &text_size);
  if (self.out == NULL) abort();
  art_http_init(&self.parser, kind, limits);
  art_http_answers(&self.parser, answer);
  feed_all(&self, data, size, split, parameter);
  art_http_free(&self.parser);
  if (fclose(self.out) != 0) abort();
  return text;
}
