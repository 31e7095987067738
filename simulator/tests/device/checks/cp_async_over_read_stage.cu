// expects: access to bytes of an asynchronous copy that was not waited for
// bad: a pipeline of two stages begins to fill a stage that other warps may still read: the
// barrier at the end of the step is missing.
#include <cuda_pipeline.h>

#include "check.h"

__global__ void sums(const int* in, int* out, int steps, bool waits) {
  __shared__ int tile[2][128];
  const int t = int(threadIdx.x);
  const auto fetch = [&](int s) {
    if (s < steps) __pipeline_memcpy_async(&tile[s % 2][t], &in[s * 128 + t], sizeof(int));
    __pipeline_commit();
  };
  int sum = 0;
  fetch(0);
  for (int s = 0; s < steps; ++s) {
    fetch(s + 1);
    __pipeline_wait_prior(1);
    __syncthreads();
    sum += tile[s % 2][127 - t];
    if (waits) __syncthreads();
  }
  out[t] = sum;
}

int main(int argc, char** argv) {
  int *in, *out;
  cudaMalloc(&in, 1024 * sizeof(int));
  cudaMalloc(&out, 128 * sizeof(int));
  cudaMemset(in, 1, 1024 * sizeof(int));
  sums<<<1, 128>>>(in, out, 8, !asked_for_bad(argc, argv));
  const int failed = finish();
  cudaFree(in);
  cudaFree(out);
  return failed;
}
