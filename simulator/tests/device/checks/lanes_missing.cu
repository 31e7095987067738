// expects: lanes missing
// bad: the mask of a shuffle names a lane that is not there.
#include "check.h"

__global__ void sum(int* out, int present) {
  if (int(threadIdx.x) >= present) return;
  out[threadIdx.x] = __shfl_xor_sync(0xffff, int(threadIdx.x), 1);
}

int main(int argc, char** argv) {
  int* out;
  cudaMalloc(&out, 32 * sizeof(int));
  sum<<<1, 32>>>(out, asked_for_bad(argc, argv) ? 17 : 16);
  const int failed = finish();
  cudaFree(out);
  return failed;
}
