/* asyncrt.json: what decoding and encoding share. */
#ifndef ART_JSON_H
#define ART_JSON_H

#include <lua.h>

/* How deep arrays and objects may nest; jansson allows 2048 values. */
#define ART_JSON_DEPTH 128
#define ART_JSON_DEPTH_MOST 2000

/* The upvalues of every function of the module. */
#define ART_JSON_NULL lua_upvalueindex(1)    /* the value json.null */
#define ART_JSON_ARRAY lua_upvalueindex(2)   /* the metatable of arrays */
#define ART_JSON_TREE lua_upvalueindex(3)    /* the metatable of a tree */
#define ART_JSON_ENCODER lua_upvalueindex(4) /* what encode works with */

int art_json_decode(lua_State *L);
void art_json_push_tree_metatable(lua_State *L);

int art_json_encode(lua_State *L);
void art_json_push_encoder(lua_State *L);

#endif
