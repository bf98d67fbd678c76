/* What a script asks of a transfer beside its streams. */
#ifndef ART_CURL_RESPONSE_H
#define ART_CURL_RESPONSE_H

#include <lua.h>

/* head(transfer) -> status, reason, version, headers | nil, message, code */
int art_response_head(lua_State *L);
/* sent(transfer) */
int art_response_sent(lua_State *L);
/* trailers(transfer) -> table | nil */
int art_response_trailers(lua_State *L);

#endif
