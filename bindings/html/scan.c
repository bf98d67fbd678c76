/* asyncrt.html: the tags of a page that matter. The states are those of the
 * standard of HTML, as far as they decide what is a tag.
 *
 * libxml2 alone would do badly by a whole page: its push parser misses the end
 * of a script that is split over two chunks, stops behind </html>, and takes
 * time by the square of the attributes of a tag, and of elements that stay
 * open. What is put out here, each tag whole and closed at once, gives it no
 * occasion to. */
#include "scan.h"

#include "space.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MOST_ATTRIBUTES 256
#define LONGEST_VALUE 65536 /* bytes; URLs are not longer */

enum {
  TEXT,
  OPEN,         /* behind "<" */
  END_OPEN,     /* behind "</" */
  MARK,         /* behind "<!" */
  MARK_DASH,    /* behind "<!-" */
  BOGUS,        /* up to ">" */
  COMMENT,      /* up to "-->" */
  COMMENT_BANG, /* behind "--!" in one */
  PLAIN,        /* to the very end */
  RAW,          /* up to the end tag of `raw` */
  NAME,
  BETWEEN, /* attributes */
  ATTRIBUTE,
  AFTER_ATTRIBUTE,
  BEFORE_VALUE,
  DOUBLE_QUOTED,
  SINGLE_QUOTED,
  UNQUOTED,
};

void art_html_scanner_init(art_html_scanner *s,
                           art_html_kind (*kind)(const void *, const char *),
                           const void *context) {
  *s = (art_html_scanner){.kind = kind, .context = context};
}

void art_html_scanner_free(art_html_scanner *s) {
  free(s->out);
  s->out = NULL;
}

static bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static char lower(char c) {
  if (c >= 'A' && c <= 'Z') return (char) (c | 0x20);
  return c;
}

static bool is_in(const char *name, const char *const *names) {
  for (; *names != NULL; names++)
    if (strcmp(name, *names) == 0) return true;
  return false;
}

/* --- What is put out --- */

static void put(art_html_scanner *s, const char *text, size_t size) {
  if (size > s->out_capacity - s->out_size) {
    size_t larger = 2 * (s->out_capacity + size) + 256;
    char *out = realloc(s->out, larger);

    if (out == NULL) {
      s->no_memory = true;
      return;
    }
    s->out = out;
    s->out_capacity = larger;
  }
  memcpy(s->out + s->out_size, text, size);
  s->out_size += size;
}

static void put_text(art_html_scanner *s, const char *text) {
  put(s, text, strlen(text));
}

/* Drops the attribute that is being copied. */
static void drop_attribute(art_html_scanner *s) {
  if (!s->is_copied) return;
  s->is_copied = false;
  s->out_size = s->attribute_start;
}

static void put_value(art_html_scanner *s, char c) {
  if (!s->is_copied) return;
  if (s->out_size - s->attribute_start > LONGEST_VALUE)
    drop_attribute(s);
  else if (c == '"')
    put_text(s, "&quot;");
  else if (c == '\0')
    put_text(s, "\xEF\xBF\xBD");
  else
    put(s, &c, 1);
}

static void end_value(art_html_scanner *s) {
  if (s->is_copied) put_text(s, "\"");
  s->is_copied = false;
  s->state = BETWEEN;
}

size_t art_html_scanner_ready(const art_html_scanner *s) {
  bool within = s->is_wanted && s->state >= BETWEEN;

  return within ? s->tag_start : s->out_size;
}

void art_html_scanner_used(art_html_scanner *s) {
  size_t used = art_html_scanner_ready(s);

  if (used == 0) return;
  memmove(s->out, s->out + used, s->out_size - used);
  s->out_size -= used;
  s->tag_start = 0;
  s->attribute_start -= s->attribute_start < used ? s->attribute_start : used;
}

/* --- Tags --- */

static void begin_tag(art_html_scanner *s, bool is_end, char c) {
  s->state = NAME;
  s->is_end = is_end;
  s->is_wanted = s->is_slashed = s->is_copied = false;
  s->attributes = 0;
  s->name[0] = lower(c);
  s->name_size = 1;
}

static void end_name(art_html_scanner *s) {
  art_html_kind kind = ART_HTML_OTHER;

  s->state = BETWEEN;
  if (s->name_size < sizeof(s->name))
    s->name[s->name_size] = '\0';
  else
    s->name[0] = '\0';
  if (!s->is_end) kind = s->kind(s->context, s->name);
  s->is_wanted = kind != ART_HTML_OTHER;
  s->is_void = kind == ART_HTML_WANTED_VOID;
  if (!s->is_wanted) return;
  s->tag_start = s->out_size;
  put_text(s, "<");
  put_text(s, s->name);
}

static void track_foreign(art_html_scanner *s) {
  static const char *const foreign[] = {"math", "svg", NULL};

  if (!is_in(s->name, foreign)) return;
  if (!s->is_end)
    s->foreign += !s->is_slashed;
  else if (s->foreign > 0)
    s->foreign--;
}

static void end_tag(art_html_scanner *s) {
  static const char *const raw[] = {
      "iframe", "noembed",  "noframes", "plaintext", "script",
      "style",  "textarea", "title",    "xmp",       NULL};

  s->state = TEXT;
  if (s->is_wanted) {
    put_text(s, ">");
    if (!s->is_void) {
      put_text(s, "</");
      put_text(s, s->name);
      put_text(s, ">");
    }
  }
  track_foreign(s);
  if (!s->is_end && is_in(s->name, raw) && !(s->is_slashed && s->foreign > 0)) {
    memcpy(s->raw, s->name, sizeof(s->raw));
    s->matched = 0;
    s->state = strcmp(s->name, "plaintext") == 0 ? PLAIN : RAW;
  }
  s->is_wanted = false;
}

static void scan_name(art_html_scanner *s, char c) {
  if (art_html_is_space(c) || c == '/' || c == '>') {
    end_name(s);
    s->is_slashed = c == '/';
    if (c == '>') end_tag(s);
  } else if (s->name_size < sizeof(s->name)) {
    s->name[s->name_size++] = lower(c);
  }
}

/* --- Attributes --- */

static bool is_name_character(char c) {
  return is_letter(c) || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
         c == ':' || c == '.';
}

static void scan_attribute(art_html_scanner *s, char c) {
  if (art_html_is_space(c)) {
    s->state = AFTER_ATTRIBUTE;
  } else if (c == '/') {
    s->is_slashed = true;
    s->state = BETWEEN;
  } else if (c == '>') {
    end_tag(s);
  } else if (c == '=') {
    s->state = BEFORE_VALUE;
  } else if (!is_name_character(c)) {
    drop_attribute(s);
  } else if (s->is_copied) {
    put(s, &c, 1);
    if (s->out_size - s->attribute_start > LONGEST_VALUE) drop_attribute(s);
  }
}

static void scan_between(art_html_scanner *s, char c) {
  if (c == '>') {
    end_tag(s);
  } else if (c == '/') {
    s->is_slashed = true;
  } else if (!art_html_is_space(c)) {
    s->is_slashed = false;
    s->state = ATTRIBUTE;
    s->attribute_start = s->out_size;
    s->is_copied =
        s->is_wanted && is_letter(c) && ++s->attributes <= MOST_ATTRIBUTES;
    if (!s->is_copied) return;
    put_text(s, " ");
    put(s, &c, 1);
  }
}

static void scan_after_attribute(art_html_scanner *s, char c) {
  if (art_html_is_space(c)) return;
  s->state = c == '=' ? BEFORE_VALUE : BETWEEN;
  if (c != '=') scan_between(s, c);
}

static void scan_before_value(art_html_scanner *s, char c) {
  if (art_html_is_space(c)) return;
  if (c == '>') {
    end_tag(s);
    return;
  }
  if (s->is_copied) put_text(s, "=\"");
  s->state = c == '"' ? DOUBLE_QUOTED : c == '\'' ? SINGLE_QUOTED : UNQUOTED;
  if (s->state == UNQUOTED) put_value(s, c);
}

static void scan_value(art_html_scanner *s, char c) {
  if (s->state == UNQUOTED && (art_html_is_space(c) || c == '>')) {
    end_value(s);
    if (c == '>') end_tag(s);
  } else if ((s->state == DOUBLE_QUOTED && c == '"') ||
             (s->state == SINGLE_QUOTED && c == '\'')) {
    end_value(s);
  } else {
    put_value(s, c);
  }
}

/* --- Between the tags --- */

static void scan_open(art_html_scanner *s, char c) {
  if (is_letter(c))
    begin_tag(s, false, c);
  else if (c == '/')
    s->state = END_OPEN;
  else if (c == '!')
    s->state = MARK;
  else if (c == '?')
    s->state = BOGUS;
  else if (c != '<')
    s->state = TEXT;
}

static void scan_end_open(art_html_scanner *s, char c) {
  if (is_letter(c))
    begin_tag(s, true, c);
  else
    s->state = c == '>' ? TEXT : BOGUS;
}

static void scan_mark(art_html_scanner *s, char c) {
  if (c == '>') {
    s->state = TEXT;
  } else if (c != '-') {
    s->state = BOGUS;
  } else if (s->state == MARK) {
    s->state = MARK_DASH;
  } else {
    s->state = COMMENT;
    s->matched = 2; /* "<!-->" is whole */
  }
}

static void scan_comment(art_html_scanner *s, char c) {
  if (c == '>' && (s->state == COMMENT_BANG || s->matched >= 2))
    s->state = TEXT;
  else if (c == '!' && s->state == COMMENT && s->matched >= 2)
    s->state = COMMENT_BANG;
  else {
    s->matched = c == '-' ? (s->state == COMMENT ? s->matched : 0) + 1 : 0;
    s->state = COMMENT;
  }
}

/* Looks for "</", the name, and what ends a name. */
static void scan_raw(art_html_scanner *s, char c) {
  size_t size = strlen(s->raw);

  if (s->matched == size + 2 &&
      (art_html_is_space(c) || c == '/' || c == '>')) {
    begin_tag(s, true, s->raw[0]);
    memcpy(s->name, s->raw, sizeof(s->name));
    s->name_size = size;
    scan_name(s, c);
  } else if (s->matched == 1 && c == '/') {
    s->matched = 2;
  } else if (s->matched >= 2 && s->matched < size + 2 &&
             lower(c) == s->raw[s->matched - 2]) {
    s->matched++;
  } else {
    s->matched = c == '<';
  }
}

static void scan_byte(art_html_scanner *s, char c) {
  switch (s->state) {
    case TEXT:
      if (c == '<') s->state = OPEN;
      break;
    case OPEN: scan_open(s, c); break;
    case END_OPEN: scan_end_open(s, c); break;
    case MARK:
    case MARK_DASH: scan_mark(s, c); break;
    case BOGUS:
      if (c == '>') s->state = TEXT;
      break;
    case COMMENT:
    case COMMENT_BANG: scan_comment(s, c); break;
    case RAW: scan_raw(s, c); break;
    case NAME: scan_name(s, c); break;
    case BETWEEN: scan_between(s, c); break;
    case ATTRIBUTE: scan_attribute(s, c); break;
    case AFTER_ATTRIBUTE: scan_after_attribute(s, c); break;
    case BEFORE_VALUE: scan_before_value(s, c); break;
    default: scan_value(s, c);
  }
}

void art_html_scan(art_html_scanner *s, const char *text, size_t size) {
  const char *end = text + size;

  while (text < end) {
    if (s->state == PLAIN) return;
    if (s->state == TEXT) {
      text = memchr(text, '<', (size_t) (end - text));
      if (text == NULL) return;
    }
    scan_byte(s, *text++);
  }
}
