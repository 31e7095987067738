// Attention by the plain loops of its definition (f64), and the choice between them and the fused
// form.
#include "kernels/attention.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>
#include <vector>

#include "kernels/cpu/attention_tiled.h"
#include "kernels/cpu/parallel.h"

namespace noisette::cpu {
namespace {

double dot(const double* a, const double* b, int64_t n) {
  double sum = 0;
  for (int64_t c = 0; c < n; ++c) sum += a[c] * b[c];
  return sum;
}

void add_scaled(double factor, const double* x, double* y, int64_t n) {
  for (int64_t c = 0; c < n; ++c) y[c] += factor * x[c];
}

/// One head of one batch element: where its rows begin.
struct Head {
  Head(const AttentionDims& d, int64_t index)
      : q(index / d.heads * d.queries * d.q_stride + index % d.heads * d.head_dim),
        k(index / d.heads * d.keys * d.k_stride + index % d.heads * d.head_dim),
        v(index / d.heads * d.keys * d.v_stride + index % d.heads * d.head_dim),
        o(index / d.heads * d.queries * d.o_stride + index % d.heads * d.head_dim),
        lse(index * d.queries) {}
  int64_t q, k, v, o, lse;
};

int64_t visible_keys(const AttentionDims& d, int64_t query) {
  return d.causal ? std::min(d.keys, query + 1) : d.keys;
}

int64_t work(const AttentionDims& d) { return d.batch * d.heads * d.queries * d.keys * d.head_dim; }

void reference_forward(const double* q, const double* k, const double* v, double* o, double* lse,
                       const AttentionDims& d) {
  parallel_items(d.batch * d.heads, work(d), [&](int64_t h) {
    const Head at(d, h);
    std::vector<double> p(std::size_t(d.keys), 0.0);
    for (int64_t i = 0; i < d.queries; ++i) {
      const int64_t n = visible_keys(d, i);
      double top = -std::numeric_limits<double>::infinity(), sum = 0;
      for (int64_t j = 0; j < n; ++j) {
        p[std::size_t(j)] =
            d.scale * dot(q + at.q + i * d.q_stride, k + at.k + j * d.k_stride, d.head_dim);
        top = std::max(top, p[std::size_t(j)]);
      }
      for (int64_t j = 0; j < n; ++j) sum += p[std::size_t(j)] = std::exp(p[std::size_t(j)] - top);
      double* out = o + at.o + i * d.o_stride;
      std::fill_n(out, d.head_dim, 0.0);
      for (int64_t j = 0; j < n; ++j)
        add_scaled(p[std::size_t(j)] / sum, v + at.v + j * d.v_stride, out, d.head_dim);
      if (lse) lse[at.lse + i] = top + std::log(sum);
    }
  });
}

void reference_backward(const double* q, const double* k, const double* v, const double* o,
                        const double* lse, const double* dout, double* dq, double* dk, double* dv,
                        const AttentionDims& d) {
  parallel_items(d.batch * d.heads, work(d), [&](int64_t h) {
    const Head at(d, h);
    for (int64_t j = 0; j < d.keys; ++j) {
      std::fill_n(dk + at.k + j * d.k_stride, d.head_dim, 0.0);
      std::fill_n(dv + at.v + j * d.v_stride, d.head_dim, 0.0);
    }
    for (int64_t i = 0; i < d.queries; ++i) {
      const double *qi = q + at.q + i * d.q_stride, *doi = dout + at.o + i * d.o_stride;
      double* dqi = dq + at.q + i * d.q_stride;
      const double delta = dot(o + at.o + i * d.o_stride, doi, d.head_dim);
      std::fill_n(dqi, d.head_dim, 0.0);
      for (int64_t j = 0; j < visible_keys(d, i); ++j) {
        const double *kj = k + at.k + j * d.k_stride, *vj = v + at.v + j * d.v_stride;
        const double p = std::exp(d.scale * dot(qi, kj, d.head_dim) - lse[at.lse + i]);
        const double ds = d.scale * p * (dot(doi, vj, d.head_dim) - delta);
        add_scaled(p, doi, dv + at.v + j * d.v_stride, d.head_dim);
        add_scaled(ds, qi, dk + at.k + j * d.k_stride, d.head_dim);
        add_scaled(ds, kj, dqi, d.head_dim);
      }
    }
  });
}

}  // namespace

template <class T>
void attention_forward(const T* q, const T* k, const T* v, T* o, acc_t<T>* lse,
                       const AttentionDims& d) {
  if constexpr (std::is_same_v<T, double>)
    reference_forward(q, k, v, o, lse, d);
  else
    tiled_attention_forward(q, k, v, o, lse, d);
}

template <class T>
void attention_backward(const T* q, const T* k, const T* v, const T* o, const acc_t<T>* lse,
                        const T* dout, T* dq, T* dk, T* dv, const AttentionDims& d) {
  if constexpr (std::is_same_v<T, double>)
    reference_backward(q, k, v, o, lse, dout, dq, dk, dv, d);
  else
    tiled_attention_backward(q, k, v, o, lse, dout, dq, dk, dv, d);
}

#define NOISETTE_INSTANTIATE(T)                                                             \
  template void attention_forward(const T*, const T*, const T*, T*, acc_t<T>*,              \
                                  const AttentionDims&);                                    \
  template void attention_backward(const T*, const T*, const T*, const T*, const acc_t<T>*, \
                                   const T*, T*, T*, T*, const AttentionDims&);
NOISETTE_INSTANTIATE(float)
NOISETTE_INSTANTIATE(bfloat16)
NOISETTE_INSTANTIATE(double)
#undef NOISETTE_INSTANTIATE

}  // namespace noisette::cpu
