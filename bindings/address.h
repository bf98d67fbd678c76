/* Addresses of sockets: "host:port", "[::1]:port", "unix:/path", "unix:@name"
 * (Linux's abstract sockets) and "fd:3" (an inherited socket). */
#ifndef ART_ADDRESS_H
#define ART_ADDRESS_H

#include "asyncrt.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#define ART_ADDRESS_TEXT 136 /* bytes that hold any formatted address */
#define ART_HOST_TEXT 256    /* bytes that hold any host name */

typedef enum art_address_kind {
  ART_ADDRESS_IP,   /* `socket` is set */
  ART_ADDRESS_NAME, /* a host name to look up */
  ART_ADDRESS_UNIX, /* `socket` is set */
  ART_ADDRESS_FD
} art_address_kind;

typedef union art_sockaddr {
  struct sockaddr any;
  struct sockaddr_in in;
  struct sockaddr_in6 in6;
  struct sockaddr_un un;
} art_sockaddr;

typedef struct art_address {
  art_address_kind kind;
  int fd;
  uint16_t port;
  char host[ART_HOST_TEXT]; /* of a NAME */
  socklen_t length;         /* of `socket` */
  art_sockaddr socket;
} art_address;

/* Reads `text`; returns NULL, or what is wrong with it. No host means the
 * loopback interface: what others may reach has to be said. */
const char *art_address_parse(const char *text, art_address *address);

/* Reads an IP address without a port; false where `text` is not one. */
bool art_address_parse_ip(const char *text, uint16_t port,
                          art_address *address);

/* The argument `arg` as an address; raises where it is not one. */
void art_check_address(lua_State *L, int arg, art_address *address);

/* Writes the text of an address, at most ART_ADDRESS_TEXT bytes. */
void art_address_format(const struct sockaddr *address, socklen_t length,
                        char *text, size_t size);

/* Sets the port of an IP address. */
void art_address_set_port(struct sockaddr *address, uint16_t port);

#endif
