# Components: the bindings that need a library more than Lua and libuv. Each is
# a module of its own, loaded by the first `require`, so that a script pays only
# for what it uses.
#
#   asyncrt_component(<name> <pkg-config module> <Debian package>)
#
# builds bindings/<name>/*.c into components/<name>.so, which has the function
# luaopen_asyncrt_core_<name>. The option ASYNCRT_<NAME> is ON where the library
# is found. bindings/components.c knows each by name.

function(asyncrt_component name module package)
  string(TOUPPER ${name} upper)
  pkg_check_modules(ASYNCRT_${upper}_LIBRARY QUIET IMPORTED_TARGET ${module})
  option(ASYNCRT_${upper} "Build the component ${name} (${package})"
         ${ASYNCRT_${upper}_LIBRARY_FOUND})
  if(NOT ASYNCRT_${upper})
    message(STATUS "Component ${name}: left out (needs ${package})")
    set_property(GLOBAL APPEND PROPERTY ASYNCRT_LEFT_OUT ${name})
    return()
  endif()
  if(NOT ASYNCRT_${upper}_LIBRARY_FOUND)
    message(FATAL_ERROR
      "ASYNCRT_${upper} is ON, but ${module} was not found: install ${package}")
  endif()

  file(GLOB sources CONFIGURE_DEPENDS bindings/${name}/*.c)
  add_library(asyncrt_${name} MODULE ${sources})
  set_target_properties(asyncrt_${name} PROPERTIES
    PREFIX "" OUTPUT_NAME ${name}
    LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/components)
  target_include_directories(asyncrt_${name} PRIVATE
    bindings/${name} bindings runtime runtime/include)
  target_compile_definitions(asyncrt_${name} PRIVATE
    $<TARGET_PROPERTY:asyncrt_runtime,INTERFACE_COMPILE_DEFINITIONS>)
  # The runtime's own symbols are those of the program that loads it.
  target_include_directories(asyncrt_${name} SYSTEM PRIVATE
    ${ASYNCRT_LUA_INCLUDE_DIRS} ${ASYNCRT_UV_INCLUDE_DIRS})
  target_link_libraries(asyncrt_${name} PRIVATE
    asyncrt_options PkgConfig::ASYNCRT_${upper}_LIBRARY)
  install(TARGETS asyncrt_${name} DESTINATION ${CMAKE_INSTALL_LIBDIR}/asyncrt)
endfunction()
