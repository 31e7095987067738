# The CUDA backend: built where a toolkit of version 13 or later is installed. The program is the same without it, but
# for `--device cuda`.
option(NOISETTE_CUDA "build the CUDA backend where a CUDA toolkit is installed" ON)
set(NOISETTE_CUDA_ARCHITECTURES 80-virtual CACHE STRING
  "compute capabilities to compile for; 80-virtual is PTX alone, which compiles fastest and which a card's driver compiles \
when the program first runs; \"80-real;86-real;89-real;90\": for all")

set(NOISETTE_HAVE_CUDA OFF)
if(NOISETTE_CUDA)
  find_package(CUDAToolkit QUIET)
  if(CUDAToolkit_FOUND AND CUDAToolkit_VERSION VERSION_GREATER_EQUAL 13)
    set(CMAKE_CUDA_COMPILER ${CUDAToolkit_NVCC_EXECUTABLE})
    set(CMAKE_CUDA_ARCHITECTURES ${NOISETTE_CUDA_ARCHITECTURES})
    enable_language(CUDA)
    if(NOT CMAKE_CUDA20_STANDARD_COMPILE_OPTION)  # CMake 3.25 doesn't know that this nvcc speaks C++20
      set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION -std=c++20)
      set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION -std=c++20)
    endif()
    set(CMAKE_CUDA_STANDARD 20)
    set(NOISETTE_HAVE_CUDA ON)
    message(STATUS "noisette: CUDA ${CUDAToolkit_VERSION}, architectures ${NOISETTE_CUDA_ARCHITECTURES}")
    # Only their headers are needed here; the libraries are looked for when the program runs (kernels/cuda/providers).
    foreach(header cublasLt.h cudnn.h)
      find_file(found_${header} ${header} HINTS ${CUDAToolkit_INCLUDE_DIRS} NO_CACHE)
      if(NOT found_${header})
        message(STATUS "noisette: no ${header}; built without what its library can do")
      endif()
    endforeach()
  else()
    message(STATUS "noisette: no CUDA toolkit of version 13 or later; the program runs on the CPU alone")
  endif()
endif()
