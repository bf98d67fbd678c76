/* What libcurl's results are called. */
#ifndef ART_CURL_FAILURE_H
#define ART_CURL_FAILURE_H

#include "transfer.h"

/* Says why a transfer fails that libcurl ended with this result. */
void art_failure_tell(art_transfer *transfer, CURLcode result);

#endif
