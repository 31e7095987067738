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
}

template <class T>
void layer_norm_forward(const T* x, const acc_t<T>* weight, const acc_t<T>* bias, T* y,
                        acc_t<T>* mean, acc_t<T>* rstd, const LayerNormDims& d) {
  using A = acc_t<T>;
  const int64_t channels = d.channels;
  auto one_row = [&](int64_t r) {
    const T* in = x + r * channels;
    T* out = y + r * channels;
    A sum = 0, squares = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t c = 0; c < channels; ++c) sum += A(in[c]);
    const A m = sum / A(channels);
#pragma omp simd reduction(+ : squares)
    for (int64_t c = 0; c < channels; ++c) squares += (A(in[c]) - m) * (A(in[c]) - m);
    const A s = A(1) / std::sqrt(squares / A(channels) + A(d.eps));
#pragma omp simd
    for (int64_t c = 0; c < channels; ++c) store(out[c], (A(in[c]) - m) * s * weight[c] + bias[c]);
    mean[r] = m;
    rstd[r] = s;
  };
  parallel_items(d.rows, d.rows * channels, one_row);
}

template <class T>
void layer_norm_backward(const T* x, const acc_t<T>* weight, const acc_t<T>* mean,
                         const acc_t<T>* rstd, const T* dy, const T* add, T* dx, acc_t<T>* dweight,
                         acc_t<T>* dbias, bool accumulate, const LayerNormDims& d) {
  using A = acc_t<T>;
  const int64_t channels = d.channels, chunks = ceil_div(d.rows, kRows);
  std::vector<A> partial(size_t(chunks * 2 * channels));
  auto one_row = [&](int64_t r, A* sum_w, A* sum_b) {
    const T* in = x + r * channels;
    const T* grad = dy + r * channels;
    const A m = mean[r], s = rstd[r];
    A s1 = 0, s2 = 0;
#pragma omp simd reduction(+ : s1, s2)
    for (int64_t c = 0; c < channels; ++c) {
      const A g = A(grad[c]), xhat = (A(in[c]) - m) * s;
      s1 += g * weight[c];
      s2 += g * weight[c] * xhat;
      sum_w[c] += g * xhat;
      sum_b[c] += g;
    }
    if (!dx) return;
    s1 /= A(channels);
    s2 /= A(channels);
    T* out = dx + r * channels;
    const T* other = add ? add + r * channels : grad;
    const A factor = add ? A(1) : A(0);
#pragma omp simd
    for (int64_t c = 0; c < channels; ++c) {
      const A xhat = (A(in[c]) - m) * s;
      store(out[c], s * (A(grad[c]) * weight[c] - s1 - xhat * s2) + factor * A(other[c]));
    }
  };
  parallel_items(chunks, d.rows * channels, [&](int64_t k) {
    A* sums = partial.data() + k * 2 * channels;
    for (int64_t r = k * kRows; r < std::min(d.rows, (k + 1) * kRows); ++r)
      one_row(r, sums, sums + channels);
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
