// expects: race in shared memory
// bad: a loop overwrites a tile that other warps may still read; the barrier at its end is missing.
#include "check.h"

__global__ void sums(const int* in, int* out, int steps, bool waits) {
  __shared__ int tile[128];
  int sum = 0;
  for (int s = 0; s < steps; ++s) {
    tile[threadIdx.x] = in[s * 128 + threadIdx.x];
    __syncthreads();
    sum += tile[127 - threadIdx.x];
    if (waits) __syncthreads();
  }
  out[threadIdx.x] = sum;
}

int main(int argc, char** argv) {
  int *in, *out;
  cudaMalloc(&in, 512 * sizeof(int));
  cudaMalloc(&out, 128 * sizeof(int));
  cudaMemset(in, 1, 512 * sizeof(int));
  sums<<<1, 128>>>(in, out, 4, !asked_for_bad(argc, argv));
  const int failed = finish();
  cudaFree(in);
  cudaFree(out);
  return failed;
}
