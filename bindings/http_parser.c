/* The parser of HTTP/1.1 messages: the head line by line, the body by counting.
 *
 * A head line is kept in the buffer until its end, then understood as a whole,
 * so that a line split anywhere is no special case. */
#include "http_parser.h"
#include "http_syntax.h"

#include <stdlib.h>
#include <string.h>

#define KEPT_BUFFER 2048 /* bytes that a parser may keep between messages */
#define CHUNK_DIGITS 16

enum {
  OTHER_CODING = 1,
  CHUNKED_CODING = 2, /* seen last */
  BAD_CODINGS = 4,
};

enum {
  IN_START_LINE,
  IN_HEAD,
  IN_LENGTH_BODY,
  IN_EOF_BODY,
  IN_CHUNK_SIZE,
  IN_CHUNK_EXTENSION,
  IN_CHUNK_LINE_END, /* its LF is missing */
  IN_CHUNK,
  IN_CHUNK_END, /* CR LF behind the data */
  IN_TRAILERS,
  AT_END,
  AT_ERROR,
};

const art_http_limits art_http_default_limits = {
    8192, 32768, 100, 8192, 4096, UINT64_MAX,
};

/* --- Errors --- */

static const struct {
  const char *name, *message;
  int status;
} errors[] = {{"OK", "no error", 200},
#define ERROR_ENTRY(name, status, message) {#name, message, status},
              ART_HTTP_ERRORS(ERROR_ENTRY)
#undef ERROR_ENTRY
};

const char *art_http_error_name(art_http_error error) {
  return errors[error].name;
}

int art_http_error_status(art_http_error error) {
  return errors[error].status;
}

const char *art_http_error_message(art_http_error error) {
  return errors[error].message;
}

/* --- The buffer --- */

static art_http_field *fields_of(const art_http_parser *parser) {
  return (art_http_field *) (void *) (parser->buffer + parser->capacity);
}

static uint32_t all_fields(const art_http_parser *parser) {
  return parser->field_count + parser->trailer_count;
}

/* Makes room for `size` more bytes of text and one more field. */
static bool reserve(art_http_parser *parser, size_t size) {
  size_t table = (all_fields(parser) + 1) * sizeof(art_http_field);
  size_t needed = parser->text_size + size + table;
  size_t capacity = parser->capacity ? parser->capacity : 1024;
  char *buffer;

  if (needed <= parser->capacity) return true;
  while (capacity < needed) capacity *= 2;
  buffer = realloc(parser->buffer, capacity);
  if (buffer == NULL) return false;
  table -= sizeof(art_http_field);
  memmove(buffer + capacity - table, buffer + parser->capacity - table, table);
  parser->buffer = buffer;
  parser->capacity = (uint32_t) capacity;
  return true;
}

static void add_field(art_http_parser *parser, art_http_field field) {
  uint32_t index = all_fields(parser);

  fields_of(parser)[-1 - (ptrdiff_t) index] = field;
  if (parser->state == IN_TRAILERS)
    parser->trailer_count++;
  else
    parser->field_count++;
}

art_http_field art_http_field_at(const art_http_parser *parser,
                                 uint32_t index) {
  return fields_of(parser)[-1 - (ptrdiff_t) index];
}

/* --- Copies of the fields --- */

/* The end of the last header field, rounded up to where fields may stand. */
static size_t copied_text(const art_http_parser *parser) {
  const size_t step = _Alignof(art_http_field);
  art_http_field last;

  if (parser->field_count == 0) return 0;
  last = art_http_field_at(parser, parser->field_count - 1);
  return (last.value.start + last.value.size + step - 1) / step * step;
}

size_t art_http_copy_size(const art_http_parser *parser) {
  return copied_text(parser) + parser->field_count * sizeof(art_http_field);
}

void art_http_copy_fields(const art_http_parser *parser, char *space) {
  size_t text = copied_text(parser);
  size_t fields = parser->field_count * sizeof(art_http_field);

  if (fields == 0) return;
  memcpy(space, parser->buffer, text);
  memcpy(space + text, parser->buffer + parser->capacity - fields, fields);
}

art_http_parser art_http_copied(char *space, size_t size, uint32_t count) {
  art_http_parser copy;

  memset(&copy, 0, sizeof(copy));
  copy.buffer = space;
  copy.capacity = (uint32_t) size;
  copy.field_count = count;
  return copy;
}

/* --- Start lines --- */

static art_http_slice slice_at(const art_http_parser *parser, const char *text,
                               size_t size) {
  return (art_http_slice){(uint32_t) (text - parser->buffer), (uint32_t) size};
}

static art_http_error parse_version(art_http_parser *parser, const char *text,
                                    size_t size) {
  if (size != 8 || memcmp(text, "HTTP/", 5) != 0 || text[6] != '.' ||
      text[5] < '0' || text[5] > '9' || text[7] < '0' || text[7] > '9')
    return ART_HTTP_BAD_VERSION;
  if (text[5] != '1') return ART_HTTP_BAD_VERSION_NUMBER;
  parser->version = (uint8_t) (text[7] - '0');
  return ART_HTTP_OK;
}

static bool method_is(const art_http_parser *parser, const char *name) {
  return parser->method.size == strlen(name) &&
         memcmp(art_http_text(parser, parser->method), name,
                parser->method.size) == 0;
}

static bool parse_absolute(art_http_parser *parser, const char *text,
                           size_t size) {
  size_t scheme = art_http_scheme_size(text, size), authority;
  const char *rest = text + scheme;

  if (scheme == 0) return false;
  size -= scheme;
  for (authority = 0; authority < size; authority++)
    if (rest[authority] == '/' || rest[authority] == '?') break;
  parser->form = ART_HTTP_ABSOLUTE;
  parser->authority = slice_at(parser, rest, authority);
  return authority > 0 && art_http_is_authority(rest, authority, false) &&
         art_http_is_path(rest + authority, size - authority);
}

static bool parse_target(art_http_parser *parser, const char *text,
                         size_t size) {
  parser->target = slice_at(parser, text, size);
  if (method_is(parser, "CONNECT")) {
    parser->form = ART_HTTP_AUTHORITY;
    parser->authority = parser->target;
    return art_http_is_authority(text, size, true);
  }
  if (size == 1 && text[0] == '*') {
    parser->form = ART_HTTP_ASTERISK;
    return method_is(parser, "OPTIONS");
  }
  parser->form = ART_HTTP_ORIGIN;
  if (size > 0 && text[0] == '/') return art_http_is_path(text, size);
  return parse_absolute(parser, text, size);
}

/* method SP request-target SP HTTP-version */
static art_http_error parse_request_line(art_http_parser *parser,
                                         const char *line, size_t size) {
  size_t method = art_http_span(line, size, ART_HTTP_TOKEN_BYTE), target;
  const char *end;

  if (method == 0 || method == size) return ART_HTTP_BAD_START_LINE;
  if (line[method] != ' ') return ART_HTTP_BAD_METHOD;
  parser->method = slice_at(parser, line, method);
  line += method + 1;
  size -= method + 1;
  end = memchr(line, ' ', size);
  if (end == NULL) return ART_HTTP_BAD_START_LINE;
  target = (size_t) (end - line);
  if (!parse_target(parser, line, target)) return ART_HTTP_BAD_TARGET;
  return parse_version(parser, end + 1, size - target - 1);
}

/* HTTP-version SP 3DIGIT [SP [reason-phrase]] */
static art_http_error parse_status_line(art_http_parser *parser,
                                        const char *line, size_t size) {
  art_http_error error = parse_version(parser, line, size < 8 ? size : 8);
  unsigned status = 0;
  int i;

  if (error != ART_HTTP_OK) return error;
  if (size < 12 || line[8] != ' ') return ART_HTTP_BAD_START_LINE;
  for (i = 9; i < 12; i++) {
    if (line[i] < '0' || line[i] > '9') return ART_HTTP_BAD_STATUS;
    status = 10 * status + (unsigned) (line[i] - '0');
  }
  if (status < 100) return ART_HTTP_BAD_STATUS;
  parser->status = (uint16_t) status;
  if (size > 12 && line[12] != ' ') return ART_HTTP_BAD_STATUS;
  if (size > 13) parser->reason = slice_at(parser, line + 13, size - 13);
  return ART_HTTP_OK;
}

/* --- Header fields --- */

static art_http_error take_length(art_http_parser *parser, const char *value,
                                  size_t size) {
  uint64_t length = 0;
  size_t i;

  if (parser->has_length || size == 0) return ART_HTTP_BAD_LENGTH;
  for (i = 0; i < size; i++) {
    if (value[i] < '0' || value[i] > '9') return ART_HTTP_BAD_LENGTH;
    if (length > (INT64_MAX - 9) / 10) return ART_HTTP_BAD_LENGTH;
    length = 10 * length + (uint64_t) (value[i] - '0');
  }
  parser->has_length = true;
  parser->length = length;
  return ART_HTTP_OK;
}

static void take_codings(art_http_parser *parser, const char *value,
                         size_t size) {
  const char *list = value, *coding;
  size_t length;

  parser->has_coding = true;
  while (list != NULL) {
    art_http_next_element(&list, value + size, &coding, &length);
    if (length == 0 || (parser->codings & CHUNKED_CODING))
      parser->codings |= BAD_CODINGS;
    else if (art_http_equals(coding, length, "chunked"))
      parser->codings |= CHUNKED_CODING;
    else
      parser->codings |= OTHER_CODING;
  }
}

static void take_connection(art_http_parser *parser, const char *value,
                            size_t size) {
  const char *list = value, *option;
  size_t length;

  while (list != NULL) {
    art_http_next_element(&list, value + size, &option, &length);
    if (art_http_equals(option, length, "close"))
      parser->wants_close = true;
    else if (art_http_equals(option, length, "keep-alive"))
      parser->wants_keep_alive = true;
    else if (art_http_equals(option, length, "upgrade"))
      parser->wants_upgrade = true;
  }
}

static art_http_error take_host(art_http_parser *parser, const char *value,
                                size_t size) {
  if (parser->kind == ART_HTTP_RESPONSE) return ART_HTTP_OK;
  if (parser->has_host || !art_http_is_authority(value, size, false))
    return ART_HTTP_BAD_HOST;
  parser->has_host = true;
  if (parser->form == ART_HTTP_ORIGIN || parser->form == ART_HTTP_ASTERISK)
    parser->authority = slice_at(parser, value, size);
  return ART_HTTP_OK;
}

/* What a field says about the message itself. Most are told apart from those
 * that say something by their size alone. */
static art_http_error take_field(art_http_parser *parser, const char *name,
                                 size_t name_size, const char *value,
                                 size_t size) {
  switch (name_size) {
    case 4:
      if (memcmp(name, "host", 4) == 0) return take_host(parser, value, size);
      break;
    case 6:
      if (memcmp(name, "expect", 6) == 0)
        parser->expects_continue = art_http_equals(value, size, "100-continue");
      break;
    case 7:
      if (memcmp(name, "upgrade", 7) == 0) parser->has_upgrade = size > 0;
      break;
    case 10:
      if (memcmp(name, "connection", 10) == 0)
        take_connection(parser, value, size);
      break;
    case 14:
      if (memcmp(name, "content-length", 14) == 0)
        return take_length(parser, value, size);
      break;
    case 17:
      if (memcmp(name, "transfer-encoding", 17) == 0)
        take_codings(parser, value, size);
      break;
    default: break;
  }
  return ART_HTTP_OK;
}

static bool is_framing(const char *name, size_t size) {
  return art_http_equals(name, size, "content-length") ||
         art_http_equals(name, size, "transfer-encoding") ||
         art_http_equals(name, size, "host");
}

/* Makes the name at the start of a line lower case; returns its size. */
static size_t take_name(char *line, size_t size) {
  size_t i;

  for (i = 0; i < size; i++) {
    unsigned char lower = art_http_name_bytes[(unsigned char) line[i]];

    if (lower == 0) break;
    line[i] = (char) lower;
  }
  return i;
}

/* field-name ":" OWS field-value OWS */
static art_http_error parse_field(art_http_parser *parser, char *line,
                                  size_t size) {
  bool trailer = parser->state == IN_TRAILERS;
  size_t name = take_name(line, size);
  const char *value, *end = line + size;
  art_http_field field;

  if (line[0] == ' ' || line[0] == '\t') return ART_HTTP_FOLDED_FIELD;
  if (name == 0 || name == size || line[name] != ':') return ART_HTTP_BAD_FIELD;
  value = line + name + 1;
  while (value < end && (*value == ' ' || *value == '\t')) value++;
  while (end > value && (end[-1] == ' ' || end[-1] == '\t')) end--;
  size = (size_t) (end - value);
  if ((trailer ? parser->trailer_count : parser->field_count) ==
      parser->limits.fields)
    return ART_HTTP_MANY_FIELDS;
  if (trailer && is_framing(line, name)) return ART_HTTP_BAD_TRAILER;
  field.name = slice_at(parser, line, name);
  field.value = slice_at(parser, value, size);
  add_field(parser, field);
  return trailer ? ART_HTTP_OK : take_field(parser, line, name, value, size);
}

/* --- The head as a whole --- */

static art_http_error check_codings(const art_http_parser *parser) {
  if (!parser->has_coding) return ART_HTTP_OK;
  if (parser->has_length) return ART_HTTP_TWO_LENGTHS;
  if (parser->version == 0 || (parser->codings & BAD_CODINGS))
    return ART_HTTP_BAD_CODING;
  if (!(parser->codings & CHUNKED_CODING)) return ART_HTTP_BAD_CODING;
  if (parser->codings & OTHER_CODING) return ART_HTTP_UNKNOWN_CODING;
  return ART_HTTP_OK;
}

/* Whether a response has no body, whatever its fields say. */
static bool is_bodiless(const art_http_parser *parser) {
  return parser->status < 200 || parser->status == 204 ||
         parser->status == 304 || parser->answer == ART_HTTP_TO_HEAD ||
         (parser->answer == ART_HTTP_TO_CONNECT && parser->status < 300);
}

static art_http_framing framing_of(const art_http_parser *parser) {
  if (parser->kind == ART_HTTP_RESPONSE && is_bodiless(parser))
    return ART_HTTP_NO_BODY;
  if (parser->has_coding) return ART_HTTP_CHUNKED;
  if (parser->has_length)
    return parser->length > 0 ? ART_HTTP_LENGTH : ART_HTTP_NO_BODY;
  return parser->kind == ART_HTTP_REQUEST ? ART_HTTP_NO_BODY
                                          : ART_HTTP_UNTIL_EOF;
}

static art_http_error check_head(art_http_parser *parser) {
  art_http_error error = check_codings(parser);
  bool is_request = parser->kind == ART_HTTP_REQUEST;

  if (error != ART_HTTP_OK) return error;
  if (is_request && !parser->has_host && parser->version > 0)
    return ART_HTTP_BAD_HOST;
  parser->framing = framing_of(parser);
  if (is_request && parser->form == ART_HTTP_AUTHORITY &&
      parser->framing != ART_HTTP_NO_BODY)
    return ART_HTTP_BAD_LENGTH; /* what follows CONNECT is the tunnel's */
  if (parser->framing == ART_HTTP_LENGTH) {
    if (parser->length > parser->limits.body) return ART_HTTP_LONG_BODY;
    parser->remaining = parser->length;
  }
  parser->keep_alive = !parser->wants_close &&
                       parser->framing != ART_HTTP_UNTIL_EOF &&
                       (parser->version > 0 || parser->wants_keep_alive);
  parser->upgrade =
      parser->wants_upgrade && parser->has_upgrade && parser->version > 0;
  if (parser->version == 0 || parser->framing == ART_HTTP_NO_BODY)
    parser->expects_continue = false;
  return ART_HTTP_OK;
}

static art_http_event fail(art_http_parser *parser, art_http_error error) {
  parser->state = AT_ERROR;
  parser->error = error;
  return ART_HTTP_FAILED;
}

static art_http_event end_head(art_http_parser *parser) {
  static const uint8_t states[] = {AT_END, IN_LENGTH_BODY, IN_CHUNK_SIZE,
                                   IN_EOF_BODY};
  art_http_error error = check_head(parser);

  if (error != ART_HTTP_OK) return fail(parser, error);
  parser->state = states[parser->framing];
  return ART_HTTP_HEAD;
}

/* --- Lines of the head and of the trailers --- */

static art_http_error long_line(const art_http_parser *parser) {
  if (parser->state == IN_START_LINE) return ART_HTTP_LONG_START_LINE;
  return parser->state == IN_HEAD ? ART_HTTP_LONG_HEAD : ART_HTTP_LONG_TRAILERS;
}

static art_http_event end_start_line(art_http_parser *parser, char *line,
                                     size_t size) {
  art_http_error error;

  if (parser->kind == ART_HTTP_RESPONSE)
    error = parse_status_line(parser, line, size);
  else if (size == 0 && !parser->blank_skipped)
    error = ART_HTTP_OK;
  else
    error = parse_request_line(parser, line, size);
  if (error != ART_HTTP_OK) return fail(parser, error);
  if (size == 0) {
    parser->blank_skipped = true;
    parser->budget = parser->limits.start_line;
  } else {
    parser->state = IN_HEAD;
    parser->budget = parser->limits.head;
  }
  return ART_HTTP_NEED_MORE;
}

/* The line that ends the text is complete. NEED_MORE: more lines follow. */
static art_http_event end_line(art_http_parser *parser) {
  char *line = parser->buffer + parser->line_start;
  size_t size = parser->text_size - parser->line_start;
  art_http_error error;

  parser->line_start = parser->text_size;
  if (parser->state == IN_START_LINE) return end_start_line(parser, line, size);
  if (size == 0 && parser->state == IN_HEAD) return end_head(parser);
  if (size == 0) {
    parser->state = AT_END;
    return parser->trailer_count > 0 ? ART_HTTP_TRAILERS : ART_HTTP_END;
  }
  error = parse_field(parser, line, size);
  return error == ART_HTTP_OK ? ART_HTTP_NEED_MORE : fail(parser, error);
}

/* Whether a line end counts as a part of the head. The last empty line is the
 * line end of the head itself. */
static bool is_counted(const art_http_parser *parser) {
  return parser->state != IN_START_LINE &&
         parser->text_size > parser->line_start;
}

/* Takes the CR or LF at *data. */
static art_http_event take_line_end(art_http_parser *parser, char byte) {
  if (byte != (parser->after_cr ? '\n' : '\r'))
    return fail(parser, ART_HTTP_BAD_LINE_END);
  if (is_counted(parser) && parser->budget-- == 0)
    return fail(parser, long_line(parser));
  parser->after_cr = !parser->after_cr;
  return parser->after_cr ? ART_HTTP_NEED_MORE : end_line(parser);
}

/* Whether the text of a line ends here as it should, with room for that. */
static bool at_line_end(const art_http_parser *parser, const char *end,
                        size_t size) {
  return !parser->after_cr && size >= 2 && end[0] == '\r' && end[1] == '\n' &&
         parser->budget >= 2;
}

/* Takes at least one byte of lines; NEED_MORE says only that it can go on. */
static art_http_event parse_lines(art_http_parser *parser, const char *data,
                                  size_t size, size_t *used) {
  art_http_event event;
  size_t span = 0;

  if (!parser->after_cr) span = art_http_text_span(data, size);
  if (span > parser->budget) {
    *used = parser->budget;
    return fail(parser, long_line(parser));
  }
  if (!reserve(parser, span)) return fail(parser, ART_HTTP_NO_MEMORY);
  memcpy(parser->buffer + parser->text_size, data, span);
  parser->text_size += (uint32_t) span;
  parser->budget -= (uint32_t) span;
  *used = span;
  if (span == size) return ART_HTTP_NEED_MORE;
  if (at_line_end(parser, data + span, size - span)) {
    if (is_counted(parser)) parser->budget -= 2;
    event = end_line(parser);
    *used += event == ART_HTTP_FAILED ? 1 : 2;
    return event;
  }
  if (!parser->after_cr && data[span] != '\r' && data[span] != '\n')
    return fail(parser, ART_HTTP_BAD_BYTE);
  do {
    event = take_line_end(parser, data[*used]);
    if (event != ART_HTTP_FAILED) *used += 1;
  } while (event == ART_HTTP_NEED_MORE && parser->after_cr && *used < size);
  return event;
}

/* --- Bodies --- */

static art_http_event give_body(art_http_parser *parser, const char *data,
                                size_t size, size_t *used) {
  parser->body = data;
  parser->body_size = size;
  *used = size;
  return ART_HTTP_BODY;
}

/* Gives bytes of what remains of the body or chunk; then comes `next`. */
static art_http_event parse_counted(art_http_parser *parser, const char *data,
                                    size_t size, size_t *used, uint8_t next) {
  if (size > parser->remaining) size = (size_t) parser->remaining;
  parser->remaining -= size;
  if (parser->remaining == 0) parser->state = next;
  return give_body(parser, data, size, used);
}

static art_http_event parse_until_eof(art_http_parser *parser, const char *data,
                                      size_t size, size_t *used) {
  uint64_t room = parser->limits.body - parser->received;

  if (room == 0) return fail(parser, ART_HTTP_LONG_BODY);
  if (size > room) size = (size_t) room;
  parser->received += size;
  return give_body(parser, data, size, used);
}

/* --- Chunks --- */

static int hex_value(char byte) {
  if (byte >= '0' && byte <= '9') return byte - '0';
  if (byte >= 'a' && byte <= 'f') return byte - 'a' + 10;
  if (byte >= 'A' && byte <= 'F') return byte - 'A' + 10;
  return -1;
}

static art_http_error take_size_digit(art_http_parser *parser, char byte) {
  int value = hex_value(byte);

  if (value >= 0) {
    if (parser->digits == CHUNK_DIGITS) return ART_HTTP_BAD_CHUNK;
    parser->digits++;
    parser->remaining = parser->remaining << 4 | (unsigned) value;
    return ART_HTTP_OK;
  }
  if (parser->digits == 0) return ART_HTTP_BAD_CHUNK;
  if (byte == '\r')
    parser->state = IN_CHUNK_LINE_END;
  else if (byte == ';')
    parser->state = IN_CHUNK_EXTENSION;
  else
    return byte == '\n' ? ART_HTTP_BAD_LINE_END : ART_HTTP_BAD_CHUNK;
  return ART_HTTP_OK;
}

static art_http_error take_extension(art_http_parser *parser, char byte) {
  if (byte == '\r')
    parser->state = IN_CHUNK_LINE_END;
  else if (byte == '\n')
    return ART_HTTP_BAD_LINE_END;
  else if (art_http_span(&byte, 1, ART_HTTP_TEXT_BYTE) == 0)
    return ART_HTTP_BAD_BYTE;
  return ART_HTTP_OK;
}

static art_http_error begin_chunk(art_http_parser *parser, char byte) {
  if (byte != '\n') return ART_HTTP_BAD_LINE_END;
  parser->digits = 0;
  if (parser->remaining == 0) {
    parser->state = IN_TRAILERS;
    parser->budget = parser->limits.trailers;
    return ART_HTTP_OK;
  }
  if (parser->remaining > INT64_MAX) return ART_HTTP_BAD_CHUNK;
  if (parser->remaining > parser->limits.body - parser->received)
    return ART_HTTP_LONG_BODY;
  parser->received += parser->remaining;
  parser->state = IN_CHUNK;
  return ART_HTTP_OK;
}

static art_http_error end_chunk(art_http_parser *parser, char byte) {
  if (byte != (parser->after_cr ? '\n' : '\r')) return ART_HTTP_BAD_CHUNK;
  if (parser->after_cr) parser->state = IN_CHUNK_SIZE;
  parser->after_cr = !parser->after_cr;
  return ART_HTTP_OK;
}

static art_http_error take_framing_byte(art_http_parser *parser, char byte) {
  uint8_t state = parser->state;

  if (state == IN_CHUNK_EXTENSION && parser->extension_budget-- == 0)
    return ART_HTTP_LONG_CHUNK_LINE;
  switch (state) {
    case IN_CHUNK_SIZE: return take_size_digit(parser, byte);
    case IN_CHUNK_EXTENSION: return take_extension(parser, byte);
    case IN_CHUNK_LINE_END: return begin_chunk(parser, byte);
    default: return end_chunk(parser, byte);
  }
}

/* Takes the bytes around the data of chunks. */
static art_http_event parse_framing(art_http_parser *parser, const char *data,
                                    size_t size, size_t *used) {
  art_http_error error = ART_HTTP_OK;
  size_t i = 0;

  while (i < size && parser->state != IN_CHUNK &&
         parser->state != IN_TRAILERS) {
    error = take_framing_byte(parser, data[i]);
    if (error != ART_HTTP_OK) break;
    i++;
  }
  *used = i;
  return error == ART_HTTP_OK ? ART_HTTP_NEED_MORE : fail(parser, error);
}

/* --- The parser --- */

/* One step: an event, or NEED_MORE with at least one byte used. */
static art_http_event step(art_http_parser *parser, const char *data,
                           size_t size, size_t *used) {
  switch (parser->state) {
    case IN_START_LINE:
    case IN_HEAD:
    case IN_TRAILERS: return parse_lines(parser, data, size, used);
    case IN_LENGTH_BODY: return parse_counted(parser, data, size, used, AT_END);
    case IN_CHUNK: return parse_counted(parser, data, size, used, IN_CHUNK_END);
    case IN_EOF_BODY: return parse_until_eof(parser, data, size, used);
    default: return parse_framing(parser, data, size, used);
  }
}

art_http_event art_http_parse(art_http_parser *parser, const char *data,
                              size_t size, size_t *used) {
  art_http_event event = ART_HTTP_NEED_MORE;
  size_t part;

  *used = 0;
  if (parser->state == AT_END) return ART_HTTP_END;
  if (parser->state == AT_ERROR) return ART_HTTP_FAILED;
  while (event == ART_HTTP_NEED_MORE && *used < size) {
    part = 0;
    event = step(parser, data + *used, size - *used, &part);
    *used += part;
  }
  return event;
}

art_http_event art_http_eof(art_http_parser *parser) {
  if (parser->state == IN_EOF_BODY) parser->state = AT_END;
  if (parser->state == AT_END) return ART_HTTP_END;
  if (parser->state == AT_ERROR) return ART_HTTP_FAILED;
  if (art_http_is_idle(parser)) return ART_HTTP_NEED_MORE;
  return fail(parser, ART_HTTP_INCOMPLETE);
}

bool art_http_is_idle(const art_http_parser *parser) {
  return parser->state == IN_START_LINE && parser->text_size == 0 &&
         !parser->after_cr;
}

/* Sets a zeroed parser up for its first or next message. */
static void begin(art_http_parser *parser) {
  parser->budget = parser->limits.start_line;
  parser->extension_budget = parser->limits.extensions;
}

void art_http_init(art_http_parser *parser, art_http_kind kind,
                   const art_http_limits *limits) {
  memset(parser, 0, sizeof(*parser));
  parser->kind = kind;
  parser->limits = limits == NULL ? art_http_default_limits : *limits;
  begin(parser);
}

void art_http_free(art_http_parser *parser) {
  free(parser->buffer);
  parser->buffer = NULL;
  parser->capacity = 0;
}

void art_http_answers(art_http_parser *parser, art_http_answer answer) {
  parser->answer = answer;
}

void art_http_restart(art_http_parser *parser) {
  art_http_parser old = *parser;

  if (old.capacity > KEPT_BUFFER) art_http_free(&old);
  art_http_init(parser, old.kind, &old.limits);
  if (old.status >= 100 && old.status < 200) parser->answer = old.answer;
  parser->buffer = old.buffer;
  parser->capacity = old.capacity;
}
