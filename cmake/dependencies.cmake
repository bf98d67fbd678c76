# What asyncrt is built on: Lua 5.4 and libuv, found through pkg-config.
find_package(PkgConfig REQUIRED)
pkg_search_module(LUA REQUIRED IMPORTED_TARGET lua5.4 lua-5.4 lua54 lua)
if(LUA_VERSION VERSION_LESS 5.4 OR NOT LUA_VERSION VERSION_LESS 5.5)
  message(FATAL_ERROR "asyncrt needs Lua 5.4 and found ${LUA_VERSION}")
endif()
pkg_check_modules(UV REQUIRED IMPORTED_TARGET libuv>=1.44)

# Slots to reserve on the stack of a new coroutine: where the probe finds that
# `..` does not survive a growing stack, the stack must not grow at that point.
# Where the probe cannot run, the fault is assumed.
if(NOT DEFINED asyncrt_stack_headroom)
  try_run(concat_probe_status concat_probe_compiles
    SOURCES ${CMAKE_CURRENT_LIST_DIR}/concat_probe.c
    LINK_LIBRARIES PkgConfig::LUA)
  if(concat_probe_compiles AND concat_probe_status EQUAL 0)
    set(asyncrt_stack_headroom 0 CACHE INTERNAL "")
  else()
    set(asyncrt_stack_headroom 100 CACHE INTERNAL "")
  endif()
  message(STATUS "Stack headroom of a coroutine: ${asyncrt_stack_headroom}")
endif()
