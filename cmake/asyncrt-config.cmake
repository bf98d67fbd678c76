# find_package(asyncrt): the target asyncrt::asyncrt.
include(${CMAKE_CURRENT_LIST_DIR}/dependencies.cmake)
include(${CMAKE_CURRENT_LIST_DIR}/asyncrt-targets.cmake)
