/* asyncrt.core.dns: names and addresses of hosts. */
#include "bindings.h"
#include "error.h"
#include "lookup.h"
#include "op.h"
#include "options.h"

#include <string.h>

static int family_option(lua_State *L, int arg) {
  switch (art_option_integer(L, arg, "family", 4, 6, 0)) {
    case 0: return AF_UNSPEC;
    case 4: return AF_INET;
    case 6: return AF_INET6;
    default: art_raise_argument(L, arg, "option 'family': 4 or 6 expected");
  }
}

/* dns.resolve(host [, {family = 4 | 6}]) -> {address, …} | nil, message, code
 *
 * Waits, at most 5 s, for the addresses of a host as strings, the preferred one
 * first. Source: getaddrinfo, so /etc/hosts and nsswitch.conf count. */
static int dns_resolve(lua_State *L) {
  static const char *const names[] = {"family", NULL};
  const char *host = art_check_cstring(L, 1);

  if (*host == '\0' || strlen(host) >= ART_HOST_TEXT)
    art_raise_argument(L, 1, "host name of 1 to 255 bytes expected");
  art_check_options(L, 2, names);
  return asyncrt_perform(L, art_lookup_prepare(L, host, family_option(L, 2)));
}

/* dns.reverse(address) -> name | nil, message, code
 *
 * Waits, at most 5 s, for the name of the host with this IP address. */
static int dns_reverse(lua_State *L) {
  const char *text = art_check_cstring(L, 1);
  art_address address;

  if (!art_address_parse_ip(text, 0, &address))
    art_raise_argument(L, 1, "IP address without a port expected");
  return asyncrt_perform(L, art_lookup_prepare_reverse(L, text, &address));
}

static const luaL_Reg functions[] = {
    {"resolve", dns_resolve},
    {"reverse", dns_reverse},
    {NULL, NULL},
};

int art_open_dns(lua_State *L) {
  luaL_newlib(L, functions);
  return 1;
}
