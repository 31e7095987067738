// mbarriers: cuda::barrier and cuda::pipeline as the toolkit writes them, and the instructions by
// hand.
#include <cooperative_groups.h>
#include <cuda/barrier>
#include <cuda/pipeline>

#include <cstdint>
#include <cstdio>

__device__ uint32_t address_of(const void* p) { return uint32_t(__cvta_generic_to_shared(p)); }

using Barrier = cuda::barrier<cuda::thread_scope_block>;

/// Phases of a barrier order writes and reads of a buffer.
__global__ void phases(int* to) {
  __shared__ Barrier barrier;
  __shared__ int s[96];
  if (threadIdx.x == 0) init(&barrier, blockDim.x);
  __syncthreads();
  int sum = 0;
  for (int round = 0; round < 5; ++round) {
    s[threadIdx.x] = int(threadIdx.x) * 10 + round;
    barrier.arrive_and_wait();
    sum += s[(threadIdx.x + 40) % 96];
    auto token = barrier.arrive();
    barrier.wait(std::move(token));
  }
  to[threadIdx.x] = sum;
}

/// Copies that a barrier counts.
__global__ void copies(const int4* from, int4* to) {
  __shared__ Barrier barrier;
  __shared__ alignas(16) int4 s[64];
  if (threadIdx.x == 0) init(&barrier, blockDim.x);
  __syncthreads();
  cuda::memcpy_async(&s[threadIdx.x], &from[threadIdx.x], cuda::aligned_size_t<16>(16), barrier);
  barrier.arrive_and_wait();
  to[threadIdx.x ^ 63] = s[threadIdx.x ^ 63];
}

/// A pipeline of two stages that the block shares.
__global__ void pipeline(const int* from, int* to, int stages) {
  constexpr int kStages = 2;
  __shared__ cuda::pipeline_shared_state<cuda::thread_scope_block, kStages> state;
  __shared__ int s[kStages][64];
  const auto group = cooperative_groups::this_thread_block();
  auto pipe = cuda::make_pipeline(group, &state);
  int sum = 0;
  for (int ready = 0, asked = 0; ready < stages; ++ready) {
    for (; asked < stages && asked < ready + kStages; ++asked) {
      pipe.producer_acquire();
      cuda::memcpy_async(&s[asked % kStages][threadIdx.x], from + asked * 64 + threadIdx.x,
                         sizeof(int), pipe);
      pipe.producer_commit();
    }
    pipe.consumer_wait();
    sum += (ready + 1) * s[ready % kStages][threadIdx.x ^ 32];
    pipe.consumer_release();
  }
  to[threadIdx.x ^ 32] = sum;
}

/// States and counts as PTX gives them; counts what is wrong in `bad`.
__global__ void by_hand(int* bad) {
  __shared__ uint64_t word;
  const uint32_t at = address_of(&word);
  if (threadIdx.x != 0) return;
  const auto test = [&](uint64_t state) {
    uint32_t over;
    asm volatile(
        "{ .reg .pred p; mbarrier.test_wait.shared.b64 p, [%1], %2; selp.u32 %0, 1, 0, p; }"
        : "=r"(over)
        : "r"(at), "l"(state)
        : "memory");
    return over;
  };
  const auto parity = [&](uint32_t phase) {
    uint32_t over;
    asm volatile(
        "{ .reg .pred p; mbarrier.test_wait.parity.shared.b64 p, [%1], %2; selp.u32 %0, 1, 0, p; }"
        : "=r"(over)
        : "r"(at), "r"(phase)
        : "memory");
    return over;
  };
  uint64_t first, second, third;
  uint32_t left;
  asm volatile("mbarrier.init.shared.b64 [%0], 3;" ::"r"(at) : "memory");
  asm volatile("mbarrier.arrive.shared.b64 %0, [%1];" : "=l"(first) : "r"(at) : "memory");
  asm volatile("mbarrier.arrive.noComplete.shared.b64 %0, [%1], 1;"
               : "=l"(second)
               : "r"(at)
               : "memory");
  asm("mbarrier.pending_count.b64 %0, %1;" : "=r"(left) : "l"(second));
  int wrong = (left != 2) + (test(first) != 0) + (parity(0) != 0) + (parity(1) != 1);
  asm volatile("mbarrier.arrive_drop.shared.b64 %0, [%1];" : "=l"(third) : "r"(at) : "memory");
  wrong += (test(first) != 1) + (test(third) != 1) + (parity(0) != 1) + (parity(1) != 0);
  for (int k = 0; k < 2; ++k)
    asm volatile("mbarrier.arrive.shared.b64 %0, [%1];" : "=l"(second) : "r"(at) : "memory");
  asm("mbarrier.pending_count.b64 %0, %1;" : "=r"(left) : "l"(second));
  wrong += (left != 1) + (test(second) != 1) + (parity(1) != 1);
  asm volatile("mbarrier.inval.shared.b64 [%0];" ::"r"(at) : "memory");
  *bad = wrong;
}

/// A bulk copy in, doubled, and a bulk copy out.
__global__ void bulk(const int* from, int* to) {
#if __CUDA_ARCH__ >= 900
  __shared__ alignas(16) int s[256];
  __shared__ uint64_t word;
  const uint32_t at = address_of(&word), buffer = address_of(s);
  if (threadIdx.x == 0) {
    asm volatile("mbarrier.init.shared.b64 [%0], %1;" ::"r"(at), "r"(blockDim.x) : "memory");
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
  }
  __syncthreads();
  if (threadIdx.x == 0) {
    asm volatile(
        "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], 1024, "
        "[%2];" ::"r"(buffer),
        "l"(from), "r"(at)
        : "memory");
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], 1024;" ::"r"(at) : "memory");
  } else {
    asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(at) : "memory");
  }
  uint32_t over = 0;
  while (!over)
    asm volatile(
        "{ .reg .pred p; mbarrier.try_wait.parity.shared.b64 p, [%1], 0; selp.u32 %0, 1, 0, p; }"
        : "=r"(over)
        : "r"(at)
        : "memory");
  for (int i = int(threadIdx.x); i < 256; i += int(blockDim.x)) s[i] *= 2;
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
  __syncthreads();
  if (threadIdx.x != 0) return;
  asm volatile("cp.async.bulk.global.shared::cta.bulk_group [%0], [%1], 1024;" ::"l"(to),
               "r"(buffer)
               : "memory");
  asm volatile("cp.async.bulk.commit_group;" ::: "memory");
  asm volatile("cp.async.bulk.wait_group.read 0;" ::: "memory");
#endif
}

int failures = 0;
void expect(bool ok, const char* what, int at) {
  if (ok) return;
  std::printf("%s, element %d\n", what, at);
  ++failures;
}
void run(const char* what) { expect(cudaDeviceSynchronize() == cudaSuccess, what, -1); }

int main(int argc, char**) {
  int *from, *to;
  cudaMallocManaged(&from, 4096);
  cudaMallocManaged(&to, 4096);
  for (int i = 0; i < 1024; ++i) from[i] = i * i % 1013;
  phases<<<1, 96>>>(to);
  run("phases");
  for (int i = 0; i < 96; ++i) expect(to[i] == (i + 40) % 96 * 50 + 10, "phases", i);
  copies<<<1, 64>>>(reinterpret_cast<int4*>(from), reinterpret_cast<int4*>(to));
  run("copies");
  for (int i = 0; i < 256; ++i) expect(to[i] == from[i], "copies", i);
  pipeline<<<1, 64>>>(from, to, 6);
  run("pipeline");
  for (int i = 0; i < 64; ++i) {
    int sum = 0;
    for (int stage = 0; stage < 6; ++stage) sum += (stage + 1) * from[stage * 64 + i];
    expect(to[i] == sum, "pipeline", i);
  }
  by_hand<<<1, 32>>>(to);
  run("by hand");
  expect(to[0] == 0, "by hand", to[0]);
  if (argc > 1) {  // compiled for compute_90
    bulk<<<1, 64>>>(from, to);
    run("bulk");
    for (int i = 0; i < 256; ++i) expect(to[i] == 2 * from[i], "bulk", i);
  }
  cudaFree(from);
  cudaFree(to);
  return failures != 0;
}
