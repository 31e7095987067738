// Pointwise steps of diffusion. Contract: kernels/diffusion.h.
#include "kernels/diffusion.h"

#include <limits>

#include "kernels/cpu/parallel.h"
#include "kernels/cpu/vector_math.h"

namespace noisette::cpu {
namespace {

double at(const double* table, int64_t steps, int64_t t) {
  return t >= 0 && t < steps ? table[t] : std::numeric_limits<double>::quiet_NaN();
}

}  // namespace

template <class T>
void add_noise(const acc_t<T>* x0, const acc_t<T>* eps, const int64_t* t, const NoiseTables& tables,
               T* x_t, acc_t<T>* target, int64_t batch, int64_t per_item) {
  using A = acc_t<T>;
  const int64_t chunks = ceil_div(per_item, kChunk);
  parallel_items(batch * chunks, batch * per_item, [=](int64_t i) {
    const int64_t n = i / chunks, begin = i % chunks * kChunk;
    const int64_t end = std::min(per_item, begin + kChunk);
    const A signal = A(at(tables.signal, tables.steps, t[n]));
    const A noise = A(at(tables.noise, tables.steps, t[n]));
    const A target_x0 = A(at(tables.target_x0, tables.steps, t[n]));
    const A target_eps = A(at(tables.target_eps, tables.steps, t[n]));
    const A* image = x0 + n * per_item;
    const A* draw = eps + n * per_item;
    T* noisy = x_t + n * per_item;
    A* goal = target + n * per_item;
#pragma omp simd
    for (int64_t k = begin; k < end; ++k) {
      store(noisy[k], signal * image[k] + noise * draw[k]);
      goal[k] = target_x0 * image[k] + target_eps * draw[k];
    }
  });
}

template <class A>
void gather_table(const double* table, int64_t steps, const int64_t* t, A* y, int64_t batch) {
  for (int64_t n = 0; n < batch; ++n) y[n] = A(at(table, steps, t[n]));
}

template <class T>
void sampler_step(const acc_t<T>* x, const T* out, const acc_t<T>* z, acc_t<T>* y,
                  const SamplerCoefficients* c, int64_t n) {
  using A = acc_t<T>;
  const A from_x = A(c->x0_from_x), from_out = A(c->x0_from_out), clip = A(c->clip);
  const A to_x0 = A(c->to_x0), to_x = A(c->to_x), to_out = A(c->to_out);
  const A sigma = z ? A(c->sigma) : A(0);
  const A* draw = z ? z : x;
  parallel_ranges(n, [=](int64_t begin, int64_t end) {
#pragma omp simd
    for (int64_t i = begin; i < end; ++i) {
      A x0 = from_x * x[i] + from_out * A(out[i]);
      x0 = x0 > clip ? clip : x0;
      x0 = x0 < -clip ? -clip : x0;
      y[i] = to_x0 * x0 + to_x * x[i] + to_out * A(out[i]) + sigma * draw[i];
    }
  });
}

#define NOISETTE_INSTANTIATE(T)                                                                    \
  template void add_noise<T>(const acc_t<T>*, const acc_t<T>*, const int64_t*, const NoiseTables&, \
                             T*, acc_t<T>*, int64_t, int64_t);                                     \
  template void sampler_step<T>(const acc_t<T>*, const T*, const acc_t<T>*, acc_t<T>*,             \
                                const SamplerCoefficients*, int64_t);
NOISETTE_INSTANTIATE(float)
NOISETTE_INSTANTIATE(bfloat16)
NOISETTE_INSTANTIATE(double)
#undef NOISETTE_INSTANTIATE
template void gather_table<float>(const double*, int64_t, const int64_t*, float*, int64_t);
template void gather_table<double>(const double*, int64_t, const int64_t*, double*, int64_t);

}  // namespace noisette::cpu
