/* The addresses of host names, looked up by the runtime and not by libcurl: so
 * that a look-up is bounded, can be given up, and takes no thread of its own.
 * Kept for a minute. */
#ifndef ART_CURL_NAMES_H
#define ART_CURL_NAMES_H

#include "list.h"
#include "lookup.h"

#include <curl/curl.h>

#define ART_NAME_BUCKETS 256u

struct art_names;

/* Called for each that waits, once its name has an answer, or has not. */
typedef void (*art_name_done)(art_link *waiting, int status);

typedef struct art_name {
  art_link link;            /* in its bucket */
  struct art_names *names;  /* borrowed; NULL once it is in no bucket */
  art_lookup *lookup;       /* owned; while it is under way */
  struct curl_slist *known; /* owned; the answer for CURLOPT_RESOLVE, or NULL */
  uint64_t expires;
  unsigned users;   /* transfers that wait for the answer or use it */
  art_link waiting; /* transfers */
  art_name_done done;
  uint16_t port;
  char host[]; /* in lower case */
} art_name;

typedef struct art_names {
  asyncrt *rt;          /* borrowed */
  art_lookups *lookups; /* borrowed; as old as the Lua state */
  art_link buckets[ART_NAME_BUCKETS];
  unsigned count;
} art_names;

void art_names_init(art_names *names, asyncrt *rt, art_lookups *lookups);
void art_names_free(art_names *names);

/* The entry of a host, of which the caller becomes a user; a look-up is under
 * way where nothing is known. NULL without memory. `done` is called from the
 * loop for whoever is in `waiting` then. */
art_name *art_name_get(art_names *names, const char *host, uint16_t port,
                       art_name_done done);
void art_name_put(art_name *name);

/* Whether libcurl needs no look-up: an address, or localhost. */
bool art_name_is_known(const char *host);

#endif
