// A kernel in which threads wait longer than SIM_NOTE_AFTER says, for a flag that comes late.
#include <cuda_runtime.h>

#include <cstdio>

__device__ unsigned long long now() {
  unsigned long long t;
  asm volatile("mov.u64 %0, %globaltimer;" : "=l"(t));
  return t;
}

__global__ void wait(volatile int* flag) {
  if (threadIdx.x == 0) {
    const auto end = now() + 1'500'000'000ull;
    while (now() < end) {
    }
    *flag = 1;
  } else {
    while (*flag == 0) {
    }
  }
}

int main() {
  int* flag;
  cudaMalloc(&flag, sizeof(int));
  cudaMemset(flag, 0, sizeof(int));
  wait<<<1, 64>>>(flag);
  const cudaError_t error = cudaDeviceSynchronize();
  std::printf("%s\n", cudaGetErrorString(error));
  cudaFree(flag);
  return error != cudaSuccess;
}
