# Compiler flags. The instruction set is resolved to an explicit list (never -march=native), so that a compiler
# cache shared between machines stays correct and `noisette info` can say what the binary was built for.
if(NOISETTE_ARCH STREQUAL "auto")
  execute_process(COMMAND ${CMAKE_CXX_COMPILER} -march=native -dM -E -x c++ /dev/null
                  OUTPUT_VARIABLE native_macros ERROR_QUIET)
  if(native_macros MATCHES "__AVX512F__ " AND native_macros MATCHES "__AVX512BW__ " AND native_macros MATCHES "__AVX512DQ__ "
     AND native_macros MATCHES "__AVX512VL__ " AND native_macros MATCHES "__AVX512CD__ ")
    set(arch_flags -march=x86-64-v4 -mprefer-vector-width=512)
    if(native_macros MATCHES "__AVX512BF16__ ")
      list(APPEND arch_flags -mavx512bf16)
    endif()
  elseif(native_macros MATCHES "__AVX2__ " AND native_macros MATCHES "__FMA__ ")
    set(arch_flags -march=x86-64-v3)
  else()
    set(arch_flags "")
  endif()
else()
  set(arch_flags -march=${NOISETTE_ARCH})
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  # g++ 12 with AVX-512 stores a constant {a, a, 0, 0} of four 64-bit numbers as {a, a, a, a}
  # (tests/ops/softmax_test.cpp saw it); it does so only where it moves 32 bytes at once.
  list(APPEND arch_flags -mmove-max=128 -mstore-max=128)
endif()
string(JOIN " " NOISETTE_ARCH_FLAGS ${arch_flags})
message(STATUS "noisette: instruction set flags: ${NOISETTE_ARCH_FLAGS}")

# For C and C++; nvcc, which compiles .cu files, has flags of its own.
function(noisette_compile_options)
  add_compile_options("$<$<COMPILE_LANGUAGE:C,CXX>:${ARGN}>")
endfunction()
if(NOISETTE_HAVE_CUDA)
  # PTX carries the lines of the source, which is what the software GPU and compute-sanitizer report.
  set(cuda_flags -lineinfo --expt-relaxed-constexpr -Werror=all-warnings -Xcompiler=-Wall,-Wextra,-Werror)
  add_compile_options("$<$<COMPILE_LANGUAGE:CUDA>:${cuda_flags}>")
endif()

noisette_compile_options(${arch_flags} -Wall -Wextra -Werror -fno-math-errno -fno-trapping-math -ffp-contract=fast)
# Error messages name the source by its path in the repository, not by this machine's path.
noisette_compile_options(-fmacro-prefix-map=${CMAKE_SOURCE_DIR}/=)
string(REPLACE "-O3" "-O2" CMAKE_CXX_FLAGS_RELEASE "${CMAKE_CXX_FLAGS_RELEASE}")
string(REPLACE "-DNDEBUG" "" CMAKE_CXX_FLAGS_RELEASE "${CMAKE_CXX_FLAGS_RELEASE}")

if(NOISETTE_SANITIZE)
  noisette_compile_options(-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer -g1)
  add_link_options(-fsanitize=address,undefined)
endif()

if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # Two warnings with known false alarms: -Wrestrict on std::string insertions (GCC bug 105651, version 12), and
  # -Wdangling-reference on any function that takes a temporary and returns a reference to something else (13, 14).
  if(CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
    noisette_compile_options(-Wno-restrict)
  else()
    noisette_compile_options(-Wno-dangling-reference)
  endif()
endif()
if(CMAKE_CXX_COMPILER_ID MATCHES "Clang")
  noisette_compile_options(-Wno-pass-failed)  # says of an `omp simd` loop that it stayed scalar
endif()
if(NOISETTE_FUZZ AND CMAKE_CXX_COMPILER_ID MATCHES "Clang")
  noisette_compile_options(-fsanitize=fuzzer-no-link)
endif()

find_program(CCACHE ccache)
if(CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE})
  set(CMAKE_CUDA_COMPILER_LAUNCHER ${CCACHE})
endif()
find_program(MOLD mold)
if(MOLD AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  add_link_options(-fuse-ld=mold)
endif()
