# asyncrt_stack_headroom: slots to reserve on the stack of a new coroutine. Where
# the probe finds that `..` does not survive a growing stack, the stack must not
# grow at that point. Where the probe cannot run, the fault is assumed.
if(NOT DEFINED asyncrt_stack_headroom)
  try_run(concat_probe_status concat_probe_compiles
    SOURCES ${CMAKE_CURRENT_LIST_DIR}/concat_probe.c
    LINK_LIBRARIES PkgConfig::ASYNCRT_LUA)
  if(concat_probe_compiles AND concat_probe_status EQUAL 0)
    set(asyncrt_stack_headroom 0 CACHE INTERNAL "")
  else()
    set(asyncrt_stack_headroom 88 CACHE INTERNAL "")
  endif()
  message(STATUS "Stack headroom of a coroutine: ${asyncrt_stack_headroom}")
endif()
