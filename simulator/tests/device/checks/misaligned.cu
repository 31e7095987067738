// expects: misaligned address
// bad: a vector load at an address that is no multiple of its size.
#include "check.h"

__global__ void sum(const float* in, float* out) {
  const float4 v = *reinterpret_cast<const float4*>(in + 4 * threadIdx.x);
  out[threadIdx.x] = v.x + v.y + v.z + v.w;
}

int main(int argc, char** argv) {
  float *in, *out;
  cudaMalloc(&in, 132 * sizeof(float)), cudaMalloc(&out, 32 * sizeof(float));
  cudaMemset(in, 0, 132 * sizeof(float));
  sum<<<1, 32>>>(in + (asked_for_bad(argc, argv) ? 1 : 4), out);
  const int failed = finish();
  cudaFree(in), cudaFree(out);
  return failed;
}
