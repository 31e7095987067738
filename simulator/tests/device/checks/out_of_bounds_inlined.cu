// expects: out of bounds
// bad: a row too many is doubled, in a header's functions that were inlined into one that was not.
#include "check.h"
#include "inlined.h"

__device__ __noinline__ void double_row(int* values, int width, int row) {
  const int i = row * width + int(threadIdx.x);
  double_at(values, i);  // named
}

__device__ void double_rows(int* values, int width, int rows) {
  for (int r = 0; r < rows; ++r) double_row(values, width, r);  // named
}

__global__ void twice(int* values, int rows) {
  double_rows(values, int(blockDim.x), rows);  // named
}

int main(int argc, char** argv) {
  int* values;
  cudaMalloc(&values, 4 * 32 * sizeof(int));
  cudaMemset(values, 1, 4 * 32 * sizeof(int));
  twice<<<1, 32>>>(values, asked_for_bad(argc, argv) ? 5 : 4);
  const int failed = finish();
  cudaFree(values);
  return failed;
}
