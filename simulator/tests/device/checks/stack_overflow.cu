// expects: stack overflow: calls are nested too deeply
// bad: a recursion of which no end comes before the end of local memory.
#include "check.h"

__device__ __noinline__ int deep(int n) {
  volatile int kept[64];
  kept[n & 63] = n;
  if (n == 0) return 0;
  return deep(n - 1) + kept[n & 63];  // named
}

__global__ void start(int* out, int n) { out[threadIdx.x] = deep(n); }

int main(int argc, char** argv) {
  int* out;
  cudaMalloc(&out, 32 * sizeof(int));
  start<<<1, 32>>>(out, asked_for_bad(argc, argv) ? 100000 : 30);
  const int failed = finish();
  cudaFree(out);
  return failed;
}
