# What `cmake --install` installs: the command, the library with its header, and
# how find_package(asyncrt) and `pkg-config asyncrt` find them.
include(CMakePackageConfigHelpers)
set(config_dir ${CMAKE_INSTALL_LIBDIR}/cmake/asyncrt)

if(TARGET asyncrt)
  install(TARGETS asyncrt)
endif()
install(TARGETS libasyncrt EXPORT asyncrt)
install(FILES runtime/include/asyncrt.h TYPE INCLUDE)
install(EXPORT asyncrt NAMESPACE asyncrt:: DESTINATION ${config_dir}
        FILE asyncrt-targets.cmake)
write_basic_package_version_file(
  ${CMAKE_CURRENT_BINARY_DIR}/asyncrt-config-version.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES
  ${CMAKE_CURRENT_BINARY_DIR}/asyncrt-config-version.cmake
  cmake/asyncrt-config.cmake
  cmake/dependencies.cmake
  DESTINATION ${config_dir})

# The prefix is the folder that `cmake --install --prefix` names.
cmake_path(RELATIVE_PATH CMAKE_INSTALL_PREFIX
  BASE_DIRECTORY ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig
  OUTPUT_VARIABLE pc_prefix)
configure_file(cmake/asyncrt.pc.in asyncrt.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/asyncrt.pc
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
