// Threads of a block that share memory in other ways than by __syncthreads, each of them in order:
// none of it may be taken for a race.
#include <cooperative_groups.h>
#include <cuda_runtime.h>

#include <cstdio>
#include <cuda/barrier>
#include <vector>

namespace cg = cooperative_groups;
#pragma nv_diag_suppress static_var_with_dynamic_init

/// A lock of the program's own around a plain cell.
__global__ void lock(int* out) {
  __shared__ int held, sum;
  if (threadIdx.x == 0) held = 0, sum = 0;
  __syncthreads();
  for (bool done = false; !done;) {
    if (atomicCAS(&held, 0, 1) == 0) {
      __threadfence_block();
      sum += int(threadIdx.x);
      __threadfence_block();
      atomicExch(&held, 0);
      done = true;
    }
  }
  __syncthreads();
  if (threadIdx.x == 0) *out = sum;
}

/// One warp waits for a flag that another raises.
__global__ void flag(int* out) {
  __shared__ int value;
  __shared__ volatile int raised;
  if (threadIdx.x == 0) raised = 0;
  __syncthreads();
  if (threadIdx.x == 32) {
    value = 7;
    __threadfence_block();
    raised = 1;
  }
  if (threadIdx.x == 0) {
    while (raised == 0) {
    }
    __threadfence_block();
    *out = value;
  }
}

/// Two warps hand a tile to two others by named barriers.
__global__ void producer_consumer(int* out) {
  __shared__ int tile[64];
  const int t = int(threadIdx.x % 64);
  int sum = 0;
  for (int step = 0; step < 5; ++step) {
    if (threadIdx.x < 64) {
      tile[t] = t + step;
      asm volatile("bar.arrive 1, 128;" ::: "memory");
      asm volatile("bar.sync 2, 128;" ::: "memory");
    } else {
      asm volatile("bar.sync 1, 128;" ::: "memory");
      sum += tile[63 - t];
      asm volatile("bar.arrive 2, 128;" ::: "memory");
    }
  }
  if (threadIdx.x == 64) *out = sum;
}

/// The same by two mbarriers.
__global__ void by_mbarrier(int* out) {
  __shared__ int tile[64];
  __shared__ cuda::barrier<cuda::thread_scope_block> full, empty;
  if (threadIdx.x == 0) init(&full, 128), init(&empty, 128);
  __syncthreads();
  const int t = int(threadIdx.x % 64);
  int sum = 0;
  for (int step = 0; step < 5; ++step) {
    if (threadIdx.x < 64) {
      tile[t] = t + step;
      (void)full.arrive();
      empty.arrive_and_wait();
    } else {
      full.arrive_and_wait();
      sum += tile[63 - t];
      (void)empty.arrive();
    }
  }
  if (threadIdx.x == 64) *out = sum;
}

/// Tiles of a warp that are at different places of the code.
__global__ void tiles(int* out) {
  __shared__ int cells[32];
  const auto tile = cg::tiled_partition<8>(cg::this_thread_block());
  int sum = 0;
  for (unsigned step = 0; step <= tile.meta_group_rank(); ++step) {
    cells[threadIdx.x] = int(tile.thread_rank()) + 1;
    tile.sync();
    sum += cells[threadIdx.x ^ 7];
    tile.sync();
  }
  atomicAdd(out, sum);
}

/// A histogram by atomic operations, cleared and read by other threads.
__global__ void histogram(int* out) {
  __shared__ int bins[4];
  if (threadIdx.x < 4) bins[threadIdx.x] = 0;
  __syncthreads();
  atomicAdd(&bins[threadIdx.x % 4], 1);
  __syncthreads();
  if (threadIdx.x < 4) atomicAdd(out, bins[3 - threadIdx.x]);
}

int main() {
  int* out;
  cudaMalloc(&out, sizeof(int));
  int wrong = 0;
  const auto expect = [&](const char* name, int want) {
    int got = 0;
    cudaMemcpy(&got, out, sizeof got, cudaMemcpyDeviceToHost);
    if (got != want) std::printf("%s: got %d, want %d\n", name, got, want), ++wrong;
    cudaMemset(out, 0, sizeof(int));
  };
  cudaMemset(out, 0, sizeof(int));
  lock<<<1, 128>>>(out);
  expect("lock", 127 * 64);
  flag<<<1, 64>>>(out);
  expect("flag", 7);
  producer_consumer<<<1, 128>>>(out);
  expect("producer and consumer", 5 * 63 + 10);
  by_mbarrier<<<1, 128>>>(out);
  expect("mbarrier", 5 * 63 + 10);
  tiles<<<1, 32>>>(out);
  expect("tiles", 36 * (1 + 2 + 3 + 4));
  histogram<<<1, 128>>>(out);
  expect("histogram", 128);
  cudaFree(out);
  return wrong;
}
