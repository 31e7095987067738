// expects: read of uninitialised memory
// bad: one cell of shared memory is read and no thread wrote it. Expected: "read of uninitialised
// memory".
#include "check.h"

__global__ void turn(int* out, int written) {
  __shared__ int tile[64];
  if (threadIdx.x < written) tile[threadIdx.x] = int(threadIdx.x);
  __syncthreads();
  out[threadIdx.x] = tile[63 - threadIdx.x];
}

int main(int argc, char** argv) {
  int* out;
  cudaMalloc(&out, 64 * sizeof(int));
  turn<<<1, 64>>>(out, asked_for_bad(argc, argv) ? 63 : 64);
  const int failed = finish();
  cudaFree(out);
  return failed;
}
