// Losses by sample. Contract: kernels/loss.h. Reference: kernels/cpu/loss.cpp.
#include "kernels/loss.h"

#include <cmath>

#include "kernels/cuda/map.cuh"
#include "kernels/cuda/rows.cuh"
#include "kernels/cuda/sums.cuh"

namespace noisette::cuda {
namespace {

struct SquaredDistance {
  __device__ double operator()(float target, float x) const {
    return double((x - target) * (x - target));
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

/// dx = factor of the sample * (x - target)
template <class T>
struct WeightedDistance {
  using Widest = float;
  const T* x;
  const float *target, *weight, *dloss;
  T* dx;
  int64_t per_item;

  bool aligned() const { return aligned16(x, target, dx); }
  __device__ float of_sample(int64_t n) const {
    return float(double(dloss[n]) * 2 * double(weight[n]) / double(per_item));
  }
  template <int kWidth>
  __device__ void run(float factor, int64_t i) const {
    map_packs<kWidth>([=](float a, float b) { return factor * (a - b); }, dx + i,
                      Pack<T, kWidth>::read(x + i), Pack<float, kWidth>::read(target + i));
  }
};

/// log(sum over c of exp(row[c])) = largest + log(sum), by the threads that share the row.
struct LogSum {
  float largest, sum;
  template <class T, class S>
  __device__ LogSum(const Row<T, S>& row, int64_t cols)
      : largest(S::reduce(
            cols, -INFINITY, Larger{}, [](int64_t, float v) { return v; }, row)),
        sum(S::sum(
            cols, [this](int64_t, float v) { return expf(v - largest); }, row)) {}
};

template <class S, class T, class Label>
__global__ void cross_entropy_fwd(const T* x, const Label* label, float* loss, int64_t batch,
                                  int64_t classes) {
  S::for_each_row(batch, [&](int64_t n) {
    const LogSum s(Row<T, S>(x + n * classes, classes), classes);
    const int64_t k = label[n];
    if (threadIdx.x > 0) return;
    const bool there = k >= 0 && k < classes;
    loss[n] = there ? (s.largest - load(x + n * classes + k)) + logf(s.sum) : NAN;
  });
}

template <class S, class T, class Label>
__global__ void cross_entropy_bwd(const T* x, const Label* label, const float* dloss, T* dx,
                                  int64_t batch, int64_t classes) {
  S::for_each_row(batch, [&](int64_t n) {
    const Row<T, S> row(x + n * classes, classes);
    const LogSum s(row, classes);
    const int64_t k = label[n];
    const float factor = dloss[n];
    const auto dx_of = [&](int64_t c, float v) {
      return factor * (expf(v - s.largest) / s.sum - (c == k ? 1.f : 0.f));
    };
    S::write(classes, dx + n * classes, dx_of, row);
  });
}

}  // namespace

template <class T>
void weighted_mse_forward(const T* x, const acc_t<T>* target, const acc_t<T>* weight,
                          acc_t<T>* loss, int64_t batch, int64_t per_item) {
  sum_rows("weighted_mse_forward", batch, per_item, SquaredDistance{},
           StoreWeighted{weight, loss, per_item}, target, x);
}

template <class T>
void weighted_mse_backward(const T* x, const acc_t<T>* target, const acc_t<T>* weight,
                           const acc_t<T>* dloss, T* dx, int64_t batch, int64_t per_item) {
  run_by_sample("weighted_mse_backward",
                WeightedDistance<T>{x, target, weight, dloss, dx, per_item}, batch, per_item);
}

template <class T, class Label>
void cross_entropy_forward(const T* x, const Label* label, acc_t<T>* loss, int64_t batch,
                           int64_t classes) {
  if (batch == 0) return;
  const auto run = [&](auto share) {
    using S = decltype(share);
    launch("cross_entropy_forward", cross_entropy_fwd<S, T, Label>, blocks_for(batch, S::kRows),
           S::block(), 0, x, label, loss, batch, classes);
  };
  with_share<T>(classes, run, x);
}

template <class T, class Label>
void cross_entropy_backward(const T* x, const Label* label, const acc_t<T>* dloss, T* dx,
                            int64_t batch, int64_t classes) {
  if (batch * classes == 0) return;
  const auto run = [&](auto share) {
    using S = decltype(share);
    launch("cross_entropy_backward", cross_entropy_bwd<S, T, Label>, blocks_for(batch, S::kRows),
           S::block(), 0, x, label, dloss, dx, batch, classes);
  };
  with_share<T>(classes, run, x, dx);
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
