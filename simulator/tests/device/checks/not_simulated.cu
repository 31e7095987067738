// expects: cudaMallocArray is not simulated
// bad: a function that the software GPU does not have.
#include "check.h"

int main(int argc, char** argv) {
  cudaArray_t array = nullptr;
  const cudaChannelFormatDesc format = {32, 0, 0, 0, cudaChannelFormatKindFloat};
  if (asked_for_bad(argc, argv)) cudaMallocArray(&array, &format, 16, 16);
  return finish();
}
