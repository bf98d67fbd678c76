/* The sockets of libcurl on the runtime's poller. */
#ifndef ART_CURL_SOCKETS_H
#define ART_CURL_SOCKETS_H

#include "list.h"
#include "poller.h"

#include <curl/curl.h>
#include <poll.h>

struct art_client;

typedef struct art_curl_socket {
  art_watcher watcher; /* first: art_poll_free frees what starts with it */
  struct art_client *client; /* borrowed; outlives it */
  art_link link;             /* in acting or checked, while there is a reason */
  unsigned wanted;           /* ART_READABLE …: what libcurl waits for */
  unsigned ready;            /* what it is known to be */
  unsigned quiet;  /* what it is known not to be, until an edge is told */
  bool is_foreign; /* libcurl has opened it itself, and will close it */
  bool is_closed;
} art_curl_socket;

typedef struct art_sockets {
  art_curl_socket **items; /* owned; each at the index of its descriptor */
  int capacity;
  unsigned count;        /* that are open, but for foreign ones */
  art_link acting;       /* sockets that are ready for what libcurl wants */
  art_link checked;      /* those that may be */
  struct pollfd *polled; /* owned; scratch */
  nfds_t polled_capacity;
} art_sockets;

void art_sockets_init(art_sockets *sockets);
void art_sockets_free(art_sockets *sockets);

/* Tells libcurl of the sockets that are ready. */
void art_sockets_act(struct art_client *client);

/* Looks which sockets are still ready, so that libcurl is told again: it need
 * not read all there is. */
void art_sockets_check(struct art_client *client);

/* Callbacks of libcurl. The user data of on_open is a slot, of the others the
 * client. */
curl_socket_t art_sockets_on_open(void *user, curlsocktype purpose,
                                  struct curl_sockaddr *address);
int art_sockets_on_close(void *user, curl_socket_t fd);
int art_sockets_on_change(CURL *easy, curl_socket_t fd, int what, void *user,
                          void *socket);

#endif
