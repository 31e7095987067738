// expects: access to bytes of an asynchronous copy that was not waited for
// bad: a thread reads what its own cp.async is to bring, and the wait is missing.
#include <cuda_pipeline.h>

#include "check.h"

__global__ void through(const int* in, int* out, bool waits) {
  __shared__ int tile[64];
  __pipeline_memcpy_async(&tile[threadIdx.x], &in[threadIdx.x], sizeof(int));
  __pipeline_commit();
  if (waits) __pipeline_wait_prior(0);
  out[threadIdx.x] = tile[threadIdx.x];
}

int main(int argc, char** argv) {
  int *in, *out;
  cudaMalloc(&in, 64 * sizeof(int));
  cudaMalloc(&out, 64 * sizeof(int));
  cudaMemset(in, 1, 64 * sizeof(int));
  through<<<1, 64>>>(in, out, !asked_for_bad(argc, argv));
  const int failed = finish();
  cudaFree(in);
  cudaFree(out);
  return failed;
}
