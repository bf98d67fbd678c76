/* Which addresses belong to the public internet. */
#include "public.h"

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct block {
  uint32_t address;
  int bits;
} block;

/* What is none of it, or no single host. */
static const block special[] = {
    {0x00000000, 8},  /* this network */
    {0x0a000000, 8},  /* private */
    {0x64400000, 10}, /* behind a carrier's NAT */
    {0x7f000000, 8},  /* loopback */
    {0xa9fe0000, 16}, /* link-local */
    {0xac100000, 12}, /* private */
    {0xc0000000, 24}, /* protocol assignments */
    {0xc0000200, 24}, /* documentation */
    {0xc0586300, 24}, /* relays to IPv6 */
    {0xc0a80000, 16}, /* private */
    {0xc6120000, 15}, /* benchmarks */
    {0xc6336400, 24}, /* documentation */
    {0xcb007100, 24}, /* documentation */
    {0xe0000000, 3},  /* multicast, reserved, broadcast */
};

static bool is_public_four(uint32_t address) {
  size_t i;

  for (i = 0; i < sizeof(special) / sizeof(special[0]); i++)
    if ((address ^ special[i].address) >> (32 - special[i].bits) == 0)
      return false;
  return true;
}

/* The four bytes at `bytes` as an address. */
static uint32_t four_at(const uint8_t *bytes) {
  return (uint32_t) bytes[0] << 24 | (uint32_t) bytes[1] << 16 |
         (uint32_t) bytes[2] << 8 | bytes[3];
}

static bool begins_with(const uint8_t *bytes, const char *prefix, size_t size) {
  return memcmp(bytes, prefix, size) == 0;
}

static bool is_public_six(const uint8_t *bytes) {
  if (begins_with(bytes, "\0\0\0\0\0\0\0\0\0\0\xff\xff", 12) ||
      begins_with(bytes, "\0\x64\xff\x9b\0\0\0\0\0\0\0\0", 12))
    return is_public_four(four_at(bytes + 12)); /* mapped; NAT64 */
  if (begins_with(bytes, "\x20\x02", 2))
    return is_public_four(four_at(bytes + 2)); /* 6to4 */
  if ((bytes[0] & 0xe0) != 0x20) return false; /* not of 2000::/3 */
  if (begins_with(bytes, "\x20\x01", 2) && bytes[2] < 2)
    return false; /* protocol assignments, Teredo, ORCHID */
  if (begins_with(bytes, "\x20\x01\x0d\xb8", 4)) return false;
  if (begins_with(bytes, "\x3f\xff", 2) && bytes[2] < 0x10)
    return false; /* documentation, as the one above */
  return true;
}

bool art_is_public(const struct sockaddr *address) {
  if (address->sa_family == AF_INET) {
    const struct sockaddr_in *four = (const void *) address;

    return is_public_four(ntohl(four->sin_addr.s_addr));
  }
  if (address->sa_family == AF_INET6) {
    const struct sockaddr_in6 *six = (const void *) address;

    return is_public_six(six->sin6_addr.s6_addr);
  }
  return false;
}
