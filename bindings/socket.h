/* Sockets as streams, and the count of those that are open. */
#ifndef ART_SOCKET_H
#define ART_SOCKET_H

#include "address.h"
#include "list.h"
#include "stream.h"

/* How many connections of a listener may be open. */
typedef struct art_quota {
  unsigned users; /* the listener and its connections */
  unsigned open, limit;
} art_quota;

typedef struct art_socket {
  art_stream stream; /* first */
  art_quota *quota;  /* shared, or NULL */
  void *owner;       /* borrowed; of a socket that is being connected */
  bool tcp;
  socklen_t peer_length, peer_capacity;
  char peer[]; /* a struct sockaddr */
} art_socket;

/* Allocates a socket with room for a peer's address; NULL without memory.
 * It is no stream before art_socket_open. */
art_socket *art_socket_new(socklen_t peer_capacity);

/* Makes it a stream on `fd`, non-blocking and close-on-exec, which it owns. */
void art_socket_open(art_socket *socket, asyncrt *rt, int fd, bool tcp,
                     art_quota *quota);

void art_quota_release(art_quota *quota);

/* How many sockets this process may have open, and has. */
unsigned art_socket_limit(void);
unsigned art_socket_count(void);

/* Something that waits for a socket of this thread to be closed; it is removed
 * before on_free is called. */
typedef struct art_starved {
  art_link link; /* initialised */
  void (*on_free)(struct art_starved *starved);
} art_starved;

void art_starved_add(art_starved *starved);
void art_starved_remove(art_starved *starved);

/* setsockopt with an int. Returns 0 or a negative UV_E*. */
int art_socket_option(int fd, int level, int option, int value);

/* Writes the local or the peer's address of a descriptor. */
void art_socket_address(int fd, bool peer, char *text, size_t size);

#endif
