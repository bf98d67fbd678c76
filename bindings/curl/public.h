/* Which addresses belong to the public internet. */
#ifndef ART_CURL_PUBLIC_H
#define ART_CURL_PUBLIC_H

#include <stdbool.h>
#include <sys/socket.h>

/* Source: the IANA registries of special-purpose addresses. An address that
 * carries one of IPv4 is what that one is. */
bool art_is_public(const struct sockaddr *address);

#endif
