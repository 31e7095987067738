// expects: leak
// bad: memory that is still allocated when the program ends.
#include "check.h"

int main(int argc, char** argv) {
  void *x, *y;
  cudaMalloc(&x, 12345), cudaMalloc(&y, 100);
  cudaFree(y);
  if (!asked_for_bad(argc, argv)) cudaFree(x);
  return finish();
}
