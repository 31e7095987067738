// expects: read of uninitialised memory
// Each thread reads one cell too far. bad: a branch asks what it found. good: a comparison of it
// is overruled, and the value is copied within shared memory but never used.
#include "check.h"

__global__ void merge(int* out, int looks) {
  __shared__ int tile[65], copy[65];
  const int t = int(threadIdx.x);
  tile[t] = t;
  __syncthreads();
  const int next = tile[t + 1];
  copy[t + 1] = next;
  __syncthreads();
  int sum = 0;
  if (looks)
    for (int k = 0; k < next % 4; ++k) sum += k;
  const bool greater = t + 1 < 64 && next > tile[t];
  out[t] = sum + (greater ? next : copy[t == 0 ? 1 : t]);
}

int main(int argc, char** argv) {
  int* out;
  cudaMalloc(&out, 64 * sizeof(int));
  merge<<<1, 64>>>(out, asked_for_bad(argc, argv));
  const int failed = finish();
  cudaFree(out);
  return failed;
}
