# What asyncrt is built on: Lua 5.4 and libuv, found through pkg-config.
find_package(PkgConfig REQUIRED)
pkg_search_module(LUA REQUIRED IMPORTED_TARGET lua5.4 lua-5.4 lua54 lua)
if(LUA_VERSION VERSION_LESS 5.4 OR NOT LUA_VERSION VERSION_LESS 5.5)
  message(FATAL_ERROR "asyncrt needs Lua 5.4 and found ${LUA_VERSION}")
endif()
pkg_check_modules(UV REQUIRED IMPORTED_TARGET libuv>=1.44)

# Slots to reserve on a new coroutine's stack. Lua 5.4.4 with Debian's security
# patches keeps a stale pointer when a __concat metamethod makes the stack grow;
# with room reserved the stack does not grow at that point. See
# concat_probe.c. Where the probe cannot run, the fault is assumed.
if(NOT DEFINED asyncrt_stack_headroom)
  set(headroom 100)
  if(EXISTS ${CMAKE_CURRENT_LIST_DIR}/concat_probe.c)
    try_run(concat_probe_status concat_probe_compiles
      SOURCES ${CMAKE_CURRENT_LIST_DIR}/concat_probe.c
      LINK_LIBRARIES PkgConfig::LUA
      RUN_OUTPUT_VARIABLE concat_probe_output)
    if(concat_probe_compiles AND concat_probe_status EQUAL 0)
      set(headroom 0)
    endif()
  endif()
  set(asyncrt_stack_headroom ${headroom} CACHE INTERNAL
      "Stack slots reserved on a new coroutine")
  message(STATUS "Stack headroom of a coroutine: ${headroom} slots")
endif()
