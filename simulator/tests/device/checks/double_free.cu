// expects: double free
// bad: cudaFree of the same memory twice.
#include "check.h"

int main(int argc, char** argv) {
  void *x, *y;
  cudaMalloc(&x, 1000), cudaMalloc(&y, 1000);
  cudaFree(x);
  cudaFree(asked_for_bad(argc, argv) ? x : y);
  return finish();
}
