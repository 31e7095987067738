// Grids whose blocks wait for each other: a barrier made of atomics, and that of cooperative
// groups, with as many blocks as the card holds.
#include <cooperative_groups.h>

#include <cstdio>
#include <vector>

namespace cg = cooperative_groups;

constexpr int kRounds = 3;

__device__ void meet(unsigned* arrived, unsigned round) {
  __syncthreads();
  if (threadIdx.x == 0) {
    __threadfence();
    atomicAdd(arrived, 1);
    while (*reinterpret_cast<volatile unsigned*>(arrived) < gridDim.x * round) __nanosleep(10);
    __threadfence();
  }
  __syncthreads();
}

/// Each round adds the neighbour's value of the round before.
__global__ void by_hand(unsigned* a, unsigned* b, unsigned* arrived) {
  const unsigned n = gridDim.x * blockDim.x, i = blockIdx.x * blockDim.x + threadIdx.x;
  for (unsigned round = 0; round < kRounds; round++) {
    const unsigned* from = round % 2 ? b : a;
    (round % 2 ? a : b)[i] = from[i] + from[(i + blockDim.x) % n];
    meet(arrived, round + 1);
  }
}
__global__ void by_group(unsigned* a, unsigned* b, unsigned*) {
  cg::grid_group grid = cg::this_grid();
  const unsigned n = unsigned(grid.size()), i = unsigned(grid.thread_rank());
  for (unsigned round = 0; round < kRounds; round++) {
    const unsigned* from = round % 2 ? b : a;
    (round % 2 ? a : b)[i] = from[i] + from[(i + blockDim.x) % n];
    grid.sync();
  }
}

static int failures = 0;

template <class Kernel>
void run(const char* name, Kernel* kernel, int blocks, int threads) {
  const unsigned n = unsigned(blocks * threads);
  std::vector<unsigned> x(n), y(n), got(n);
  for (unsigned i = 0; i < n; i++) x[i] = i * 7 + 1;
  unsigned *a, *b, *arrived;
  cudaMalloc(&a, n * 4), cudaMalloc(&b, n * 4), cudaMalloc(&arrived, 4);
  cudaMemcpy(a, x.data(), n * 4, cudaMemcpyHostToDevice);
  cudaMemset(arrived, 0, 4);
  void* args[] = {&a, &b, &arrived};
  const cudaError_t error = cudaLaunchCooperativeKernel(reinterpret_cast<void*>(kernel), blocks,
                                                        threads, args, 0, nullptr);
  cudaMemcpy(got.data(), kRounds % 2 ? b : a, n * 4, cudaMemcpyDeviceToHost);
  for (int round = 0; round < kRounds; round++, x.swap(y))
    for (unsigned i = 0; i < n; i++) y[i] = x[i] + x[(i + unsigned(threads)) % n];
  if (error != cudaSuccess || got != x) {
    std::printf("%s with %d blocks: %s\n", name, blocks, cudaGetErrorString(error));
    failures++;
  }
  cudaFree(a), cudaFree(b), cudaFree(arrived);
}

template <class Kernel>
void run_sizes(const char* name, Kernel* kernel, int threads) {
  int sms = 0, each = 0;
  cudaDeviceGetAttribute(&sms, cudaDevAttrMultiProcessorCount, 0);
  cudaOccupancyMaxActiveBlocksPerMultiprocessor(&each, kernel, threads, 0);
  for (int blocks : {1, 2, sms + 1, sms * each}) run(name, kernel, blocks, threads);
  void* none[] = {nullptr, nullptr, nullptr};
  void* args[] = {&none[0], &none[1], &none[2]};
  const cudaError_t error = cudaLaunchCooperativeKernel(reinterpret_cast<void*>(kernel),
                                                        sms * each + 1, threads, args, 0, nullptr);
  if (error != cudaErrorCooperativeLaunchTooLarge) {
    std::printf("%s with a block too many: %s\n", name, cudaGetErrorString(error));
    failures++;
  }
}

int main() {
  run_sizes("a barrier by hand", by_hand, 64);
  run_sizes("a group's barrier", by_group, 256);
  return failures != 0;
}
