/* Whether the end of a body was told, where nothing but the end of a connection
 * with TLS says so. */
#ifndef ART_CURL_ENDING_H
#define ART_CURL_ENDING_H

#include "transfer.h"

/* Has the connections of a handle watched for the peer's notice of the end. */
CURLcode art_ending_watch(art_client *client, CURL *easy);

/* A transfer has got its connection. */
void art_ending_connected(art_transfer *transfer);

/* True for a body that ends with its connection, without that notice. */
bool art_ending_is_missing(const art_transfer *transfer);

#endif
