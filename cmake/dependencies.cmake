# What asyncrt is built on, found through pkg-config: PkgConfig::ASYNCRT_LUA and
# PkgConfig::ASYNCRT_UV. Also installed, for programs that link the library.
find_package(PkgConfig REQUIRED)
pkg_search_module(ASYNCRT_LUA REQUIRED IMPORTED_TARGET
                  lua5.4 lua-5.4 lua54 lua)
if(ASYNCRT_LUA_VERSION VERSION_LESS 5.4 OR
   ASYNCRT_LUA_VERSION VERSION_GREATER_EQUAL 5.5)
  message(FATAL_ERROR "asyncrt needs Lua 5.4, not ${ASYNCRT_LUA_VERSION}")
endif()
pkg_check_modules(ASYNCRT_UV REQUIRED IMPORTED_TARGET libuv>=1.44)
