// expects: read of uninitialised memory
// bad: a lane loads what nobody wrote and hands it to the others, which add it up.
#include "check.h"

__global__ void sum(int* out, int written) {
  __shared__ int parts[32];
  const int t = int(threadIdx.x);
  if (t < written) parts[t] = t;
  __syncthreads();
  int all = t < 32 ? parts[t] : 0;
  for (int d = 16; d > 0; d /= 2) all += __shfl_down_sync(~0u, all, d);
  if (t == 0) atomicAdd(out, all);
}

int main(int argc, char** argv) {
  int* out;
  cudaMalloc(&out, sizeof(int));
  cudaMemset(out, 0, sizeof(int));
  sum<<<1, 64>>>(out, asked_for_bad(argc, argv) ? 31 : 32);
  const int failed = finish();
  cudaFree(out);
  return failed;
}
