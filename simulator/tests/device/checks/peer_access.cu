// expects: access to another device's memory
// environment: SIM_DEVICES=2
// bad: a kernel of device 0 reads memory of device 1 and nobody enabled that.
#include "check.h"

__global__ void add(const int* from, int* to, int step) {
  if (threadIdx.x % step == 0) to[threadIdx.x] = from[threadIdx.x] + 1;
}

int main(int argc, char** argv) {
  int *mine, *theirs;
  cudaMalloc(&mine, 32 * sizeof(int));
  cudaSetDevice(1);
  cudaMalloc(&theirs, 32 * sizeof(int));
  cudaMemset(theirs, 0, 32 * sizeof(int));
  add<<<1, 32>>>(theirs, theirs, 2);
  cudaDeviceSynchronize();
  cudaSetDevice(0);
  cudaMemcpy(mine, theirs, 32 * sizeof(int), cudaMemcpyDefault);  // a copy may
  if (!asked_for_bad(argc, argv)) cudaDeviceEnablePeerAccess(1, 0);
  add<<<1, 32>>>(theirs, mine, 1);
  add<<<1, 32>>>(mine, theirs, 2);
  int failed = finish();
  if (!asked_for_bad(argc, argv)) failed |= cudaDeviceDisablePeerAccess(1) != cudaSuccess;
  cudaFree(mine);
  cudaFree(theirs);
  return failed;
}
