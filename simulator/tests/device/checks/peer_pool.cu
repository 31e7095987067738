// expects: access to another device's memory
// environment: SIM_DEVICES=2
// bad: memory of a pool, which cudaDeviceEnablePeerAccess does not open.
#include "check.h"

__global__ void add(int* to) { to[threadIdx.x] += 1; }

int main(int argc, char** argv) {
  int* theirs;
  cudaSetDevice(1);
  cudaMallocAsync(&theirs, 32 * sizeof(int), nullptr);
  cudaMemsetAsync(theirs, 0, 32 * sizeof(int), nullptr);
  cudaStreamSynchronize(nullptr);
  if (!asked_for_bad(argc, argv)) {
    cudaMemPool_t pool;
    cudaDeviceGetDefaultMemPool(&pool, 1);
    cudaMemAccessDesc access = {{cudaMemLocationTypeDevice, 0}, cudaMemAccessFlagsProtReadWrite};
    cudaMemPoolSetAccess(pool, &access, 1);
  }
  cudaSetDevice(0);
  cudaDeviceEnablePeerAccess(1, 0);
  add<<<1, 32>>>(theirs);
  const int failed = finish();
  cudaFree(theirs);
  return failed;
}
