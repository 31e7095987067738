// expects: race in shared memory
// bad: each thread waits for its own copies, but reads what another thread copied.
#include <cuda_pipeline.h>

#include "check.h"

__global__ void through(const int* in, int* out, bool waits) {
  __shared__ int tile[64];
  __pipeline_memcpy_async(&tile[threadIdx.x], &in[threadIdx.x], sizeof(int));
  __pipeline_commit();
  __pipeline_wait_prior(0);
  if (waits) __syncthreads();
  out[threadIdx.x] = tile[threadIdx.x ^ 1];
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
