// Layer normalisation. Contract: kernels/norm.h. Reference: kernels/cpu/layer_norm.cpp.
// A short row belongs to a warp, a long one to a block, and stays in registers (rows.cuh): first
// its mean, then the variance about it, then the values. Backward reads x and dy once for dx and
// the gradients of weight and bias: blocks have many rows each, sum by column as they go, and their
// sums are added up in a second launch. Weight and bias are read once by a block, into shared
// memory. Simulated for an H100, not yet run on a card, 4096 rows of 320: 1.00 to 1.09 of the least
// bytes from memory; accesses fill their sectors, and with weights and sums by column blocks ask
// for 1.09 to 1.14 of the bytes of x, y and their gradients. Bound by memory in f32, by
// instructions in bf16. Dropped: sums by column in kernels of their own, which read x and dy again
// (2.1 times the least sectors from L2 in f32); weights in registers, which every warp reads for
// itself, in bf16 half a sector at a time (2.05 and 1.45 times those bytes, though L1 may catch
// most; 119 and 212 registers instead of 65 and 186).
#include "kernels/cuda/columns.cuh"
#include "kernels/cuda/rows.cuh"
#include "kernels/norm.h"

namespace noisette::cuda {
namespace {

template <class S, class T>
__global__ void layer_norm_fwd(const T* x, const float* weight, const float* bias, T* y,
                               float* mean, float* rstd, LayerNormDims d) {
  const int64_t cols = d.channels;
  auto* const memory = dynamic_shared<std::byte>();
  const SharedRow<S> w(weight, cols, memory), b(bias, cols, memory + SharedRow<S>::bytes(cols));
  __syncthreads();
  S::for_each_row(d.rows, [&](int64_t r) {
    const Row<T, S> row(x + r * cols, cols);
    const float mu = S::sum(
                         cols, [](int64_t, float v) { return v; }, row) /
                     float(cols);
    const auto squared = [&](int64_t, float v) { return (v - mu) * (v - mu); };
    const float scale = rsqrtf(S::sum(cols, squared, row) / float(cols) + float(d.eps));
    const auto value = [&](int64_t, float v, float w_c, float b_c) {
      return (v - mu) * scale * w_c + b_c;
    };
    S::write(cols, y + r * cols, value, row, w, b);
    if (threadIdx.x > 0) return;
    mean[r] = mu;
    rstd[r] = scale;
  });
}

/// Sums by column over the rows of a block: in registers, or where these are too few in `to`.
template <class S>
class BlockColumns {
 public:
  __device__ BlockColumns(float* to, int64_t cols) : to_(to) {
    if constexpr (S::kVectors == 0)
      S::for_each(cols, [&](int, int64_t c) {
        for (int j = 0; j < S::kWidth; ++j) to_[c + j] = 0;
      });
  }
  __device__ void add(int k, int64_t c, int j, float value) {
    if constexpr (S::kVectors > 0)
      sum_[k][j] += value;
    else
      to_[c + j] += value;
  }
  /// to[c] = the sums of all rows. All threads of the block call.
  __device__ void write(int64_t cols) const {
    if constexpr (S::kVectors > 0) {
      constexpr int kCols = S::kGroup * S::kWidth;
      __shared__ float of_rows[S::kRows][kCols];
#pragma unroll
      for (int k = 0; k < S::kVectors; ++k) {
        __syncthreads();
#pragma unroll
        for (int j = 0; j < S::kWidth; ++j)
          of_rows[threadIdx.y][threadIdx.x * S::kWidth + j] = sum_[k][j];
        __syncthreads();
        for (int i = int(threadIdx.y) * S::kGroup + int(threadIdx.x); i < kCols; i += kThreads) {
          float total = 0;
#pragma unroll
          for (int r = 0; r < S::kRows; ++r) total += of_rows[r][i];
          if (k * kCols + i < cols) to_[k * kCols + i] = total;
        }
      }
    }
  }

 private:
  float* to_;
  float sum_[S::kVectors > 0 ? S::kVectors : 1][S::kWidth] = {};
};

/// partial: [blocks, 2 * channels], each block's part of the gradients of weight and bias.
template <class S, class T>
__global__ void layer_norm_bwd(const T* x, const float* weight, const float* mean,
                               const float* rstd, const T* dy, const T* add, T* dx, float* partial,
                               LayerNormDims d) {
  const int64_t cols = d.channels;
  BlockColumns<S> dweight(partial + 2 * blockIdx.x * cols, cols);
  BlockColumns<S> dbias(partial + (2 * blockIdx.x + 1) * cols, cols);
  const SharedRow<S> w(weight, cols, dynamic_shared<std::byte>());
  __syncthreads();
  S::for_each_row(d.rows, [&](int64_t r) {
    const int64_t at = r * cols;
    const Row<T, S> in(x + at, cols), grad(dy + at, cols);
    const float mu = mean[r], scale = rstd[r];
    S::for_each(cols, [&](int k, int64_t c) {
      const auto values = in.vector(k, c), grads = grad.vector(k, c);
#pragma unroll
      for (int j = 0; j < S::kWidth; ++j) {
        dweight.add(k, c, j, grads[j] * (values[j] - mu) * scale);
        dbias.add(k, c, j, grads[j]);
      }
    });
    if (dx == nullptr) return;
    const auto du = [](int64_t, float g, float w_c) { return g * w_c; };
    const auto du_normal = [&](int64_t, float v, float g, float w_c) {
      return g * w_c * (v - mu) * scale;
    };
    const float sum = S::sum(cols, du, grad, w) / float(cols);
    const float dot = S::sum(cols, du_normal, in, grad, w) / float(cols);
    const auto value = [&](int64_t, float v, float g, float w_c) {
      return scale * (g * w_c - sum - (v - mu) * scale * dot);
    };
    if (add == nullptr) return S::write(cols, dx + at, value, in, grad, w);
    const auto with_other = [&](int64_t c, float v, float g, float w_c, float other) {
      return value(c, v, g, w_c) + other;
    };
    S::write(cols, dx + at, with_other, in, grad, w, Row<T, S>(add + at, cols));
  });
  dweight.write(cols);
  dbias.write(cols);
}

/// Blocks of at least `each` rows, so that what each block reads and writes once weighs little.
template <class S>
dim3 blocks_of_rows(int64_t rows, int64_t each) {
  constexpr int64_t kMost = 1056;  // eight for each multiprocessor of an H100
  return dim3(
      unsigned(std::clamp<int64_t>(ceil_div(rows, std::max<int64_t>(S::kRows, each)), 1, kMost)));
}

}  // namespace

template <class T>
void layer_norm_forward(const T* x, const acc_t<T>* weight, const acc_t<T>* bias, T* y,
                        acc_t<T>* mean, acc_t<T>* rstd, const LayerNormDims& d) {
  if (d.rows == 0) return;
  const auto run = [&](auto share) {
    using S = decltype(share);
    launch("layer_norm_forward", layer_norm_fwd<S, T>, blocks_of_rows<S>(d.rows, 64 / sizeof(T)),
           S::block(), 2 * SharedRow<S>::bytes(d.channels), x, weight, bias, y, mean, rstd, d);
  };
  with_share<T>(d.channels, run, x, weight, bias, y);
}

template <class T>
void layer_norm_backward(const T* x, const acc_t<T>* weight, const acc_t<T>* mean,
                         const acc_t<T>* rstd, const T* dy, const T* add, T* dx, acc_t<T>* dweight,
                         acc_t<T>* dbias, bool accumulate, const LayerNormDims& d) {
  const auto run = [&](auto share) {
    using S = decltype(share);
    const dim3 grid = blocks_of_rows<S>(d.rows, 64 / sizeof(T));
    Scratch scratch;
    float* partial = scratch.take<float>(2 * grid.x * d.channels);
    launch("layer_norm_backward", layer_norm_bwd<S, T>, grid, S::block(),
           SharedRow<S>::bytes(d.channels), x, weight, mean, rstd, dy, add, dx, partial, d);
    if (dweight == nullptr && dbias == nullptr) return;
    sum_columns("layer_norm_dweight", partial, 1, grid.x, 2 * d.channels,
                StoreTwoGradients{dweight, dbias, d.channels, accumulate});
  };
  with_share<T>(d.channels, run, x, weight, dy, add, dx);
}

#define NOISETTE_INSTANTIATE(T)                                                                 \
  template void layer_norm_forward<T>(const T*, const float*, const float*, T*, float*, float*, \
                                      const LayerNormDims&);                                    \
  template void layer_norm_backward<T>(const T*, const float*, const float*, const float*,      \
                                       const T*, const T*, T*, float*, float*, bool,            \
                                       const LayerNormDims&);
NOISETTE_INSTANTIATE(float)
NOISETTE_INSTANTIATE(bfloat16)
#undef NOISETTE_INSTANTIATE

}  // namespace noisette::cuda
