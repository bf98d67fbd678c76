/* Probe: does `..` survive a __concat metamethod that makes the stack grow?
 *
 * Debian's Lua 5.4.4 carries a security patch that makes luaV_concat go on with
 * a pointer into the old stack. Exits with 0 where the fault is absent. */
#include <lauxlib.h>
#include <lualib.h>

#include <stdlib.h>
#include <string.h>

static const char script[] =
    "local function grow(n) return n > 0 and grow(n - 1) + 1 or 0 end\n"
    "local v = setmetatable({}, {\n"
    "  __concat = function() grow(1000) return 'y' end\n"
    "})\n"
    "return 'x' .. v .. 'z'\n";

/* Clears what is given back and keeps it, so that a read of it is seen. */
static void *keep(void *ud, void *old, size_t old_size, size_t new_size) {
  void *new = NULL;

  (void) ud;
  if (new_size > 0) {
    new = malloc(new_size);
    if (new == NULL) return NULL;
    if (old != NULL) {
      memcpy(new, old, old_size < new_size ? old_size : new_size);
    }
  }
  if (old != NULL) memset(old, 0, old_size);
  return new;
}

int main(void) {
  lua_State *L = lua_newstate(keep, NULL);
  const char *result;

  if (L == NULL) return EXIT_FAILURE;
  luaL_openlibs(L);
  if (luaL_dostring(L, script) != LUA_OK) return EXIT_FAILURE;
  result = lua_tostring(L, -1);
  return result != NULL && strcmp(result, "xy") == 0 ? EXIT_SUCCESS
                                                     : EXIT_FAILURE;
}
