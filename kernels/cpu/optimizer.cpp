// AdamW over flat buffers. Contract: kernels/optimizer.h.
#include "kernels/optimizer.h"

#include <cmath>

#include "kernels/accumulate.h"
#include "kernels/adamw_factors.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/vector_math.h"
#include "kernels/elementwise.h"

namespace noisette::cpu {
namespace {

template <bool kAverage, bool kCompute, class A>
void update(A* w, const A* g, A* m, A* v, A* average, bfloat16* compute, int64_t n,
            const AdamWFactors<A>& f) {
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
  const AdamWFactors<A> f(*numbers, options);
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
