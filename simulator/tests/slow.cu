// Kernels in which threads wait longer than SIM_NOTE_AFTER says: for a flag that comes late, or
// with "mbarrier" for a thread that arrives late.
#include <cuda/barrier>

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

#pragma nv_diag_suppress static_var_with_dynamic_init
__global__ void wait_for_arrival() {
  __shared__ cuda::barrier<cuda::thread_scope_block> barrier;
  if (threadIdx.x == 0) init(&barrier, 128);
  __syncthreads();
  if (threadIdx.x == 127) {
    const auto end = now() + 1'500'000'000ull;
    while (now() < end) {
    }
  }
  barrier.arrive_and_wait();
}

int main(int argc, char**) {
  int* flag;
  cudaMalloc(&flag, sizeof(int));
  cudaMemset(flag, 0, sizeof(int));
  if (argc > 1)
    wait_for_arrival<<<1, 128>>>();
  else
    wait<<<1, 64>>>(flag);
  const cudaError_t error = cudaDeviceSynchronize();
  std::printf("%s\n", cudaGetErrorString(error));
  cudaFree(flag);
  return error != cudaSuccess;
}
