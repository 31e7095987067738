// AdamW over flat buffers. Contract: kernels/optimizer.h.
#include "kernels/optimizer.h"

#include <cmath>

#include "kernels/accumulate.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/vector_math.h"
#include "kernels/elementwise.h"

namespace noisette::cpu {
namespace {

/// The numbers of one update in the arithmetic of the buffers.
template <class A>
struct Factors {
  A grad, beta1, beta2, one_minus_beta1, one_minus_beta2, shrink, rate, root, eps, keep, take;

  Factors(const UpdateNumbers& u, const AdamWOptions& o) {
    const double norm = o.grad_scale * std::sqrt(u.squares);
    const double clip = o.clip_norm > 0 ? std::min(1.0, o.clip_norm / (norm + 1e-6)) : 1.0;
    grad = A(o.grad_scale * clip);
    beta1 = A(o.beta1);
    beta2 = A(o.beta2);
    one_minus_beta1 = A(1 - o.beta1);
    one_minus_beta2 = A(1 - o.beta2);
    shrink = A(1 - u.learning_rate * o.weight_decay);
    rate = A(u.learning_rate / (1 - std::pow(o.beta1, u.step)));
    root = A(1 / std::sqrt(1 - std::pow(o.beta2, u.step)));
    eps = A(o.eps);
    keep = A(u.ema_decay);
    take = A(1 - u.ema_decay);
  }
};

template <bool kAverage, bool kCompute, class A>
void update(A* w, const A* g, A* m, A* v, A* average, bfloat16* compute, int64_t n,
            const Factors<A>& f) {
  parallel_ranges(n, [=](int64_t begin, int64_t end) {
#pragma omp simd
    for (int64_t i = begin; i < end; ++i) {
      const A grad = f.grad * g[i];
      const A mi = f.beta1 * m[i] + f.one_minus_beta1 * grad;
      const A vi = f.beta2 * v[i] + f.one_minus_beta2 * grad * grad;
      const A wi = f.shrink * w[i] - f.rate * mi / (std::sqrt(vi) * f.root + f.eps);
      m[i] = mi;
      v[i] = vi;
      w[i] = wi;
      if constexpr (kAverage) average[i] = f.keep * average[i] + f.take * wi;
      if constexpr (kCompute) store(compute[i], wi);
    }
  });
}

}  // namespace

template <class A>
void gradient_squares(const A* g, int64_t n, UpdateNumbers* numbers) {
  sum_of_squares(g, n, false, &numbers->squares);
  if (!std::isfinite(numbers->squares)) numbers->finite = 0;
}

template <class A>
void require_finite(const A* x, int64_t n, UpdateNumbers* numbers) {
  if (!all_finite(x, n)) numbers->finite = 0;
}

template <class A>
void adamw_step(A* w, const A* g, A* m, A* v, A* average, bfloat16* compute, int64_t n,
                const UpdateNumbers* numbers, const AdamWOptions& options) {
  if (numbers->finite == 0) return;
  const Factors<A> f(*numbers, options);
  if (average && compute) return update<true, true>(w, g, m, v, average, compute, n, f);
  if (average) return update<true, false>(w, g, m, v, average, compute, n, f);
  if (compute) return update<false, true>(w, g, m, v, average, compute, n, f);
  update<false, false>(w, g, m, v, average, compute, n, f);
}

#define NOISETTE_INSTANTIATE(A)                                                                   \
  template void gradient_squares<A>(const A*, int64_t, UpdateNumbers*);                           \
  template void require_finite<A>(const A*, int64_t, UpdateNumbers*);                             \
  template void adamw_step<A>(A*, const A*, A*, A*, A*, bfloat16*, int64_t, const UpdateNumbers*, \
                              const AdamWOptions&);
NOISETTE_INSTANTIATE(float)
NOISETTE_INSTANTIATE(double)
#undef NOISETTE_INSTANTIATE

}  // namespace noisette::cpu
