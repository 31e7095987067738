// expects: race in shared memory
// bad: lanes of one warp exchange values through shared memory without __syncwarp. The twin has one
// for each half of the warp, which is enough, for they exchange among themselves.
#include "check.h"

__global__ void swap_neighbours(int* out, bool waits) {
  __shared__ int tile[32];
  const unsigned half = threadIdx.x < 16 ? 0x0000ffffu : 0xffff0000u;
  for (int step = 0; step < 3; ++step) {
    tile[threadIdx.x] = int(threadIdx.x) + step;
    if (waits) __syncwarp(half);
    out[threadIdx.x] = tile[threadIdx.x ^ 1];
    if (waits) __syncwarp(half);
  }
}

int main(int argc, char** argv) {
  int* out;
  cudaMalloc(&out, 32 * sizeof(int));
  swap_neighbours<<<1, 32>>>(out, !asked_for_bad(argc, argv));
  const int failed = finish();
  cudaFree(out);
  return failed;
}
