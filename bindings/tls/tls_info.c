/* TLS: what the two sides of a connection have agreed on. */
#include "tls.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <time.h>

/* --- The names that a certificate is for --- */

static const char *write_address(const ASN1_OCTET_STRING *address, char *text,
                                 size_t size) {
  int length = ASN1_STRING_length(address);
  int family = length == 4 ? AF_INET : AF_INET6;

  if (length != 4 && length != 16) return NULL;
  return uv_inet_ntop(family, ASN1_STRING_get0_data(address), text, size) == 0
             ? text
             : NULL;
}

/* The kind of a name, and its text, which may be put into `text`; NULL for one
 * of another kind. */
static const char *read_name(const GENERAL_NAME *name, const char **kind,
                             char *text, size_t size) {
  const ASN1_STRING *string = NULL;

  switch (name->type) {
    case GEN_DNS:
      *kind = "DNS:";
      string = name->d.dNSName;
      break;
    case GEN_EMAIL:
      *kind = "email:";
      string = name->d.rfc822Name;
      break;
    case GEN_URI:
      *kind = "URI:";
      string = name->d.uniformResourceIdentifier;
      break;
    case GEN_IPADD:
      *kind = "IP:";
      return write_address(name->d.iPAddress, text, size);
    default: return NULL;
  }
  /* With a NUL in it, it only looks like another name. */
  if (strlen((const char *) ASN1_STRING_get0_data(string)) !=
      (size_t) ASN1_STRING_length(string))
    return NULL;
  return (const char *) ASN1_STRING_get0_data(string);
}

static GENERAL_NAMES *names_of(X509 *certificate) {
  GENERAL_NAMES *names =
      X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);

  ERR_clear_error();
  return names;
}

void tls_write_names(X509 *certificate, char *text, size_t size) {
  GENERAL_NAMES *names = certificate != NULL ? names_of(certificate) : NULL;
  size_t length = 0;
  int i;

  *text = '\0';
  for (i = 0; i < sk_GENERAL_NAME_num(names) && length < size; i++) {
    char address[64];
    const char *kind = "";
    const char *name = read_name(sk_GENERAL_NAME_value(names, i), &kind,
                                 address, sizeof(address));

    if (name == NULL) continue;
    length += (size_t) snprintf(text + length, size - length, "%s%s%s",
                                length > 0 ? ", " : "", kind, name);
  }
  if (length == 0) snprintf(text, size, "no name");
  GENERAL_NAMES_free(names);
}

/* --- Lua --- */

static void set_text(lua_State *L, const char *field, const char *text) {
  if (text == NULL) return;
  lua_pushstring(L, text);
  lua_setfield(L, -2, field);
}

/* Seconds since 1970. */
static void set_time(lua_State *L, const char *field, const ASN1_TIME *time) {
  struct tm parts;

  if (ASN1_TIME_to_tm(time, &parts) != 1) return;
  lua_pushinteger(L, (lua_Integer) timegm(&parts));
  lua_setfield(L, -2, field);
}

static void set_name(lua_State *L, const char *field, const X509_NAME *name) {
  char text[1024];
  BIO *bio = BIO_new(BIO_s_mem());
  int size = -1;

  if (bio != NULL && X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253) >= 0)
    size = BIO_read(bio, text, sizeof(text));
  BIO_free(bio);
  lua_pushlstring(L, text, size > 0 ? (size_t) size : 0);
  lua_setfield(L, -2, field);
}

static void set_fingerprint(lua_State *L, const X509 *certificate) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  char text[2 * EVP_MAX_MD_SIZE + 1];
  unsigned size, i;

  if (X509_digest(certificate, EVP_sha256(), digest, &size) != 1) return;
  for (i = 0; i < size; i++) snprintf(text + 2 * i, 3, "%02x", digest[i]);
  set_text(L, "fingerprint", text);
}

/* Raises nothing but the lack of memory, which the names would not survive:
 * they are freed by a protected call's caller. */
static int push_names(lua_State *L) {
  const GENERAL_NAMES *names = lua_touserdata(L, 1);
  int i;

  lua_newtable(L);
  for (i = 0; i < sk_GENERAL_NAME_num(names); i++) {
    char address[64];
    const char *kind = "";
    const char *name = read_name(sk_GENERAL_NAME_value(names, i), &kind,
                                 address, sizeof(address));

    if (name == NULL) continue;
    lua_pushfstring(L, "%s%s", kind, name);
    lua_rawseti(L, -2, (lua_Integer) lua_rawlen(L, -2) + 1);
  }
  return 1;
}

static void set_names(lua_State *L, X509 *certificate) {
  GENERAL_NAMES *names = names_of(certificate);
  int status;

  lua_pushcfunction(L, push_names);
  lua_pushlightuserdata(L, names);
  status = lua_pcall(L, 1, 1, 0);
  GENERAL_NAMES_free(names);
  if (status != LUA_OK) lua_error(L);
  lua_setfield(L, -2, "names");
}

static void set_peer(lua_State *L, const tls_stream *self) {
  X509 *certificate = SSL_get0_peer_certificate(self->ssl);

  if (certificate == NULL) return;
  lua_createtable(L, 0, 6);
  set_name(L, "subject", X509_get_subject_name(certificate));
  set_name(L, "issuer", X509_get_issuer_name(certificate));
  set_names(L, certificate);
  set_fingerprint(L, certificate);
  set_time(L, "not_before", X509_get0_notBefore(certificate));
  set_time(L, "not_after", X509_get0_notAfter(certificate));
  lua_setfield(L, -2, "peer");
}

int tls_push_info(lua_State *L, art_stream *stream) {
  const tls_stream *self = tls_of(stream);
  const SSL *ssl = self->ssl;
  const unsigned char *protocol;
  unsigned protocol_size;

  if (!self->established) {
    lua_pushnil(L);
    return 1;
  }
  lua_createtable(L, 0, 7);
  set_text(L, "version", SSL_get_version(ssl));
  set_text(L, "cipher", SSL_get_cipher_name(ssl));
  set_text(L, "server_name",
           SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name));
  SSL_get0_alpn_selected(ssl, &protocol, &protocol_size);
  if (protocol_size > 0) {
    lua_pushlstring(L, (const char *) protocol, protocol_size);
    lua_setfield(L, -2, "alpn");
  }
  set_peer(L, self);
  lua_pushboolean(L, SSL_get_verify_mode(ssl) != SSL_VERIFY_NONE &&
                         SSL_get0_peer_certificate(ssl) != NULL &&
                         SSL_get_verify_result(ssl) == X509_V_OK);
  lua_setfield(L, -2, "verified");
  lua_pushboolean(L, SSL_session_reused(ssl));
  lua_setfield(L, -2, "resumed");
  return 1;
}
