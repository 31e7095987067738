// expects: out of bounds
// bad: an index far outside of an array of the thread.
#include "check.h"

__global__ void histogram(int* out, int offset) {
  int bins[16];
  for (int k = 0; k < 16; ++k) bins[k] = 0;
  for (int k = 0; k < 40; ++k) ++bins[(k * 7 + threadIdx.x) % 16 + offset];
  int sum = 0;
  for (int k = 0; k < 16; ++k) sum += bins[k] * k;
  out[threadIdx.x] = sum;
}

int main(int argc, char** argv) {
  int* out;
  cudaMalloc(&out, 32 * sizeof(int));
  histogram<<<1, 32>>>(out, asked_for_bad(argc, argv) ? 1 << 20 : 0);
  const int failed = finish();
  cudaFree(out);
  return failed;
}
