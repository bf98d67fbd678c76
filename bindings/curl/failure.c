/* What libcurl's results are called. */
#include "failure.h"

#include <string.h>

typedef struct naming {
  CURLcode result;
  const char *code;
  const char *reason; /* NULL: libcurl's own, which has the details */
} naming;

static const naming namings[] = {
    {CURLE_ABORTED_BY_CALLBACK, "EPRIVATE", "not a public address"},
    {CURLE_BAD_CONTENT_ENCODING, "EPROTO", "the body cannot be decompressed"},
    {CURLE_GOT_NOTHING, "ECONNRESET", "closed without a response"},
    {CURLE_HTTP2, "EPROTO", NULL},
    {CURLE_HTTP2_STREAM, "EPROTO", NULL},
    {CURLE_HTTP_POST_ERROR, "EPROTO", NULL},
    {CURLE_OUT_OF_MEMORY, "ENOMEM", "not enough memory"},
    {CURLE_PARTIAL_FILE, "ETRUNCATED", "the body ended early"},
    {CURLE_PROXY, "EPROXY", NULL},
    {CURLE_SEND_FAIL_REWIND, "ECONNRESET",
     "the connection broke, and the body cannot be sent again"},
    {CURLE_SSL_CACERT_BADFILE, "ECERT", NULL},
    {CURLE_SSL_CERTPROBLEM, "ECERT", NULL},
    {CURLE_SSL_CIPHER, "ETLS", NULL},
    {CURLE_SSL_CONNECT_ERROR, "ETLS", NULL},
    {CURLE_SSL_INVALIDCERTSTATUS, "ECERT", NULL},
    {CURLE_SSL_ISSUER_ERROR, "ECERT", NULL},
    {CURLE_UNSUPPORTED_PROTOCOL, "EPROTO", NULL},
    {CURLE_WEIRD_SERVER_REPLY, "EPROTO", NULL},
};

/* What is wrong with the server's certificate, in the words of asyncrt.tls. */
static void tell_certificate(art_transfer *transfer, const char *details) {
  enum { EARLY = 9, EXPIRED = 10, SELF_SIGNED = 18, IN_CHAIN = 19 };
  enum { NO_ISSUER = 2, NO_LOCAL_ISSUER = 20, UNVERIFIED = 21 };
  const char *code = "ECERT";
  long result = 0; /* one of OpenSSL's X509_V_ERR_ */

  curl_easy_getinfo(transfer->slot->easy, CURLINFO_SSL_VERIFYRESULT, &result);
  switch (result) {
    case EARLY: code = "ECERT_EARLY"; break;
    case EXPIRED: code = "ECERT_EXPIRED"; break;
    case SELF_SIGNED: code = "ECERT_SELF_SIGNED"; break;
    case IN_CHAIN:
    case NO_ISSUER:
    case NO_LOCAL_ISSUER:
    case UNVERIFIED: code = "ECERT_UNKNOWN_CA"; break;
    default: /* libcurl compares names itself, and has no number for it */
      if (strstr(details, "target host name") != NULL) code = "ECERT_HOST";
      break;
  }
  art_transfer_fail(transfer, code, "%s", details);
}

static void tell_system(art_transfer *transfer, int error,
                        const char *otherwise, const char *reason) {
  static const struct {
    int error;
    const char *code;
  } codes[] = {
      {UV_ECONNREFUSED, "ECONNREFUSED"},
      {UV_ECONNRESET, "ECONNRESET"},
      {UV_EPIPE, "ECONNRESET"},
      {UV_ETIMEDOUT, "ECONNTIMEDOUT"},
      {UV_ENETUNREACH, "ENETUNREACH"},
      {UV_EHOSTUNREACH, "EHOSTUNREACH"},
      {UV_EMFILE, "EMFILE"},
      {UV_ENFILE, "ENFILE"},
      {UV_ENOMEM, "ENOMEM"},
      {UV_EACCES, "EACCES"},
      {UV_EADDRNOTAVAIL, "EADDRNOTAVAIL"},
      {UV_EAFNOSUPPORT, "EAFNOSUPPORT"},
  };
  size_t i;

  for (i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
    if (codes[i].error != error) continue;
    art_transfer_fail(transfer, codes[i].code, "%s", uv_strerror(error));
    return;
  }
  art_transfer_fail(transfer, otherwise, "%s", reason);
}

/* The error of the last socket call that failed, as a negative UV_E*, or 0. */
static int system_error(const art_transfer *transfer) {
  long number = 0;

  curl_easy_getinfo(transfer->slot->easy, CURLINFO_OS_ERRNO, &number);
  return number > 0 ? uv_translate_sys_error((int) number) : 0;
}

static void tell_no_connection(art_transfer *transfer) {
  int error = transfer->socket_error;

  if (transfer->is_private) {
    art_transfer_fail(transfer, "EPRIVATE", "not a public address");
    return;
  }
  if (error == 0) error = system_error(transfer);
  tell_system(transfer, error, "ECONNREFUSED", "no connection");
}

/* The connection broke, libcurl says: within the body that ended early. It says
 * so of a proxy that refuses and of what are no chunks, too. */
static void tell_broken(art_transfer *transfer, const char *details) {
  long status = 0;

  curl_easy_getinfo(transfer->slot->easy, CURLINFO_HTTP_CONNECTCODE, &status);
  if (status >= 300)
    art_transfer_fail(transfer, "EPROXY", "refused by the proxy: %ld", status);
  else if (strstr(details, "chunked-encoding") != NULL)
    art_transfer_fail(transfer, "EPROTO", "%s", details);
  else if (transfer->head.is_complete)
    art_transfer_fail(transfer, "ETRUNCATED", "the body ended early");
  else
    tell_system(transfer, system_error(transfer), "ECONNRESET", details);
}

void art_failure_tell(art_transfer *transfer, CURLcode result) {
  const char *details = transfer->slot->error;
  size_t i;

  if (details[0] == '\0') details = curl_easy_strerror(result);
  switch (result) {
    case CURLE_COULDNT_CONNECT: tell_no_connection(transfer); return;
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR: tell_broken(transfer, details); return;
    case CURLE_PEER_FAILED_VERIFICATION:
      tell_certificate(transfer, details);
      return;
    case CURLE_OPERATION_TIMEDOUT:
      art_transfer_fail(transfer, "ECONNTIMEDOUT", "no connection within %g s",
                        transfer->connect_timeout);
      return;
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
      art_transfer_fail(transfer, "EAI_NONAME", "%s",
                        uv_strerror(UV_EAI_NONAME));
      return;
    default: break;
  }
  for (i = 0; i < sizeof(namings) / sizeof(namings[0]); i++) {
    if (namings[i].result != result) continue;
    art_transfer_fail(transfer, namings[i].code, "%s",
                      namings[i].reason != NULL ? namings[i].reason : details);
    return;
  }
  art_transfer_fail(transfer, "EIO", "%s", details);
}
