// expects: race in shared memory
// bad: no barrier between two functions of a header, which were inlined: the report names both
// calls.
#include "check.h"
#include "inlined.h"

__global__ void turn(int* out, bool waits) {
  __shared__ int tile[64];
  tile[threadIdx.x] = 0;
  __syncthreads();
  put(tile, int(threadIdx.x), int(threadIdx.x));  // named
  if (waits) __syncthreads();
  out[threadIdx.x] = get(tile, (int(threadIdx.x) + 32) % 64);  // named
}

int main(int argc, char** argv) {
  int* out;
  cudaMalloc(&out, 64 * sizeof(int));
  turn<<<1, 64>>>(out, !asked_for_bad(argc, argv));
  const int failed = finish();
  cudaFree(out);
  return failed;
}
