/* Fuzzes a component as Lua sees it: any bytes are given to the function that
 * the script FUZZ_SCRIPT returns, and no error may come out of it. */
#include <lauxlib.h>
#include <lualib.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int FUZZ_OPEN(lua_State *L);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static lua_State *open_state(void) {
  lua_State *L = luaL_newstate();

  luaL_openlibs(L);
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
  lua_pushcfunction(L, FUZZ_OPEN);
  lua_setfield(L, -2, FUZZ_NAME);
  lua_settop(L, 0);
  lua_getglobal(L, "package");
  lua_pushliteral(L, FUZZ_SCRIPTS "/?.lua");
  lua_setfield(L, -2, "path");
  lua_settop(L, 0);
  if (luaL_dofile(L, FUZZ_SCRIPT) != LUA_OK) {
    fprintf(stderr, "%s\n", lua_tostring(L, -1));
    abort();
  }
  return L;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static lua_State *L;

  if (L == NULL) L = open_state();
  lua_pushvalue(L, 1);
  lua_pushlstring(L, (const char *) data, size);
  if (lua_pcall(L, 1, 0, 0) != LUA_OK) {
    fprintf(stderr, "%s\n", lua_tostring(L, -1));
    abort();
  }
  return 0;
}
