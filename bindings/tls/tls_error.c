/* TLS: why a call to libssl has failed, in words and as a code. */
#include "tls.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_ALERT 1000 /* reasons from here on are alerts of the peer */

void tls_set_reason(tls_stream *self, const char *code, const char *format,
                    ...) {
  char text[512], *c;
  va_list arguments;

  va_start(arguments, format);
  vsnprintf(text, sizeof(text), format, arguments);
  va_end(arguments);
  /* Names come out of certificates, and may go to a log. */
  for (c = text; *c != '\0'; c++)
    if ((unsigned char) *c < ' ' || *c == 0x7f) *c = '?';
  free(self->reason);
  self->reason = strdup(text);
  self->code = code;
}

void tls_explain_certificate(tls_stream *self, int problem, X509 *certificate) {
  char names[256];

  if (tls_lacks_memory()) problem = X509_V_ERR_OUT_OF_MEM;
  switch (problem) {
    case X509_V_ERR_OUT_OF_MEM:
      tls_set_reason(self, "ENOMEM", "%s", uv_strerror(UV_ENOMEM));
      break;
    case X509_V_ERR_CERT_HAS_EXPIRED:
      tls_set_reason(self, "ECERT_EXPIRED", "the certificate has expired");
      break;
    case X509_V_ERR_CERT_NOT_YET_VALID:
      tls_set_reason(self, "ECERT_EARLY", "the certificate is not valid yet");
      break;
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
      tls_set_reason(self, "ECERT_SELF_SIGNED",
                     "the certificate is self-signed");
      break;
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
      tls_set_reason(self, "ECERT_UNKNOWN_CA",
                     "the certificate is of an unknown authority");
      break;
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
      tls_write_names(certificate, names, sizeof(names));
      tls_set_reason(self, "ECERT_HOST",
                     "the certificate is not for '%s' but for %s",
                     self->name != NULL ? self->name : "?", names);
      break;
    default:
      tls_set_reason(self, "ECERT", "the certificate: %s",
                     X509_verify_cert_error_string(problem));
  }
}

static void explain_alert(tls_stream *self, int alert) {
  const char *code = "ETLS_ALERT", *text = SSL_alert_desc_string_long(alert);

  if (alert == SSL_AD_PROTOCOL_VERSION) code = "ETLS_VERSION";
  if (alert == SSL_AD_NO_APPLICATION_PROTOCOL) code = "ETLS_ALPN";
  if (alert == SSL_AD_CERTIFICATE_REQUIRED) text = "certificate required";
  tls_set_reason(self, code, "refused by the peer: %s", text);
}

bool tls_lacks_memory(void) {
  unsigned long error;
  bool found = false;

  while ((error = ERR_get_error()) != 0)
    found = found || ERR_GET_REASON(error) == ERR_R_MALLOC_FAILURE;
  return found;
}

/* The first error of libssl itself: what others have added says less. But all
 * may come of a lack of memory. */
static int find_reason(void) {
  unsigned long error, first = ERR_peek_error();

  while ((error = ERR_get_error()) != 0) {
    if (ERR_GET_REASON(error) == ERR_R_MALLOC_FAILURE)
      return ERR_R_MALLOC_FAILURE;
    if (ERR_GET_LIB(error) == ERR_LIB_SSL)
      return tls_lacks_memory() ? ERR_R_MALLOC_FAILURE : ERR_GET_REASON(error);
  }
  return ERR_GET_REASON(first);
}

void tls_explain(tls_stream *self) {
  unsigned long first = ERR_peek_error();
  int reason = find_reason();
  const char *text;

  if (first == 0 && self->reason != NULL) return; /* it is known already */
  if (reason >= FIRST_ALERT && reason < FIRST_ALERT + 256) {
    explain_alert(self, reason - FIRST_ALERT);
    return;
  }
  switch (reason) {
    case ERR_R_MALLOC_FAILURE:
      tls_set_reason(self, "ENOMEM", "%s", uv_strerror(UV_ENOMEM));
      break;
    case SSL_R_CERTIFICATE_VERIFY_FAILED: break; /* that was explained */
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
      tls_set_reason(self, "ECERT_MISSING", "the client has no certificate");
      break;
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_VERSION_TOO_LOW:
    case SSL_R_NO_PROTOCOLS_AVAILABLE:
    case SSL_R_WRONG_SSL_VERSION:
      tls_set_reason(self, "ETLS_VERSION", "no version of TLS in common");
      break;
    case SSL_R_NO_APPLICATION_PROTOCOL:
      tls_set_reason(self, "ETLS_ALPN", "no application protocol in common");
      break;
    case SSL_R_HTTP_REQUEST:
    case SSL_R_HTTPS_PROXY_REQUEST:
      tls_set_reason(self, "ETLS", "the peer speaks HTTP without TLS");
      break;
    case SSL_R_WRONG_VERSION_NUMBER:
    case SSL_R_PACKET_LENGTH_TOO_LONG:
      tls_set_reason(self, "ETLS", "the peer does not speak TLS");
      break;
    default:
      text = ERR_reason_error_string(first);
      tls_set_reason(self, "ETLS", "%s", text != NULL ? text : "TLS failed");
  }
}
