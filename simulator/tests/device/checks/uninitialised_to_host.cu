// expects: read of uninitialised memory: read of 1 byte at 0x1f of shared memory
// bad: bytes that nobody wrote are stored to global memory, and the host reads them.
#include "check.h"

__global__ void copy(unsigned char* out, int written) {
  __shared__ unsigned char held[64];
  const int t = int(threadIdx.x);
  if (t < written) held[t] = static_cast<unsigned char>(t);
  __syncthreads();
  out[t] = held[t];
}

int main(int argc, char** argv) {
  unsigned char *out, host[64];
  cudaMalloc(&out, 64);
  copy<<<1, 32>>>(out, asked_for_bad(argc, argv) ? 31 : 32);
  cudaMemcpy(host, out, 32, cudaMemcpyDeviceToHost);
  const int failed = finish();
  cudaFree(out);
  return failed;
}
