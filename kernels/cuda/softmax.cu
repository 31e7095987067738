// Softmax over rows. Contract: kernels/softmax.h. Reference: kernels/cpu/softmax.cpp.
// A short row belongs to a warp, a long one to a block. Rows stay in registers (rows.cuh): each
// input is read once and the output written once; exponentials are taken twice. On an H100
// (software GPU, not yet run on a card) f32 is bound by memory, bf16 by the issue of instructions.
#include "kernels/softmax.h"

#include <cmath>

#include "kernels/cuda/rows.cuh"

namespace noisette::cuda {
namespace {

template <class S, class T>
__global__ void softmax_fwd(const T* x, T* y, int64_t rows, int64_t cols) {
  S::for_each_row(rows, [&](int64_t r) {
    const Row<T, S> in(x + r * cols, cols);
    const float largest = S::reduce(
        cols, -INFINITY, Larger{}, [](int64_t, float v) { return v; }, in);
    const float sum = S::sum(
        cols, [&](int64_t, float v) { return expf(v - largest); }, in);
    S::write(
        cols, y + r * cols, [&](int64_t, float v) { return expf(v - largest) / sum; }, in);
  });
}

template <class S, class T>
__global__ void softmax_bwd(const T* y, const T* dy, T* dx, int64_t rows, int64_t cols) {
  S::for_each_row(rows, [&](int64_t r) {
    const Row<T, S> out(y + r * cols, cols), grad(dy + r * cols, cols);
    const float dot = S::sum(
        cols, [](int64_t, float p, float g) { return p * g; }, out, grad);
    const auto dx_of = [&](int64_t, float p, float g) { return p * (g - dot); };
    S::write(cols, dx + r * cols, dx_of, out, grad);
  });
}

}  // namespace

template <class T>
void softmax_forward(const T* x, T* y, int64_t rows, int64_t cols) {
  if (rows * cols == 0) return;
  const auto run = [&](auto share) {
    using S = decltype(share);
    launch("softmax_forward", softmax_fwd<S, T>, blocks_for(rows, S::kRows), S::block(), 0, x, y,
           rows, cols);
  };
  with_share<T>(cols, run, x, y);
}

template <class T>
void softmax_backward(const T* y, const T* dy, T* dx, int64_t rows, int64_t cols) {
  if (rows * cols == 0) return;
  const auto run = [&](auto share) {
    using S = decltype(share);
    launch("softmax_backward", softmax_bwd<S, T>, blocks_for(rows, S::kRows), S::block(), 0, y, dy,
           dx, rows, cols);
  };
  with_share<T>(cols, run, y, dy, dx);
}

#define NOISETTE_INSTANTIATE(T)                                  \
  template void softmax_forward(const T*, T*, int64_t, int64_t); \
  template void softmax_backward(const T*, const T*, T*, int64_t, int64_t);
NOISETTE_INSTANTIATE(float)
NOISETTE_INSTANTIATE(bfloat16)
#undef NOISETTE_INSTANTIATE

}  // namespace noisette::cuda
