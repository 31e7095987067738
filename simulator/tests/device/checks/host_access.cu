// expects: host access to device memory
// bad: the host reads device memory through its pointer.
#include "check.h"

int main(int argc, char** argv) {
  int *x, *y;
  cudaMalloc(&x, 64), cudaMallocHost(&y, 64);
  cudaMemset(x, 0, 64);
  const volatile int* read = asked_for_bad(argc, argv) ? x : (y[3] = 0, y);
  const int value = read[3];
  const int failed = finish();
  cudaFree(x), cudaFreeHost(y);
  return failed | value;
}
