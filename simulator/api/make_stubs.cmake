# simulator_stubs(SOURCE SCRIPT SONAME): reads the toolkit's own runtime library and writes
#   SOURCE  a weak function for everything that it exports: one that the simulator has wins over it,
#           any other says at the call that it is not simulated
#   SCRIPT  the linker's version script with the same names under the same version
#   NAMES   a table of the same names, with the address of what the simulator has
# and names the library as the toolkit does.
function(simulator_stubs source script names_source soname)
  find_program(READELF NAMES readelf llvm-readelf REQUIRED)
  get_filename_component(library "${CUDA_cudart_LIBRARY}" REALPATH)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${library}")
  execute_process(COMMAND ${READELF} --wide -d --dyn-syms "${library}"
                  OUTPUT_VARIABLE elf COMMAND_ERROR_IS_FATAL ANY)
  string(REGEX MATCH "soname: \\[([^]]+)\\]" found "${elf}")
  set(name "${CMAKE_MATCH_1}")
  # 12: 000000000005f4c0  450 FUNC GLOBAL DEFAULT 12 cudaMalloc@@libcudart.so.13
  string(REGEX MATCHALL "FUNC +GLOBAL +DEFAULT +[0-9]+ [A-Za-z_0-9]+@@[^\n ]+" lines "${elf}")
  set(stubs "")
  set(names "")
  set(listed "")
  foreach(line ${lines})
    string(REGEX MATCH "([A-Za-z_0-9]+)@@(.+)$" found "${line}")
    set(version "${CMAKE_MATCH_2}")
    string(APPEND stubs "STUB(${CMAKE_MATCH_1})\n")
    string(APPEND listed "NAME(${CMAKE_MATCH_1})\n")
    string(APPEND names "    ${CMAKE_MATCH_1};\n")
  endforeach()
  if(NOT stubs)
    message(FATAL_ERROR "simulator: no functions found in ${library}")
  endif()
  set(out ${CMAKE_CURRENT_BINARY_DIR})
  file(CONFIGURE OUTPUT ${out}/stubs.cpp @ONLY CONTENT [=[
// Written by simulator/api/make_stubs.cmake.
#include "simulator/api/missing.h"
#define STUB(name) \
  extern "C" __attribute__((weak, visibility("default"))) int name() { sim::missing(#name); }
@stubs@]=])
  file(CONFIGURE OUTPUT ${out}/exports.map @ONLY CONTENT "@version@ {\n  global:\n@names@  local: *;\n};\n")
  file(CONFIGURE OUTPUT ${out}/api_names.inc @ONLY CONTENT "@listed@")
  file(CONFIGURE OUTPUT ${out}/api_names.cpp @ONLY CONTENT [=[
// Written by simulator/api/make_stubs.cmake.
#include "simulator/tools/api_names.h"
#define NAME(name) extern "C" __attribute__((weak)) void name();
#include "api_names.inc"
#undef NAME
#define NAME(name) {#name, reinterpret_cast<const void*>(&name)},
const std::vector<sim::ApiName>& sim::api_names() {
  static const std::vector<ApiName> all = {
#include "api_names.inc"
  };
  return all;
}
const char* sim::toolkit_version() { return "@CUDAToolkit_VERSION_MAJOR@.@CUDAToolkit_VERSION_MINOR@"; }
]=])
  set(${names_source} ${out}/api_names.cpp PARENT_SCOPE)
  set(${source} ${out}/stubs.cpp PARENT_SCOPE)
  set(${script} ${out}/exports.map PARENT_SCOPE)
  set(${soname} ${name} PARENT_SCOPE)
endfunction()
