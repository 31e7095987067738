// expects: use after free
// bad: a kernel uses memory after cudaFree.
#include "check.h"

__global__ void fill(int* x) { x[threadIdx.x] = 1; }

int main(int argc, char** argv) {
  int* x;
  cudaMalloc(&x, 32 * sizeof(int));
  fill<<<1, 32>>>(x);
  if (asked_for_bad(argc, argv)) {
    cudaFree(x);
    fill<<<1, 32>>>(x);
    return finish();
  }
  const int failed = finish();
  cudaFree(x);
  return failed;
}
