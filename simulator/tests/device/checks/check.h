// Programs that trip a check with "bad" and do nearly the same without fault with "good".
#pragma once
#include <cstdint>
#include <cstdio>
#include <cstring>

/// Whether the program was asked to do wrong; the kernels get it as an argument, so that no
/// compiler sees what will happen.
inline bool asked_for_bad(int argc, char** argv) {
  return argc > 1 && std::strcmp(argv[1], "bad") == 0;
}
/// Waits for the device; the exit code of a program that met no fault.
inline int finish() {
  const cudaError_t error = cudaDeviceSynchronize();
  if (error != cudaSuccess) std::printf("%s\n", cudaGetErrorString(error));
  return error != cudaSuccess;
}
