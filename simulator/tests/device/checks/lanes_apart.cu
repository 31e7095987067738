// expects: lanes missing
// bad: the two sides of a branch shuffle with one mask, each with an instruction of its own.
#include "check.h"

__global__ void exchange(int* out, const int* in, int from) {
  const int t = int(threadIdx.x);
  int value = in[t];
  if (t < from)
    value = __shfl_xor_sync(0xffffffff, value, 16) * 3;
  else
    value = __shfl_xor_sync(0xffffffff, value, 1) + 7;
  out[t] = value;
}

int main(int argc, char** argv) {
  int *out, *in;
  cudaMalloc(&out, 32 * sizeof(int));
  cudaMalloc(&in, 32 * sizeof(int));
  cudaMemset(in, 1, 32 * sizeof(int));
  exchange<<<1, 32>>>(out, in, asked_for_bad(argc, argv) ? 16 : 32);
  const int failed = finish();
  cudaFree(out), cudaFree(in);
  return failed;
}
