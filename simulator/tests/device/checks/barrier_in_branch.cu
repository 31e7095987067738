// expects: barrier not reached by all its threads
// bad: __syncthreads stands in both ways of a branch that divides warps; each warp must execute one
// and the same barrier.
#include "check.h"

__global__ void both(int* out, int divisor) {
  __shared__ int tile[64];
  tile[threadIdx.x] = 1;
  if (threadIdx.x / divisor % 2 == 0) {
    __syncthreads();
    out[threadIdx.x] = tile[63 - threadIdx.x];
  } else {
    __syncthreads();
    out[threadIdx.x] = 2 * tile[63 - threadIdx.x];
  }
}

int main(int argc, char** argv) {
  int* out;
  cudaMalloc(&out, 64 * sizeof(int));
  both<<<1, 64>>>(out, asked_for_bad(argc, argv) ? 16 : 32);
  const int failed = finish();
  cudaFree(out);
  return failed;
}
