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

}  // namespace noisette::cuda
