// expects: read of uninitialised memory
// bad: the last element was never written.
#include "check.h"

__global__ void copy(const int* in, int* out) { out[threadIdx.x] = in[threadIdx.x] + 1; }

int main(int argc, char** argv) {
  int *in, *out;
  cudaMalloc(&in, 64 * sizeof(int)), cudaMalloc(&out, 64 * sizeof(int));
  cudaMemset(in, 0, (asked_for_bad(argc, argv) ? 63 : 64) * sizeof(int));
  copy<<<1, 64>>>(in, out);
  const int failed = finish();
  cudaFree(in), cudaFree(out);
  return failed;
}
