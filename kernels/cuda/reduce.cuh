// Sums and maxima over the threads of a warp and of a block. The order of every sum is fixed by the
// number of threads, so that results are the same bits every time. Every thread gets the result.
#pragma once
#include <cstdint>

namespace noisette::cuda {

inline constexpr unsigned kAllLanes = 0xffffffffu;

template <class A, class Combine>
__device__ inline A warp_reduce(A value, const Combine& combine) {
#pragma unroll
  for (int step = 16; step > 0; step /= 2)
    value = combine(value, __shfl_xor_sync(kAllLanes, value, step));
  return value;
}

/// Of a block of kThreads threads, whole warps, all of which call it. The barrier on entry lets
/// calls follow each other with the same scratch memory.
template <int kThreads, class A, class Combine>
__device__ inline A block_reduce(A value, const Combine& combine) {
  static_assert(kThreads % 32 == 0 && kThreads <= 1024);
  constexpr int kWarps = kThreads / 32;
  value = warp_reduce(value, combine);
  if constexpr (kWarps == 1) return value;
  __shared__ A of_warps[kWarps];
  __syncthreads();
  if (threadIdx.x % 32 == 0) of_warps[threadIdx.x / 32] = value;
  __syncthreads();
  value = of_warps[0];
#pragma unroll
  for (int w = 1; w < kWarps; ++w) value = combine(value, of_warps[w]);
  return value;
}

struct Add {
  template <class A>
  __device__ A operator()(A a, A b) const {
    return a + b;
  }
};
struct Larger {
  __device__ float operator()(float a, float b) const { return fmaxf(a, b); }
};

template <int kThreads, class A>
__device__ inline A block_sum(A value) {
  return block_reduce<kThreads>(value, Add{});
}
template <int kThreads>
__device__ inline float block_max(float value) {
  return block_reduce<kThreads>(value, Larger{});
}

/// Whether a block is the last of `count` that come here with one counter: what the others have
/// written to global memory before is there for it then. All threads of the block call. The counter
/// is zero before and after. Which block is the last is chance, so what it does must not depend on
/// that. `last`: of shared memory.
__device__ inline bool last_to_arrive(unsigned* counter, unsigned count, bool& last) {
  __threadfence();
  __syncthreads();
  if (threadIdx.x == 0) last = atomicInc(counter, count - 1) == count - 1;
  __syncthreads();
  if (last) __threadfence();
  return last;
}

}  // namespace noisette::cuda
