/* The components: see components.c. */
#ifndef ART_COMPONENTS_H
#define ART_COMPONENTS_H

#include <lua.h>

typedef struct art_component {
  const char *name;    /* for `require` */
  const char *file;    /* of the module, without folder and ending */
  const char *module;  /* the public one */
  const char *package; /* of Debian, that a build needs */
} art_component;

/* The table of them, with a zero entry at the end. */
const art_component *art_components(void);

/* Loads the component that upvalue 1 points at and returns its module; raises
 * where this build has none. */
int art_open_component(lua_State *L);

#endif
