// Layer normalisation. Contract: kernels/norm.h. Reference: kernels/cpu/layer_norm.cpp.
// A warp has a row: first its mean, then the variance about it, then the values; after the first
// pass they come from the caches.
#include "kernels/cuda/columns.cuh"
#include "kernels/cuda/reduce.cuh"
#include "kernels/norm.h"

namespace noisette::cuda {
namespace {

constexpr int kRows = 8;  // of a block, a warp each

__device__ inline int64_t first_row() { return int64_t(blockIdx.x) * kRows + threadIdx.y; }

template <class T>
__global__ void layer_norm_fwd(const T* x, const float* weight, const float* bias, T* y,
                               float* mean, float* rstd, LayerNormDims d) {
  for (int64_t r = first_row(); r < d.rows; r += int64_t(gridDim.x) * kRows) {
    const T* row = x + r * d.channels;
    float sum = 0, squares = 0;
    for (int64_t c = threadIdx.x; c < d.channels; c += 32) sum += load(row + c);
    const float mu = block_sum<32>(sum) / float(d.channels);
    for (int64_t c = threadIdx.x; c < d.channels; c += 32) {
      const float distance = load(row + c) - mu;
      squares += distance * distance;
    }
    const float scale = rsqrtf(block_sum<32>(squares) / float(d.channels) + float(d.eps));
    for (int64_t c = threadIdx.x; c < d.channels; c += 32)
      store(y + r * d.channels + c, (load(row + c) - mu) * scale * weight[c] + bias[c]);
    if (threadIdx.x > 0) continue;
    mean[r] = mu;
    rstd[r] = scale;
  }
}

template <class T>
__global__ void layer_norm_bwd(const T* x, const float* weight, const float* mean,
                               const float* rstd, const T* dy, const T* add, T* dx,
                               LayerNormDims d) {
  for (int64_t r = first_row(); r < d.rows; r += int64_t(gridDim.x) * kRows) {
    const int64_t at = r * d.channels;
    const float mu = mean[r], scale = rstd[r];
    float sum = 0, dot = 0;
    for (int64_t c = threadIdx.x; c < d.channels; c += 32) {
      const float du = load(dy + at + c) * weight[c];
      sum += du;
      dot += du * (load(x + at + c) - mu) * scale;
    }
    sum = block_sum<32>(sum) / float(d.channels);
    dot = block_sum<32>(dot) / float(d.channels);
    for (int64_t c = threadIdx.x; c < d.channels; c += 32) {
      const float normal = (load(x + at + c) - mu) * scale;
      float value = scale * (load(dy + at + c) * weight[c] - sum - normal * dot);
      if (add != nullptr) value += load(add + at + c);
      store(dx + at + c, value);
    }
  }
}

/// dy * normalised, whose columns sum up to the gradient of the weight.
template <class T>
struct WeightTerm {
  const T *x, *dy;
  const float *mean, *rstd;
  int64_t channels;
  __device__ float operator()(int64_t r, int64_t c) const {
    const int64_t i = r * channels + c;
    return load(dy + i) * (load(x + i) - mean[r]) * rstd[r];
  }
};
}  // namespace

template <class T>
void layer_norm_forward(const T* x, const acc_t<T>* weight, const acc_t<T>* bias, T* y,
                        acc_t<T>* mean, acc_t<T>* rstd, const LayerNormDims& d) {
  if (d.rows == 0) return;
  launch("layer_norm_forward", layer_norm_fwd<T>, blocks_for(d.rows, kRows), dim3(32, kRows), 0, x,
         weight, bias, y, mean, rstd, d);
}

template <class T>
void layer_norm_backward(const T* x, const acc_t<T>* weight, const acc_t<T>* mean,
                         const acc_t<T>* rstd, const T* dy, const T* add, T* dx, acc_t<T>* dweight,
                         acc_t<T>* dbias, bool accumulate, const LayerNormDims& d) {
  if (dx != nullptr && d.rows > 0)
    launch("layer_norm_backward", layer_norm_bwd<T>, blocks_for(d.rows, kRows), dim3(32, kRows), 0,
           x, weight, mean, rstd, dy, add, dx, d);
  if (dweight != nullptr)
    sum_columns("layer_norm_dweight", WeightTerm<T>{x, dy, mean, rstd, d.channels}, 1, d.rows,
                d.channels, StoreGradient{dweight, accumulate});
  if (dbias != nullptr)
    sum_columns("layer_norm_dbias", Element<T>{dy, d.channels}, 1, d.rows, d.channels,
                StoreGradient{dbias, accumulate});
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
