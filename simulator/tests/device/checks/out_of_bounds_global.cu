// expects: out of bounds
// bad: one element past the end of an allocation.
#include "check.h"

__global__ void fill(int* x, int n) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) x[i] = i;
}

int main(int argc, char** argv) {
  const int n = 1001;  // the allocation is rounded up; what is asked for counts
  int* x;
  cudaMalloc(&x, n * sizeof(int));
  fill<<<8, 128>>>(x, n + asked_for_bad(argc, argv));
  const int failed = finish();
  cudaFree(x);
  return failed;
}
