// Softmax over rows. Contract: kernels/softmax.h. Reference: kernels/cpu/softmax.cpp.
// A short row belongs to a warp, a long one to a block. x is read three times, twice from the
// cache.
#include "kernels/softmax.h"

#include <cmath>

#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/reduce.cuh"
#include "kernels/cuda/vec.cuh"

namespace noisette::cuda {
namespace {

/// Threads of a row; blocks of [kGroup, rows of a block] threads.
constexpr int kWarp = 32, kLongRow = 2048;

template <int kGroup, class T>
__global__ void softmax_fwd(const T* x, T* y, int64_t rows, int64_t cols) {
  const int64_t step = int64_t(gridDim.x) * blockDim.y;
  for (int64_t r = int64_t(blockIdx.x) * blockDim.y + threadIdx.y; r < rows; r += step) {
    const T* in = x + r * cols;
    float largest = -INFINITY, sum = 0;
    for (int64_t c = threadIdx.x; c < cols; c += kGroup) largest = fmaxf(largest, load(in + c));
    largest = block_max<kGroup>(largest);
    for (int64_t c = threadIdx.x; c < cols; c += kGroup) sum += expf(load(in + c) - largest);
    sum = block_sum<kGroup>(sum);
    for (int64_t c = threadIdx.x; c < cols; c += kGroup)
      store(y + r * cols + c, expf(load(in + c) - largest) / sum);
  }
}

template <int kGroup, class T>
__global__ void softmax_bwd(const T* y, const T* dy, T* dx, int64_t rows, int64_t cols) {
  const int64_t step = int64_t(gridDim.x) * blockDim.y;
  for (int64_t r = int64_t(blockIdx.x) * blockDim.y + threadIdx.y; r < rows; r += step) {
    const T *out = y + r * cols, *grad = dy + r * cols;
    float dot = 0;
    for (int64_t c = threadIdx.x; c < cols; c += kGroup) dot += load(out + c) * load(grad + c);
    dot = block_sum<kGroup>(dot);
    for (int64_t c = threadIdx.x; c < cols; c += kGroup)
      store(dx + r * cols + c, load(out + c) * (load(grad + c) - dot));
  }
}

}  // namespace

template <class T>
void softmax_forward(const T* x, T* y, int64_t rows, int64_t cols) {
  if (rows * cols == 0) return;
  if (cols < kLongRow)
    launch("softmax_forward", softmax_fwd<kWarp, T>, blocks_for(rows, kThreads / kWarp),
           dim3(kWarp, kThreads / kWarp), 0, x, y, rows, cols);
  else
    launch("softmax_forward", softmax_fwd<kThreads, T>, blocks_for(rows, 1), kThreads, 0, x, y,
           rows, cols);
}

template <class T>
void softmax_backward(const T* y, const T* dy, T* dx, int64_t rows, int64_t cols) {
  if (rows * cols == 0) return;
  if (cols < kLongRow)
    launch("softmax_backward", softmax_bwd<kWarp, T>, blocks_for(rows, kThreads / kWarp),
           dim3(kWarp, kThreads / kWarp), 0, y, dy, dx, rows, cols);
  else
    launch("softmax_backward", softmax_bwd<kThreads, T>, blocks_for(rows, 1), kThreads, 0, y, dy,
           dx, rows, cols);
}

#define NOISETTE_INSTANTIATE(T)                                  \
  template void softmax_forward(const T*, T*, int64_t, int64_t); \
  template void softmax_backward(const T*, const T*, T*, int64_t, int64_t);
NOISETTE_INSTANTIATE(float)
NOISETTE_INSTANTIATE(bfloat16)
#undef NOISETTE_INSTANTIATE

}  // namespace noisette::cuda
