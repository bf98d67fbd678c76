/* Whether the end of a body was told.
 *
 * libcurl 7.88 takes any end of a connection for the end of a body without a
 * length, also where TLS has not told that it is one: whoever can cut the
 * connection could cut the body. So the notice is looked for here. */
#include "ending.h"

#include <openssl/ssl.h>

/* Where a context of OpenSSL keeps the client; the process's. */
static uv_once_t once = UV_ONCE_INIT;
static int client_index = -1;

static void on_once(void) {
  client_index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, NULL);
}

static void on_info(const SSL *ssl, int where, int alert) {
  art_client *client = SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), client_index);
  art_link *link;

  if ((where & SSL_CB_READ_ALERT) != SSL_CB_READ_ALERT ||
      (alert & 0xff) != SSL_AD_CLOSE_NOTIFY)
    return;
  for (link = client->transfers.next; link != &client->transfers;
       link = link->next) {
    art_transfer *transfer = art_container_of(link, art_transfer, link);

    if (transfer->tls == ssl) transfer->end_is_told = true;
  }
}

/* Each connection has a context of its own. */
static CURLcode on_context(CURL *easy, void *context, void *user) {
  (void) easy;
  if (SSL_CTX_set_ex_data(context, client_index, user) != 1)
    return CURLE_OUT_OF_MEMORY;
  SSL_CTX_set_info_callback(context, on_info);
  return CURLE_OK;
}

CURLcode art_ending_watch(art_client *client, CURL *easy) {
  CURLcode result;

  uv_once(&once, on_once);
  if (client_index < 0) return CURLE_OUT_OF_MEMORY;
  result = curl_easy_setopt(easy, CURLOPT_SSL_CTX_FUNCTION, on_context);
  if (result == CURLE_OK)
    result = curl_easy_setopt(easy, CURLOPT_SSL_CTX_DATA, client);
  /* Another library for TLS: then that one looks itself. */
  return result == CURLE_OUT_OF_MEMORY ? result : CURLE_OK;
}

void art_ending_connected(art_transfer *transfer) {
  struct curl_tlssessioninfo *info = NULL;

  transfer->tls = NULL;
  transfer->end_is_told = false;
  if (!transfer->is_secure ||
      curl_easy_getinfo(transfer->slot->easy, CURLINFO_TLS_SSL_PTR, &info) !=
          CURLE_OK ||
      info == NULL || info->backend != CURLSSLBACKEND_OPENSSL)
    return;
  transfer->tls = info->internals;
}

bool art_ending_is_missing(const art_transfer *transfer) {
  const art_head *head = &transfer->head;
  size_t size;

  return transfer->tls != NULL && !transfer->end_is_told &&
         !transfer->is_bodiless && head->status != 204 && head->status != 304 &&
         art_head_is_first_version(head) &&
         art_head_find(head, "content-length", &size) == NULL &&
         art_head_find(head, "transfer-encoding", &size) == NULL;
}
