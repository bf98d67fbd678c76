/* Prints the events of the HTTP parser for each record on standard input. */
#include "records.h"
#include "trace.h"

int main(void) {
  record next = {0};
  char *events;

  while (read_record(&next)) {
    events = trace(next.is_response ? ART_HTTP_RESPONSE : ART_HTTP_REQUEST,
                   next.to_head      ? ART_HTTP_TO_HEAD
                   : next.to_connect ? ART_HTTP_TO_CONNECT
                                     : ART_HTTP_TO_OTHER,
                   NULL, next.data, next.size, split_nowhere, 0);
    fputs(events, stdout);
    free(events);
    end_record();
  }
  free(next.data);
  return 0;
}
