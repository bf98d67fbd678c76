/* The addresses of host names. */
#include "names.h"

#include "runtime.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define KEPT_NS (60 * (uint64_t) ART_NS_PER_SECOND)
#define MOST_NAMES 1024u
#define MOST_ADDRESSES 8

static bool ends_with(const char *text, const char *end) {
  size_t length = strlen(text), end_length = strlen(end);

  return length >= end_length &&
         strcasecmp(text + length - end_length, end) == 0;
}

bool art_name_is_known(const char *host) {
  art_address address;

  return host[0] == '[' || strcasecmp(host, "localhost") == 0 ||
         ends_with(host, ".localhost") ||
         art_address_parse_ip(host, 0, &address);
}

static unsigned bucket_of(const char *host, uint16_t port) {
  uint32_t hash = port;

  for (; *host != '\0'; host++)
    hash = (hash ^ (unsigned char) tolower((unsigned char) *host)) * 16777619u;
  return (hash ^ (hash >> 16)) % ART_NAME_BUCKETS;
}

static void destroy(art_name *name) {
  if (name->lookup != NULL) art_lookup_release(name->lookup);
  curl_slist_free_all(name->known);
  free(name);
}

/* Takes the entry out of its bucket; its last user frees it. */
static void forget(art_name *name) {
  art_list_remove(&name->link);
  name->names->count--;
  name->names = NULL;
  if (name->users == 0) destroy(name);
}

static bool is_stale(const art_name *name) {
  return name->known != NULL && name->expires <= asyncrt_now(name->names->rt);
}

/* Forgets those that nobody uses: the stale ones, or all. */
static void forget_unused(art_names *names, bool all) {
  unsigned i;

  for (i = 0; i < ART_NAME_BUCKETS; i++) {
    art_link *link = names->buckets[i].next, *next;

    for (; link != &names->buckets[i]; link = next) {
      art_name *name = art_container_of(link, art_name, link);

      next = link->next;
      if (name->users == 0 && (all || is_stale(name))) forget(name);
    }
  }
}

/* Adds an address to the text "+host:port:address,address". */
static int add_address(char *text, size_t size, const struct addrinfo *info) {
  char address[INET6_ADDRSTRLEN];
  const char *separator = text[strlen(text) - 1] == ':' ? "" : ",";
  bool is_four = info->ai_family == AF_INET;
  const void *socket = info->ai_addr;
  int failed = is_four ? uv_ip4_name(socket, address, sizeof(address))
                       : uv_ip6_name(socket, address, sizeof(address));

  if (failed) return 0;
  snprintf(text + strlen(text), size - strlen(text),
           is_four ? "%s%s" : "%s[%s]", separator, address);
  return 1;
}

/* Makes the answer what CURLOPT_RESOLVE takes; 0 or a negative UV_E*. */
static int keep_answer(art_name *name, const struct addrinfo *info) {
  char text[ART_HOST_TEXT + MOST_ADDRESSES * (INET6_ADDRSTRLEN + 4) + 16];
  int count = 0;

  snprintf(text, sizeof(text), "+%s:%u:", name->host, name->port);
  for (; info != NULL && count < MOST_ADDRESSES; info = info->ai_next)
    count += add_address(text, sizeof(text), info);
  if (count == 0) return UV_EAI_NONAME;
  name->known = curl_slist_append(NULL, text);
  if (name->known == NULL) return UV_ENOMEM;
  name->expires = asyncrt_now(name->names->rt) + KEPT_NS;
  return 0;
}

static void on_answer(art_lookup *lookup) {
  art_name *name = lookup->owner;
  art_name_done done = name->done;
  int status = lookup->status;

  if (status == 0) status = keep_answer(name, lookup->addresses);
  name->lookup = NULL;
  art_lookup_release(lookup);
  name->users++; /* until all have been told */
  while (!art_list_empty(&name->waiting)) {
    art_link *waiting = name->waiting.next;

    art_list_remove(waiting);
    done(waiting, status);
  }
  art_name_put(name);
}

static art_name *new_name(art_names *names, const char *host, uint16_t port,
                          art_name_done done) {
  size_t length = strlen(host), i;
  art_name *name = calloc(1, sizeof(*name) + length + 1);

  if (name == NULL) return NULL;
  for (i = 0; i < length; i++)
    name->host[i] = (char) tolower((unsigned char) host[i]);
  name->port = port;
  name->done = done;
  art_list_init(&name->waiting);
  name->lookup =
      art_lookup_start(names->lookups, name->host, AF_UNSPEC, name, on_answer);
  if (name->lookup == NULL) {
    free(name);
    return NULL;
  }
  name->names = names;
  art_list_append(&names->buckets[bucket_of(host, port)], &name->link);
  names->count++;
  return name;
}

static art_name *find(art_names *names, const char *host, uint16_t port) {
  const art_link *bucket = &names->buckets[bucket_of(host, port)];
  art_link *link;

  for (link = bucket->next; link != bucket; link = link->next) {
    art_name *name = art_container_of(link, art_name, link);

    if (name->port == port && strcasecmp(name->host, host) == 0) return name;
  }
  return NULL;
}

art_name *art_name_get(art_names *names, const char *host, uint16_t port,
                       art_name_done done) {
  art_name *name = find(names, host, port);

  if (name != NULL && is_stale(name)) {
    forget(name);
    name = NULL;
  }
  if (name == NULL) {
    if (names->count >= MOST_NAMES) forget_unused(names, false);
    if (names->count >= MOST_NAMES) forget_unused(names, true);
    name = new_name(names, host, port, done);
  }
  if (name != NULL) name->users++;
  return name;
}

void art_name_put(art_name *name) {
  if (--name->users > 0) return;
  if (name->names == NULL)
    destroy(name);
  else if (name->known == NULL)
    forget(name); /* nobody wants the answer any more */
}

void art_names_init(art_names *names, asyncrt *rt, art_lookups *lookups) {
  unsigned i;

  names->rt = rt;
  names->lookups = lookups;
  for (i = 0; i < ART_NAME_BUCKETS; i++) art_list_init(&names->buckets[i]);
}

void art_names_free(art_names *names) {
  forget_unused(names, true);
}
