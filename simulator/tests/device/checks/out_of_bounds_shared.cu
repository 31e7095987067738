// expects: out of bounds
// bad: a thread writes behind the dynamic shared memory.
#include "check.h"

__global__ void turn(float* out, int shift) {
  extern __shared__ float tile[];
  tile[threadIdx.x + shift] = float(threadIdx.x);
  __syncthreads();
  out[threadIdx.x] = tile[blockDim.x - 1];
}

int main(int argc, char** argv) {
  float* out;
  cudaMalloc(&out, 64 * sizeof(float));
  const bool bad = asked_for_bad(argc, argv);
  turn<<<1, 64, 64 * sizeof(float)>>>(out, bad ? 1 : 0);
  const int failed = finish();
  cudaFree(out);
  return failed;
}
