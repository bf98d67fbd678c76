# asyncrt_options: language level, warnings, hardening and instrumentation.
include(CheckPIESupported)
check_pie_supported(LANGUAGES C)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_C_STANDARD 11)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

add_library(asyncrt_options INTERFACE)
target_compile_definitions(asyncrt_options INTERFACE _GNU_SOURCE)
target_compile_options(asyncrt_options INTERFACE
  -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wundef
  -Wvla -Wconversion
  $<$<BOOL:${ASYNCRT_WERROR}>:-Werror>)

if(ASYNCRT_HARDENING)
  # Fortified calls need the optimiser, and get in the way of the sanitizers.
  if(NOT ASYNCRT_SANITIZE)
    target_compile_options(asyncrt_options INTERFACE
      "$<$<CONFIG:Release,RelWithDebInfo,MinSizeRel>:-U_FORTIFY_SOURCE;-D_FORTIFY_SOURCE=2>")
  endif()
  target_compile_options(asyncrt_options INTERFACE -fstack-protector-strong)
  target_link_options(asyncrt_options INTERFACE -Wl,-z,relro,-z,now)
endif()

# An op passes through five files on its way: what is called there is inlined.
# The archive has ordinary objects as well, for linkers that know no other.
if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
  target_compile_options(asyncrt_options INTERFACE
    "$<$<CONFIG:Release>:-flto=auto;-ffat-lto-objects>")
  target_link_options(asyncrt_options INTERFACE
    "$<$<CONFIG:Release>:-flto=auto>")
endif()

# These change how code is called, so whatever links our archives needs them.
if(ASYNCRT_SANITIZE)
  add_compile_options(-fsanitize=${ASYNCRT_SANITIZE}
    -fno-sanitize-recover=all -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${ASYNCRT_SANITIZE})
endif()
if(ASYNCRT_COVERAGE)
  add_compile_options(--coverage -fprofile-update=atomic)
  add_link_options(--coverage)
endif()
