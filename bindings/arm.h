/* Arms: what select accepts, in which order. */
#ifndef ART_ARM_H
#define ART_ARM_H

#include "asyncrt.h"
#include "runtime.h"

bool art_is_nan(lua_State *L, int index);

/* What the arm at `value` is; a number is a time limit. `*prepare` is set for
 * an event that is a base one. */
art_event_kind art_arm_kind(lua_State *L, int value,
                            asyncrt_prepare_fn *prepare);

/* The same; raises, naming the key at `key`, for a value that is no event. */
art_event_kind art_check_arm(lua_State *L, int key, int value,
                             asyncrt_prepare_fn *prepare);

/* Prepares the zeroed `op` for the arm at `value`, whose key is at `key`,
 * unless it is a composite. Raises as art_check_arm. */
art_event_kind art_arm_prepare(lua_State *L, int key, int value,
                               asyncrt_op *op);

/* The arms table is at 1. Pushes its pairs of key and value, from index 2 on,
 * in their order. Returns their number. */
int art_push_arms(lua_State *L);

#endif
