// expects: race in shared memory
// bad: a thread reads what a thread of another warp wrote, with no barrier between.
#include "check.h"

__global__ void turn(int* out, bool waits) {
  __shared__ int tile[64];
  tile[threadIdx.x] = 0;
  __syncthreads();
  tile[threadIdx.x] = int(threadIdx.x);
  if (waits) __syncthreads();
  out[threadIdx.x] = tile[(threadIdx.x + 32) % 64];
}

int main(int argc, char** argv) {
  int* out;
  cudaMalloc(&out, 64 * sizeof(int));
  turn<<<1, 64>>>(out, !asked_for_bad(argc, argv));
  const int failed = finish();
  cudaFree(out);
  return failed;
}
