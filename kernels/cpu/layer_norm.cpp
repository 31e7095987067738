// Layer normalisation over the last axis. Contract: kernels/norm.h.
// A row is read three times, twice from cache. Gradients of weight and bias: fixed chunks of rows,
// added up in order.
#include <cmath>
#include <vector>

#include "kernels/cpu/parallel.h"
#include "kernels/cpu/vector_math.h"
#include "kernels/norm.h"

namespace noisette::cpu {
namespace {

constexpr int64_t kRows = 64;  // rows per partial sum of dweight and dbias

// One row each. Functions of their own: inside a closure the compiler gives up on vectorising the
// reductions.

template <class T>
void forward_row(const T* x, const acc_t<T>* weight, const acc_t<T>* bias, T* y, acc_t<T>* mean,
                 acc_t<T>* rstd, int64_t channels, double eps) {
  using A = acc_t<T>;
  A sum = 0, squares = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t c = 0; c < channels; ++c) sum += A(x[c]);
  const A m = sum / A(channels);
#pragma omp simd reduction(+ : squares)
  for (int64_t c = 0; c < channels; ++c) squares += (A(x[c]) - m) * (A(x[c]) - m);
  const A s = A(1) / std::sqrt(squares / A(channels) + A(eps));
#pragma omp simd
  for (int64_t c = 0; c < channels; ++c) store(y[c], (A(x[c]) - m) * s * weight[c] + bias[c]);
  *mean = m;
  *rstd = s;
}

template <class A>
struct RowSums {
  A du = 0;      // sum of dy * weight
  A duxhat = 0;  // sum of dy * weight * xhat
};

/// Also adds this row to the sums for weight and bias.
template <class T>
RowSums<acc_t<T>> backward_sums(const T* x, const acc_t<T>* weight, const T* dy, acc_t<T> m,
                                acc_t<T> s, acc_t<T>* sum_w, acc_t<T>* sum_b, int64_t channels) {
  using A = acc_t<T>;
  A s1 = 0, s2 = 0;
#pragma omp simd reduction(+ : s1, s2)
  for (int64_t c = 0; c < channels; ++c) {
    const A g = A(dy[c]), xhat = (A(x[c]) - m) * s;
    s1 += g * weight[c];
    s2 += g * weight[c] * xhat;
    sum_w[c] += g * xhat;
    sum_b[c] += g;
  }
  return {s1, s2};
}

template <class T>
void backward_dx(const T* x, const acc_t<T>* weight, const T* dy, const T* add, T* dx, acc_t<T> m,
                 acc_t<T> s, const RowSums<acc_t<T>>& sums, int64_t channels) {
  using A = acc_t<T>;
  const A s1 = sums.du / A(channels), s2 = sums.duxhat / A(channels);
  if (add == nullptr) {
#pragma omp simd
    for (int64_t c = 0; c < channels; ++c)
      store(dx[c], s * (A(dy[c]) * weight[c] - s1 - (A(x[c]) - m) * s * s2));
    return;
  }
#pragma omp simd
  for (int64_t c = 0; c < channels; ++c)
    store(dx[c], s * (A(dy[c]) * weight[c] - s1 - (A(x[c]) - m) * s * s2) + A(add[c]));
}

}  // namespace

template <class T>
void layer_norm_forward(const T* x, const acc_t<T>* weight, const acc_t<T>* bias, T* y,
                        acc_t<T>* mean, acc_t<T>* rstd, const LayerNormDims& d) {
  parallel_items(d.rows, d.rows * d.channels, [=](int64_t r) {
    forward_row(x + r * d.channels, weight, bias, y + r * d.channels, mean + r, rstd + r,
                d.channels, d.eps);
  });
}

template <class T>
void layer_norm_backward(const T* x, const acc_t<T>* weight, const acc_t<T>* mean,
                         const acc_t<T>* rstd, const T* dy, const T* add, T* dx, acc_t<T>* dweight,
                         acc_t<T>* dbias, bool accumulate, const LayerNormDims& d) {
  using A = acc_t<T>;
  const int64_t channels = d.channels, chunks = ceil_div(d.rows, kRows);
  std::vector<A> partial(size_t(chunks * 2 * channels));
  parallel_items(chunks, d.rows * channels, [&](int64_t k) {
    A* sum_w = partial.data() + k * 2 * channels;
    A* sum_b = sum_w + channels;
    for (int64_t r = k * kRows; r < std::min(d.rows, (k + 1) * kRows); ++r) {
      const int64_t at = r * channels;
      const auto sums =
          backward_sums(x + at, weight, dy + at, mean[r], rstd[r], sum_w, sum_b, channels);
      if (dx)
        backward_dx(x + at, weight, dy + at, add ? add + at : nullptr, dx + at, mean[r], rstd[r],
                    sums, channels);
    }
  });
  auto reduce = [&](A* out, int64_t offset) {
    if (!out) return;
    std::vector<double> total(size_t(channels), 0.0);
    for (int64_t k = 0; k < chunks; ++k) {
      const A* part = partial.data() + (k * 2 + offset) * channels;
      for (int64_t c = 0; c < channels; ++c) total[size_t(c)] += double(part[c]);
    }
    for (int64_t c = 0; c < channels; ++c)
      out[c] = A(total[size_t(c)] + (accumulate ? double(out[c]) : 0.0));
  };
  reduce(dweight, 0);
  reduce(dbias, 1);
}

#define NOISETTE_INSTANTIATE(T)                                                                  \
  template void layer_norm_forward<T>(const T*, const acc_t<T>*, const acc_t<T>*, T*, acc_t<T>*, \
                                      acc_t<T>*, const LayerNormDims&);                          \
  template void layer_norm_backward<T>(const T*, const acc_t<T>*, const acc_t<T>*,               \
                                       const acc_t<T>*, const T*, const T*, T*, acc_t<T>*,       \
                                       acc_t<T>*, bool, const LayerNormDims&);
NOISETTE_INSTANTIATE(float)
NOISETTE_INSTANTIATE(bfloat16)
NOISETTE_INSTANTIATE(double)
#undef NOISETTE_INSTANTIATE

}  // namespace noisette::cpu
