/* The HTTP client: a libcurl multi handle on the runtime's poller and timers,
 * and what it keeps between transfers. */
#ifndef ART_CURL_CLIENT_H
#define ART_CURL_CLIENT_H

#include "asyncrt.h"
#include "list.h"
#include "names.h"
#include "sockets.h"
#include "timer.h"

#include <curl/curl.h>

struct art_transfer;

/* An easy handle, kept for the next transfer. */
typedef struct art_slot {
  struct art_slot *next;         /* among the free ones */
  CURL *easy;                    /* owned */
  struct art_transfer *transfer; /* borrowed; who uses it, or NULL */
  long version;                  /* what is set: CURLOPT_HTTP_VERSION */
  long connect_timeout;          /* CURLOPT_CONNECTTIMEOUT_MS */
  bool decodes;                  /* CURLOPT_ACCEPT_ENCODING */
  bool waits;                    /* CURLOPT_PIPEWAIT */
  char error[CURL_ERROR_SIZE];   /* where libcurl says what went wrong */
} art_slot;

typedef struct art_client_options {
  long connections, per_host; /* 0: no limit */
  bool cookies;
  const char *cookie_file; /* borrowed; or NULL */
} art_client_options;

typedef struct art_client {
  asyncrt *rt; /* borrowed; outlives it */
  asyncrt_handle handle;
  struct art_client **box; /* shared with the Lua object, or NULL */
  unsigned users;          /* the handle, and each transfer until it is freed */
  CURLM *multi;            /* owned; NULL once it is closed */
  CURLSH *share;           /* owned; sessions of TLS, cookies */
  bool cookies;
  char *cookie_file;  /* owned, or NULL */
  art_link transfers; /* that are under way */
  art_link told;      /* those of which a callback of libcurl has told */
  art_link resumed;   /* those that need not pause any longer */
  unsigned count;     /* of transfers under way */
  bool lacks_memory;  /* libcurl has said so */
  art_slot *free_slots;
  unsigned free_count;
  art_names names;
  art_sockets sockets;
  art_callback_timer timer;
  uint64_t due;        /* when libcurl wants to be called */
  uv_timer_t *seconds; /* owned; tells that under virtual time, or NULL */
  bool working;        /* libcurl is being called */
} art_client;

/* A new client of the runtime of L, of which it is an open handle; NULL
 * without memory. */
art_client *art_client_new(lua_State *L, const art_client_options *options);

/* Ends every transfer and closes every connection. Idempotent. */
void art_client_close(art_client *client);

/* Gives up what counts as a user. */
void art_client_release(art_client *client);

/* Has libcurl called soon: from the loop, never from here. */
void art_client_schedule(art_client *client);

/* Has libcurl look at a socket, or at its time. */
void art_client_act(art_client *client, curl_socket_t fd, int what);

/* An easy handle with the options that every transfer has; NULL without
 * memory. `clean` says of one that is given back that nothing else was set. */
art_slot *art_slot_take(art_client *client);
void art_slot_give(art_client *client, art_slot *slot, bool clean);

#endif
