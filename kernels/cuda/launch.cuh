// Starting kernels.
#pragma once
#include <algorithm>
#include <cstdint>
#include <utility>

#include "kernels/cuda/stream.h"

namespace noisette::cuda {

constexpr int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

/// Runs a kernel in the thread's stream. `shared` is its dynamic shared memory in bytes. With what
/// the kernel declares, more than 99 KB is not had on every card, and more than 48 KB must be asked
/// for.
template <class... P, class... A>
void launch(const char* name, void (*kernel)(P...), dim3 grid, dim3 block, std::size_t shared,
            A&&... args) {
  constexpr std::size_t kUnasked = 8 * 1024;  // kernels declare up to 40 KB
  if (shared > kUnasked)
    check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, int(shared)),
          name);
  kernel<<<grid, block, shared, stream()>>>(static_cast<P>(std::forward<A>(args))...);
  check_launch(name, grid, block, shared);
}

/// Threads of a block of flat work.
inline constexpr int kThreads = 256;

/// Blocks for n items, `per_block` at a time. Loops go on with the stride of the whole grid
/// (for_each_item), so that no size is too large for a grid.
inline dim3 blocks_for(int64_t n, int64_t per_block = kThreads) {
  constexpr int64_t kMost = int64_t(1) << 20;
  return dim3(unsigned(std::clamp<int64_t>(ceil_div(n, per_block), 1, kMost)));
}

/// The block's dynamic shared memory.
template <class T>
__device__ inline T* dynamic_shared() {
  extern __shared__ uint4 dynamic_memory[];
  return reinterpret_cast<T*>(dynamic_memory);
}

/// Calls f(i) for every i in [0, n), shared out over the whole grid of one-dimensional blocks.
template <class F>
__device__ inline void for_each_item(int64_t n, const F& f) {
  const int64_t step = int64_t(gridDim.x) * blockDim.x;
  for (int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x; i < n; i += step) f(i);
}

}  // namespace noisette::cuda
