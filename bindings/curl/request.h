/* The options of a request, from Lua to libcurl. */
#ifndef ART_CURL_REQUEST_H
#define ART_CURL_REQUEST_H

#include "transfer.h"

/* client:start(request) -> transfer */
int art_request_start(lua_State *L, art_client **client);

/* resolve(base, reference) -> url | nil */
int art_request_resolve(lua_State *L);
/* origin(url) -> string | nil */
int art_request_origin(lua_State *L);

#endif
