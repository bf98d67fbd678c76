/* TLS: the sessions that a client may go on with, by server. */
#include "tls.h"

#include "address.h"

#include <stdlib.h>
#include <string.h>

#define MOST_SESSIONS 64

struct tls_session {
  char *server;         /* owned; NULL in an empty place */
  SSL_SESSION *session; /* owned */
  uint64_t age;         /* the higher the younger */
};

/* One that serves a name at an address goes on with its own sessions alone: the
 * certificate was verified for that name. */
static char *server_of(const tls_stream *self) {
  char peer[ART_ADDRESS_TEXT], *server = NULL;

  self->below->type->address(self->below, true, peer, sizeof(peer));
  if (asprintf(&server, "%s %s", self->name != NULL ? self->name : "", peer) <
      0)
    return NULL;
  return server;
}

static void empty(tls_session *place) {
  free(place->server);
  SSL_SESSION_free(place->session);
  memset(place, 0, sizeof(*place));
}

static tls_session *find(const tls_config *config, const char *server) {
  size_t i;

  for (i = 0; config->sessions != NULL && i < MOST_SESSIONS; i++)
    if (config->sessions[i].server != NULL &&
        strcmp(config->sessions[i].server, server) == 0)
      return &config->sessions[i];
  return NULL;
}

static tls_session *oldest_of(const tls_config *config) {
  tls_session *oldest = config->sessions;
  size_t i;

  for (i = 1; i < MOST_SESSIONS; i++)
    if (config->sessions[i].age < oldest->age) oldest = &config->sessions[i];
  return oldest;
}

int tls_on_session(SSL *ssl, SSL_SESSION *session) {
  tls_stream *self = SSL_get_app_data(ssl);
  tls_config *config = self->config;
  char *server = server_of(self);
  tls_session *place;

  if (config->sessions == NULL)
    config->sessions = calloc(MOST_SESSIONS, sizeof(*config->sessions));
  if (server == NULL || config->sessions == NULL) {
    free(server);
    return 0;
  }
  place = find(config, server);
  if (place == NULL) place = oldest_of(config);
  empty(place);
  place->server = server;
  place->session = session;
  place->age = ++config->session_count;
  return 1; /* the reference is kept */
}

void tls_resume_session(tls_stream *self) {
  char *server = server_of(self);
  tls_session *place = server != NULL ? find(self->config, server) : NULL;

  free(server);
  if (place == NULL) return;
  SSL_set_session(self->ssl, place->session);
  /* Two connections with one ticket could be told to belong together.
   * Source: RFC 8446, C.4. */
  if (SSL_SESSION_get_protocol_version(place->session) > TLS1_2_VERSION)
    empty(place);
}

void tls_free_sessions(tls_config *config) {
  size_t i;

  for (i = 0; config->sessions != NULL && i < MOST_SESSIONS; i++)
    if (config->sessions[i].server != NULL) empty(&config->sessions[i]);
  free(config->sessions);
}
