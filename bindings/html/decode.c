/* asyncrt.html: the bytes of a page become UTF-8. libxml2 would take a page
 * that declares nothing for Latin 1, and begin to do so at a wrong byte. */
#include "decode.h"

#include "space.h"
#include "utf8.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define NO_CONVERTER ((iconv_t) -1)
#define REPLACEMENT "\xEF\xBF\xBD"
#define PIECE 4096 /* bytes that are converted at once */

void art_html_decoder_init(art_html_decoder *d, art_html_sink sink,
                           void *context) {
  *d = (art_html_decoder){
      .sink = sink, .context = context, .converter = NO_CONVERTER};
}

void art_html_decoder_free(art_html_decoder *d) {
  if (d->converter != NO_CONVERTER) iconv_close(d->converter);
  d->converter = NO_CONVERTER;
}

/* --- Which encoding --- */

static bool is_one_of(const char *name, const char *const *names) {
  for (; *names != NULL; names++)
    if (strcasecmp(name, *names) == 0) return true;
  return false;
}

/* The name of what browsers understand by a name, for iconv. */
static const char *real_name(const char *name) {
  static const char *const latin[] = {"iso-8859-1", "iso8859-1",    "latin1",
                                      "us-ascii",   "ascii",        "l1",
                                      "cp1252",     "windows-1252", NULL};
  static const char *const chinese[] = {"gb2312", "gbk", "gb_2312-80", NULL};
  static const char *const japanese[] = {"shift_jis", "shift-jis", "sjis",
                                         "x-sjis", NULL};
  static const char *const korean[] = {"euc-kr", "ks_c_5601-1987", NULL};

  if (is_one_of(name, latin)) return "windows-1252";
  if (is_one_of(name, chinese)) return "GB18030";
  if (is_one_of(name, japanese)) return "CP932";
  if (is_one_of(name, korean)) return "CP949";
  return name;
}

/* Uses the encoding of this name; false where there is none. */
static bool use(art_html_decoder *d, const char *name) {
  static const char *const utf8[] = {"utf-8", "utf8", NULL};
  static const char *const never[] = {"utf-7", "unicode-1-1-utf-7", NULL};

  name = real_name(name);
  /* What iconv takes for options is in no name. */
  if (*name == '\0' || strchr(name, '/') != NULL || is_one_of(name, never))
    return false;
  d->windows = strcasecmp(name, "windows-1252") == 0;
  if (!d->windows && !is_one_of(name, utf8)) {
    d->converter = iconv_open("UTF-8", name);
    if (d->converter == NO_CONVERTER) return false;
  }
  snprintf(d->name, sizeof(d->name), "%s",
           is_one_of(name, utf8) ? "utf-8" : name);
  return true;
}

/* Finds the word, in any case, in the text. */
static const char *find(const char *text, const char *end, const char *word) {
  size_t size = strlen(word);

  for (; (size_t) (end - text) >= size; text++)
    if (strncasecmp(text, word, size) == 0) return text;
  return NULL;
}

/* Copies the value that follows `charset` in the tag of a meta element. */
static bool copy_charset(const char *at, const char *end, char *name,
                         size_t room) {
  size_t size = 0;
  char quote = '\0';

  at = find(at, end, "charset");
  if (at == NULL) return false;
  at += strlen("charset");
  while (at < end && art_html_is_space(*at)) at++;
  if (at == end || *at++ != '=') return false;
  while (at < end && art_html_is_space(*at)) at++;
  if (at < end && (*at == '"' || *at == '\'')) quote = *at++;
  while (at < end && size + 1 < room && *at != quote && *at != '"' &&
         *at != '\'' && *at != ';' && !art_html_is_space(*at))
    name[size++] = *at++;
  name[size] = '\0';
  return size > 0;
}

static bool find_declared(const char *head, size_t size, char *name,
                          size_t room) {
  const char *end = head + size, *at = head;

  while (at != NULL && (at = memchr(at, '<', (size_t) (end - at))) != NULL) {
    const char *close;

    if (end - at >= 4 && memcmp(at, "<!--", 4) == 0) {
      at = find(at + 4, end, "-->");
    } else if (end - at >= 6 && strncasecmp(at, "<meta", 5) == 0 &&
               (art_html_is_space(at[5]) || at[5] == '/')) {
      close = memchr(at, '>', (size_t) (end - at));
      if (close == NULL) return false;
      if (copy_charset(at, close, name, room)) return true;
      at = close;
    } else {
      at++;
    }
  }
  return false;
}

void art_html_decoder_choose(art_html_decoder *d, const char *given,
                             const char *head, size_t size) {
  char declared[sizeof(d->name)];

  if (size >= 3 && memcmp(head, "\xEF\xBB\xBF", 3) == 0 && use(d, "utf-8"))
    return;
  if (size >= 2 && memcmp(head, "\xFE\xFF", 2) == 0 && use(d, "UTF-16BE"))
    return;
  if (size >= 2 && memcmp(head, "\xFF\xFE", 2) == 0 && use(d, "UTF-16LE"))
    return;
  if (given != NULL && use(d, given)) return;
  /* A page whose ASCII could be read is not in UTF-16, whatever it says. */
  if (find_declared(head, size, declared, sizeof(declared)) &&
      strncasecmp(declared, "utf-16", 6) != 0 &&
      strncasecmp(declared, "utf-32", 6) != 0 && use(d, declared))
    return;
  use(d, "utf-8");
}

/* --- UTF-8 and windows-1252 --- */

static void put_windows(art_html_decoder *d, unsigned char byte) {
  /* From 0x80 to 0x9F; those that are 0 stand for themselves. */
  static const unsigned short characters[32] = {
      0x20AC, 0,      0x201A, 0x0192, 0x201E, 0x2026, 0x2020, 0x2021,
      0x02C6, 0x2030, 0x0160, 0x2039, 0x0152, 0,      0x017D, 0,
      0,      0x2018, 0x2019, 0x201C, 0x201D, 0x2022, 0x2013, 0x2014,
      0x02DC, 0x2122, 0x0161, 0x203A, 0x0153, 0,      0x017E, 0x0178};
  unsigned c = byte;
  char utf8[3];

  if (byte >= 0x80 && byte < 0xA0 && characters[byte - 0x80] != 0)
    c = characters[byte - 0x80];
  if (c < 0x80) {
    utf8[0] = (char) c;
    d->sink(d->context, utf8, 1);
  } else if (c < 0x800) {
    utf8[0] = (char) (0xC0 | c >> 6);
    utf8[1] = (char) (0x80 | (c & 0x3F));
    d->sink(d->context, utf8, 2);
  } else {
    utf8[0] = (char) (0xE0 | c >> 12);
    utf8[1] = (char) (0x80 | (c >> 6 & 0x3F));
    utf8[2] = (char) (0x80 | (c & 0x3F));
    d->sink(d->context, utf8, 3);
  }
}

static void decode_windows(art_html_decoder *d, const char *bytes,
                           size_t size) {
  const char *end = bytes + size, *plain = bytes;

  for (; bytes < end; bytes++)
    if ((unsigned char) *bytes >= 0x80) {
      d->sink(d->context, plain, (size_t) (bytes - plain));
      put_windows(d, (unsigned char) *bytes);
      plain = bytes + 1;
    }
  d->sink(d->context, plain, (size_t) (bytes - plain));
}

/* What a character's missing end leaves is kept in `rest`. */
static void decode_utf8(art_html_decoder *d, const char *bytes, size_t size) {
  const char *end = bytes + size, *plain = bytes;

  while (bytes < end) {
    int length = art_utf8_size(bytes, (size_t) (end - bytes));

    if (length > 0) {
      bytes += length;
      continue;
    }
    d->sink(d->context, plain, (size_t) (bytes - plain));
    if (length < 0) {
      d->rest_size = (size_t) (end - bytes);
      memcpy(d->rest, bytes, d->rest_size);
      return;
    }
    put_windows(d, (unsigned char) *bytes);
    plain = ++bytes;
  }
  d->sink(d->context, plain, (size_t) (bytes - plain));
}

static void decode_utf8_after_rest(art_html_decoder *d, const char *bytes,
                                   size_t size) {
  while (d->rest_size > 0 && size > 0) {
    char joined[sizeof(d->rest)];
    size_t length = d->rest_size;

    memcpy(joined, d->rest, length);
    joined[length++] = *bytes++;
    size--;
    d->rest_size = 0;
    decode_utf8(d, joined, length);
  }
  decode_utf8(d, bytes, size);
}

/* --- Others --- */

static void convert(art_html_decoder *d, char *in, size_t left) {
  while (left > 0) {
    char text[2 * PIECE], *out = text;
    size_t room = sizeof(text);
    size_t status = iconv(d->converter, &in, &left, &out, &room);
    int error = errno;

    d->sink(d->context, text, sizeof(text) - room);
    if (status != (size_t) -1 || error == E2BIG) continue;
    if (error == EINVAL && left < sizeof(d->rest)) {
      memcpy(d->rest, in, left);
      d->rest_size = left;
      return;
    }
    d->sink(d->context, REPLACEMENT, strlen(REPLACEMENT));
    in++;
    left--;
  }
}

static void decode_other(art_html_decoder *d, const char *bytes, size_t size) {
  while (size > 0) {
    char in[PIECE + sizeof(d->rest)];
    size_t piece = size < PIECE ? size : PIECE, kept = d->rest_size;

    memcpy(in, d->rest, kept);
    memcpy(in + kept, bytes, piece);
    d->rest_size = 0;
    bytes += piece;
    size -= piece;
    convert(d, in, kept + piece);
  }
}

void art_html_decode(art_html_decoder *d, const char *bytes, size_t size,
                     bool last) {
  if (d->windows)
    decode_windows(d, bytes, size);
  else if (d->converter == NO_CONVERTER)
    decode_utf8_after_rest(d, bytes, size);
  else
    decode_other(d, bytes, size);
  if (!last) return;
  for (size_t i = 0; i < d->rest_size; i++)
    put_windows(d, (unsigned char) d->rest[i]);
  d->rest_size = 0;
}
