/* Addresses of sockets: "host:port", "unix:/path", "fd:3". */
#include "address.h"

#include "error.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

/* Reads digits alone, up to `limit`; -1 for anything else. */
static int parse_number(const char *text, int limit) {
  int value = 0;

  if (*text == '\0') return -1;
  for (; *text != '\0'; text++) {
    if (*text < '0' || *text > '9') return -1;
    value = 10 * value + (*text - '0');
    if (value > limit) return -1;
  }
  return value;
}

bool art_address_parse_ip(const char *text, uint16_t port,
                          art_address *address) {
  if (uv_ip4_addr(text, port, &address->socket.in) == 0)
    address->length = sizeof(address->socket.in);
  else if (uv_ip6_addr(text, port, &address->socket.in6) == 0)
    address->length = sizeof(address->socket.in6);
  else
    return false;
  address->kind = ART_ADDRESS_IP;
  address->port = port;
  return true;
}

static const char *parse_unix(const char *path, art_address *address) {
  struct sockaddr_un *un = &address->socket.un;
  size_t length = strlen(path);

  if (length == 0) return "the path is empty";
  if (length >= sizeof(un->sun_path)) return "the path is too long";
  memset(un, 0, sizeof(*un));
  un->sun_family = AF_UNIX;
  memcpy(un->sun_path, path, length);
  address->kind = ART_ADDRESS_UNIX;
  /* A path ends with its NUL; an abstract name begins with one instead. */
  address->length = (socklen_t) (offsetof(struct sockaddr_un, sun_path) +
                                 length + (*path != '@'));
  if (*path == '@') un->sun_path[0] = '\0';
  return NULL;
}

static const char *parse_fd(const char *number, art_address *address) {
  address->kind = ART_ADDRESS_FD;
  address->fd = parse_number(number, 1 << 20);
  if (address->fd < 0) return "a descriptor number is expected after 'fd:'";
  if (address->fd < 3) return "descriptors 0 to 2 are the standard streams";
  return NULL;
}

const char *art_address_parse(const char *text, art_address *address) {
  const char *colon = strrchr(text, ':');
  size_t length;
  int port;

  if (strncmp(text, "unix:", 5) == 0) return parse_unix(text + 5, address);
  if (strncmp(text, "fd:", 3) == 0) return parse_fd(text + 3, address);
  if (colon == NULL) return "no port: 'host:port' is expected";
  port = parse_number(colon + 1, 65535);
  if (port < 0) return "the port is no number from 0 to 65535";

  length = (size_t) (colon - text);
  if (length > 1 && text[0] == '[' && colon[-1] == ']') {
    text++;
    length -= 2;
    if (memchr(text, ':', length) == NULL) return "no IPv6 address in brackets";
  } else if (memchr(text, ':', length) != NULL) {
    return "an IPv6 address needs brackets: '[::1]:80'";
  }
  if (length >= sizeof(address->host)) return "the host name is too long";
  memcpy(address->host, text, length);
  address->host[length] = '\0';
  if (length == 0) strcpy(address->host, "127.0.0.1");

  if (art_address_parse_ip(address->host, (uint16_t) port, address))
    return NULL;
  if (strpbrk(address->host, ":[] /") != NULL) return "no host name or address";
  address->kind = ART_ADDRESS_NAME;
  address->port = (uint16_t) port;
  return NULL;
}

void art_check_address(lua_State *L, int arg, art_address *address) {
  const char *text = art_check_cstring(L, arg);
  const char *problem = art_address_parse(text, address);

  if (problem != NULL)
    art_raise_argument(L, arg,
                       lua_pushfstring(L, "address '%s': %s", text, problem));
}

static void format_unix(const struct sockaddr_un *un, socklen_t length,
                        char *text, size_t size) {
  int path = (int) length - (int) offsetof(struct sockaddr_un, sun_path);

  if (path <= 0)
    snprintf(text, size, "unix:");
  else if (un->sun_path[0] == '\0')
    snprintf(text, size, "unix:@%.*s", path - 1, un->sun_path + 1);
  else
    snprintf(text, size, "unix:%.*s", path, un->sun_path);
}

void art_address_format(const struct sockaddr *address, socklen_t length,
                        char *text, size_t size) {
  const void *any = address;
  char ip[INET6_ADDRSTRLEN] = "?";

  if (length < sizeof(address->sa_family)) {
    snprintf(text, size, "?");
    return;
  }
  switch (address->sa_family) {
    case AF_INET: {
      const struct sockaddr_in *in = any;
      uv_ip4_name(in, ip, sizeof(ip));
      snprintf(text, size, "%s:%u", ip, ntohs(in->sin_port));
      break;
    }
    case AF_INET6: {
      const struct sockaddr_in6 *in6 = any;
      uv_ip6_name(in6, ip, sizeof(ip));
      snprintf(text, size, "[%s]:%u", ip, ntohs(in6->sin6_port));
      break;
    }
    case AF_UNIX: format_unix(any, length, text, size); break;
    default: snprintf(text, size, "?");
  }
}

void art_address_set_port(struct sockaddr *address, uint16_t port) {
  void *any = address;

  if (address->sa_family == AF_INET)
    ((struct sockaddr_in *) any)->sin_port = htons(port);
  else if (address->sa_family == AF_INET6)
    ((struct sockaddr_in6 *) any)->sin6_port = htons(port);
}
