// expects: barrier not reached by all its threads
// bad: a warp waits at one barrier and the others at another, for ever. Expected: "barrier not
// reached".
#include "check.h"

__global__ void split(int* out, int odd) {
  if (int(threadIdx.x / 32) == odd)
    asm volatile("bar.sync 1;" ::: "memory");
  else
    __syncthreads();
  out[threadIdx.x] = 1;
}

int main(int argc, char** argv) {
  int* out;
  cudaMalloc(&out, 96 * sizeof(int));
  split<<<1, 96>>>(out, asked_for_bad(argc, argv) ? 1 : 5);
  const int failed = finish();
  cudaFree(out);
  return failed;
}
