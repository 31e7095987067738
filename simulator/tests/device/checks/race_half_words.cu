// expects: race in shared memory
// bad: a thread reads the half word that its neighbour wrote. The twin touches only its own halves
// of words that two threads share, which is no race.
#include "check.h"

__global__ void halves(unsigned short* out, int distance) {
  __shared__ unsigned short tile[64];
  tile[threadIdx.x] = 0;
  __syncthreads();
  tile[threadIdx.x] = static_cast<unsigned short>(threadIdx.x);
  out[threadIdx.x] = tile[(threadIdx.x + distance) % 64];
}

int main(int argc, char** argv) {
  unsigned short* out;
  cudaMalloc(&out, 64 * sizeof(short));
  halves<<<1, 64>>>(out, asked_for_bad(argc, argv) ? 1 : 0);
  const int failed = finish();
  cudaFree(out);
  return failed;
}
