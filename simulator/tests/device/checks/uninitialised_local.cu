// expects: read of uninitialised memory
// bad: an element of a thread's array is read before it is written. Expected: "read of
// uninitialised memory".
#include "check.h"

__global__ void chosen(int* out, int written) {
  int list[32];
  for (int k = 0; k < written; ++k) list[(k * 5 + threadIdx.x) % 32] = k;
  out[threadIdx.x] = list[(threadIdx.x * 3) % 32] + list[31];
}

int main(int argc, char** argv) {
  int* out;
  cudaMalloc(&out, 32 * sizeof(int));
  chosen<<<1, 32>>>(out, asked_for_bad(argc, argv) ? 31 : 32);
  const int failed = finish();
  cudaFree(out);
  return failed;
}
