/* Components: modules in C that need a further library, and so are files of
 * their own, loaded when a script first asks for them. */
#include "components.h"

#include <lauxlib.h>
#include <lualib.h>
#include <stdbool.h>
#include <string.h>
#include <uv.h>

#define PATH_SIZE 4096

/* A build may come without one: then the message says what it needs. */
static const art_component components[] = {
    {"asyncrt.core.curl", "curl", "asyncrt.http", "libcurl4-openssl-dev"},
    {"asyncrt.core.html", "html", "asyncrt.html", "libxml2-dev"},
    {"asyncrt.core.json", "json", "asyncrt.json", "libjansson-dev"},
    {"asyncrt.core.tls", "tls", "asyncrt.tls", "libssl-dev"},
    {"asyncrt.core.url", "url", "asyncrt.url", "liburiparser-dev"},
    {"asyncrt.core.zlib", "zlib", "asyncrt.gzip", "zlib1g-dev"},
    {NULL, NULL, NULL, NULL},
};

const art_component *art_components(void) {
  return components;
}

/* Pushes the path of the component's file, if it is beside the program: in its
 * folder of a build, or as it was installed. */
static bool find_beside_program(lua_State *L, const char *file) {
  static const char *const folders[] = {"components", ART_COMPONENTS};
  char program[PATH_SIZE];
  size_t size = sizeof(program);

  if (uv_exepath(program, &size) != 0) return false;
  *(strrchr(program, '/') + 1) = '\0';
  for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
    uv_fs_t request;
    int status;

    lua_pushfstring(L, "%s%s/%s.so", program, folders[i], file);
    status = uv_fs_stat(NULL, &request, lua_tostring(L, -1), NULL);
    uv_fs_req_cleanup(&request);
    if (status == 0) return true;
    lua_pop(L, 1);
  }
  return false;
}

/* Pushes the path of the component's file as package.cpath has it: for programs
 * that embed the runtime. */
static bool find_in_cpath(lua_State *L, const char *name) {
  lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  if (lua_getfield(L, -1, LUA_LOADLIBNAME) != LUA_TTABLE) {
    lua_pop(L, 2);
    return false;
  }
  lua_getfield(L, -1, "searchpath");
  lua_pushstring(L, name);
  lua_getfield(L, -3, "cpath");
  lua_call(L, 2, 1);
  lua_insert(L, -3);
  lua_pop(L, 2);
  if (!lua_isnil(L, -1)) return true;
  lua_pop(L, 1);
  return false;
}

int art_open_component(lua_State *L) {
  const art_component *component = lua_touserdata(L, lua_upvalueindex(1));
  lua_CFunction open;
  uv_lib_t library; /* stays loaded: its code may be running to the very end */

  if (!find_beside_program(L, component->file) &&
      !find_in_cpath(L, component->file))
    return luaL_error(L,
                      "%s is not part of this build: install %s and build "
                      "asyncrt again",
                      component->module, component->package);
  lua_pushfstring(L, "luaopen_asyncrt_core_%s", component->file);
  if (uv_dlopen(lua_tostring(L, -2), &library) != 0 ||
      uv_dlsym(&library, lua_tostring(L, -1), (void **) &open) != 0) {
    lua_pushfstring(L, "%s: %s", component->module, uv_dlerror(&library));
    uv_dlclose(&library);
    return lua_error(L);
  }
  lua_pushcfunction(L, open);
  lua_call(L, 0, 1);
  return 1;
}
