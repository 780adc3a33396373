# Every folder of src/ is one static library; every folder of tests/ one GoogleTest program.

find_package(Threads REQUIRED)
if(TESSERA_KERNELS_ONLY)
  # For another architecture there are no installed libraries: fmt from its headers, GoogleTest from its source
  # (Debian's package googletest). A link, because the folder above also holds this machine's C library.
  find_path(fmt_headers fmt/format.h REQUIRED NO_CMAKE_FIND_ROOT_PATH PATHS /usr/include)
  file(MAKE_DIRECTORY ${CMAKE_BINARY_DIR}/include)
  file(CREATE_LINK ${fmt_headers}/fmt ${CMAKE_BINARY_DIR}/include/fmt SYMBOLIC)
  add_library(fmt::fmt INTERFACE IMPORTED)
  target_include_directories(fmt::fmt INTERFACE ${CMAKE_BINARY_DIR}/include)
  target_compile_definitions(fmt::fmt INTERFACE FMT_HEADER_ONLY)
else()
  find_package(fmt REQUIRED)
  find_package(PkgConfig REQUIRED)
endif()

find_program(CCACHE_PROGRAM ccache)
if(CCACHE_PROGRAM AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE_PROGRAM})
endif()

add_library(tessera_options INTERFACE)
target_include_directories(tessera_options INTERFACE ${PROJECT_SOURCE_DIR}/src)
target_compile_options(tessera_options INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wconversion
  -Wno-sign-conversion -Wnon-virtual-dtor -Woverloaded-virtual -Werror -ffp-contract=off)
# clang reports std::get_temporary_buffer inside libstdc++ 12's own stable_sort.
target_compile_options(tessera_options INTERFACE $<$<CXX_COMPILER_ID:Clang>:-Wno-deprecated-declarations>)
target_link_libraries(tessera_options INTERFACE fmt::fmt Threads::Threads)
target_compile_definitions(tessera_options INTERFACE TESSERA_VERSION="${PROJECT_VERSION}")
if(TESSERA_SANITIZE)
  target_compile_options(tessera_options INTERFACE -fsanitize=${TESSERA_SANITIZE} -fno-omit-frame-pointer
    -fno-sanitize-recover=all)
  target_link_options(tessera_options INTERFACE -fsanitize=${TESSERA_SANITIZE})
endif()
if(TESSERA_FUZZ)
  target_compile_options(tessera_options INTERFACE -fsanitize=fuzzer-no-link)
endif()

# tessera_room(NAME [USES room...] [LIBRARIES target...]): the static library of src/NAME and what it may see.
function(tessera_room name)
  cmake_parse_arguments(ROOM "" "" "USES;LIBRARIES" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cpp)
  if(name STREQUAL "cli")
    list(FILTER sources EXCLUDE REGEX "/main\\.cpp$")
  endif()
  if(NOT sources)
    add_library(tessera_${name} INTERFACE)
    set(scope INTERFACE)
  else()
    add_library(tessera_${name} STATIC ${sources})
    set(scope PUBLIC)
  endif()
  set(used)
  foreach(room IN LISTS ROOM_USES)
    list(APPEND used tessera_${room})
  endforeach()
  target_link_libraries(tessera_${name} ${scope} tessera_options ${used} ${ROOM_LIBRARIES})
endfunction()

# tessera_tests(NAME FOLDER [rooms...]): every *_test.cpp below FOLDER in one program, found by a glob so that none
# can be forgotten; each case is one ctest.
function(tessera_tests name folder)
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${folder}/*_test.cpp)
  if(NOT sources)
    return()
  endif()
  add_executable(${name} ${sources})
  set(used)
  foreach(room IN LISTS ARGN)
    list(APPEND used tessera_${room})
  endforeach()
  target_link_libraries(${name} PRIVATE tessera_options tessera_test_support ${used} GTest::gtest GTest::gmock
    GTest::gtest_main)
  add_dependencies(${name} tessera)
  gtest_discover_tests(${name} DISCOVERY_MODE PRE_TEST DISCOVERY_TIMEOUT 60 PROPERTIES TIMEOUT 300 LABELS ${name})
endfunction()
