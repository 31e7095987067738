// expects: race in shared memory
// bad: all threads write their own number to one cell. The twin writes the same value from all,
// which programs do on purpose: whoever wins, the cell holds it.
#include "check.h"

__global__ void flag(int* out, int factor) {
  __shared__ int any;
  if (threadIdx.x == 0) any = 0;
  __syncthreads();
  if (threadIdx.x % 2) any = 1 + int(threadIdx.x) * factor;
  __syncthreads();
  out[threadIdx.x] = any;
}

int main(int argc, char** argv) {
  int* out;
  cudaMalloc(&out, 64 * sizeof(int));
  flag<<<1, 64>>>(out, asked_for_bad(argc, argv) ? 1 : 0);
  const int failed = finish();
  cudaFree(out);
  return failed;
}
