/* Prints what llhttp makes of each record on standard input: a line a message,
 * `METHOD TARGET BODY` or `STATUS BODY` with the body in hexadecimal digits,
 * and `rejected` unless all of the input was good. */
#include "records.h"

#include <llhttp/llhttp.h>

typedef struct collector {
  llhttp_t parser; /* first */
  char target[65536], body[131072];
  size_t target_size, body_size;
  bool to_head, to_connect, is_last;
} collector;

static int on_begin(llhttp_t *parser) {
  collector *self = (collector *) parser;

  self->target_size = self->body_size = 0;
  return 0;
}

static int on_url(llhttp_t *parser, const char *at, size_t size) {
  collector *self = (collector *) parser;

  if (self->target_size + size > sizeof(self->target)) return -1;
  memcpy(self->target + self->target_size, at, size);
  self->target_size += size;
  return 0;
}

static int on_headers(llhttp_t *parser) {
  collector *self = (collector *) parser;

  if (self->to_head) return 1;
  if (self->to_connect && parser->status_code / 100 == 2) return 2;
  return 0;
}

static int on_body(llhttp_t *parser, const char *at, size_t size) {
  collector *self = (collector *) parser;

  if (self->body_size + size > sizeof(self->body)) return -1;
  memcpy(self->body + self->body_size, at, size);
  self->body_size += size;
  return 0;
}

static int on_complete(llhttp_t *parser) {
  collector *self = (collector *) parser;
  size_t i;

  if (parser->type == HTTP_REQUEST)
    printf("%s %.*s ", llhttp_method_name((llhttp_method_t) parser->method),
           (int) self->target_size, self->target);
  else
    printf("%d ", parser->status_code);
  for (i = 0; i < self->body_size; i++)
    printf("%02x", (unsigned char) self->body[i]);
  putchar('\n');
  if (llhttp_should_keep_alive(parser)) return 0;
  self->is_last = true;
  return HPE_PAUSED;
}

static void print_record(const record *next,
                         const llhttp_settings_t *settings) {
  static collector self;
  llhttp_errno_t error;

  memset(&self, 0, sizeof(self));
  self.to_head = next->to_head;
  self.to_connect = next->to_connect;
  llhttp_init(&self.parser, next->is_response ? HTTP_RESPONSE : HTTP_REQUEST,
              settings);
  error = llhttp_execute(&self.parser, next->data, next->size);
  if (error == HPE_OK) error = llhttp_finish(&self.parser);
  if (error != HPE_OK && error != HPE_PAUSED_UPGRADE && !self.is_last)
    puts("rejected");
}

int main(void) {
  llhttp_settings_t settings;
  record next = {0};

  llhttp_settings_init(&settings);
  settings.on_message_begin = on_begin;
  settings.on_url = on_url;
  settings.on_headers_complete = on_headers;
  settings.on_body = on_body;
  settings.on_message_complete = on_complete;
  while (read_record(&next)) {
    print_record(&next, &settings);
    end_record();
  }
  free(next.data);
  return 0;
}
