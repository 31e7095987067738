// Built so that the software GPU can't run its code; it says which error it got.
#include <cstdio>

__global__ void nothing() {}

int main() {
  nothing<<<1, 1>>>();
  const cudaError_t error = cudaGetLastError();
  std::printf("%s\n", cudaGetErrorString(error));
  return error != cudaErrorNoKernelImageForDevice;
}
