// Losses by sample. Contract: kernels/loss.h. Reference: kernels/cpu/loss.cpp.
#include "kernels/loss.h"

#include <cmath>

#include "kernels/cuda/map.cuh"
#include "kernels/cuda/reduce.cuh"
#include "kernels/cuda/sums.cuh"

namespace noisette::cuda {
namespace {

template <class T>
struct SquaredDistance {
  const T* x;
  const float* target;
  __device__ double operator()(int64_t i) const {
    const float d = load(x + i) - target[i];
    return double(d * d);
  }
};
struct StoreWeighted {
  const float* weight;
  float* loss;
  int64_t per_item;
  __device__ void operator()(int64_t n, double sum) const {
    loss[n] = float(double(weight[n]) * sum / double(per_item));
  }
};

/// Grid (blocks of an item, items).
template <class T>
__global__ void weighted_mse_bwd(const T* x, const float* target, const float* weight,
                                 const float* dloss, T* dx, int64_t batch, int64_t per_item) {
  for (int64_t n = blockIdx.y; n < batch; n += gridDim.y) {
    const float factor = float(double(dloss[n]) * 2 * double(weight[n]) / double(per_item));
    for_each_item(per_item, [&](int64_t k) {
      const int64_t i = n * per_item + k;
      store(dx + i, factor * (load(x + i) - target[i]));
    });
  }
}

/// log(sum over c of exp(row[c])) = largest + log(sum), by one warp.
struct LogSum {
  float largest, sum = 0;
  template <class T>
  __device__ LogSum(const T* row, int64_t classes) : largest(-INFINITY) {
    for (int64_t c = threadIdx.x; c < classes; c += 32) largest = fmaxf(largest, load(row + c));
    largest = block_max<32>(largest);
    for (int64_t c = threadIdx.x; c < classes; c += 32) sum += expf(load(row + c) - largest);
    sum = block_sum<32>(sum);
  }
};

/// A warp a sample.
template <class T, class Label>
__global__ void cross_entropy_fwd(const T* x, const Label* label, float* loss, int64_t batch,
                                  int64_t classes) {
  const int64_t n = int64_t(blockIdx.x) * blockDim.y + threadIdx.y;
  if (n >= batch) return;
  const T* row = x + n * classes;
  const LogSum s(row, classes);
  const int64_t k = label[n];
  if (threadIdx.x > 0) return;
  loss[n] = k >= 0 && k < classes ? (s.largest - load(row + k)) + logf(s.sum) : NAN;
}

template <class T, class Label>
__global__ void cross_entropy_bwd(const T* x, const Label* label, const float* dloss, T* dx,
                                  int64_t batch, int64_t classes) {
  const int64_t n = int64_t(blockIdx.x) * blockDim.y + threadIdx.y;
  if (n >= batch) return;
  const T* row = x + n * classes;
  const LogSum s(row, classes);
  const int64_t k = label[n];
  for (int64_t c = threadIdx.x; c < classes; c += 32) {
    const float p = expf(load(row + c) - s.largest) / s.sum;
    store(dx + n * classes + c, dloss[n] * (p - (c == k ? 1.f : 0.f)));
  }
}

}  // namespace

template <class T>
void weighted_mse_forward(const T* x, const acc_t<T>* target, const acc_t<T>* weight,
                          acc_t<T>* loss, int64_t batch, int64_t per_item) {
  sum_rows("weighted_mse_forward", batch, per_item, SquaredDistance<T>{x, target},
           StoreWeighted{weight, loss, per_item});
}

template <class T>
void weighted_mse_backward(const T* x, const acc_t<T>* target, const acc_t<T>* weight,
                           const acc_t<T>* dloss, T* dx, int64_t batch, int64_t per_item) {
  if (batch * per_item == 0) return;
  dim3 grid = blocks_for(per_item);
  grid.x = std::min(grid.x, 65535u);
  grid.y = unsigned(std::min<int64_t>(batch, 65535));
  launch("weighted_mse_backward", weighted_mse_bwd<T>, grid, kThreads, 0, x, target, weight, dloss,
         dx, batch, per_item);
}

template <class T, class Label>
void cross_entropy_forward(const T* x, const Label* label, acc_t<T>* loss, int64_t batch,
                           int64_t classes) {
  if (batch == 0) return;
  launch("cross_entropy_forward", cross_entropy_fwd<T, Label>, dim3(unsigned(ceil_div(batch, 8))),
         dim3(32, 8), 0, x, label, loss, batch, classes);
}

template <class T, class Label>
void cross_entropy_backward(const T* x, const Label* label, const acc_t<T>* dloss, T* dx,
                            int64_t batch, int64_t classes) {
  if (batch * classes == 0) return;
  launch("cross_entropy_backward", cross_entropy_bwd<T, Label>, dim3(unsigned(ceil_div(batch, 8))),
         dim3(32, 8), 0, x, label, dloss, dx, batch, classes);
}

#define NOISETTE_INSTANTIATE_LABEL(T, L)                                                    \
  template void cross_entropy_forward<T, L>(const T*, const L*, float*, int64_t, int64_t);  \
  template void cross_entropy_backward<T, L>(const T*, const L*, const float*, T*, int64_t, \
                                             int64_t);
#define NOISETTE_INSTANTIATE(T)                                                                  \
  template void weighted_mse_forward<T>(const T*, const float*, const float*, float*, int64_t,   \
                                        int64_t);                                                \
  template void weighted_mse_backward<T>(const T*, const float*, const float*, const float*, T*, \
                                         int64_t, int64_t);                                      \
  NOISETTE_INSTANTIATE_LABEL(T, int64_t)                                                         \
  NOISETTE_INSTANTIATE_LABEL(T, int32_t)
NOISETTE_INSTANTIATE(float)
NOISETTE_INSTANTIATE(bfloat16)
#undef NOISETTE_INSTANTIATE
#undef NOISETTE_INSTANTIATE_LABEL

}  // namespace noisette::cuda
