// expects: lanes missing
// bad: the two sides of a branch shuffle with one mask, but in different ways. With the same way,
// each at its place, they meet.
#include "check.h"

template <bool Bad>
__global__ void exchange(int* out, const int* in) {
  const int t = int(threadIdx.x);
  int value = in[t];
  if (t < 16)
    value = __shfl_xor_sync(0xffffffff, value, 16) * 3;
  else if (Bad)
    value = __shfl_down_sync(0xffffffff, value, 1) + 7;
  else
    value = __shfl_xor_sync(0xffffffff, value, 16) + 7;
  out[t] = value;
}

int main(int argc, char** argv) {
  int *out, *in;
  cudaMalloc(&out, 32 * sizeof(int));
  cudaMalloc(&in, 32 * sizeof(int));
  cudaMemset(in, 1, 32 * sizeof(int));
  const auto kernel = asked_for_bad(argc, argv) ? exchange<true> : exchange<false>;
  kernel<<<1, 32>>>(out, in);
  const int failed = finish();
  cudaFree(out), cudaFree(in);
  return failed;
}
