// Pointwise steps of diffusion. Contract: kernels/diffusion.h. Reference:
// kernels/cpu/diffusion.cpp. Bound by memory.
#include "kernels/diffusion.h"

#include <cmath>

#include "kernels/cuda/map.cuh"

namespace noisette::cuda {
namespace {

__device__ inline double at(const double* table, int64_t steps, int64_t t) {
  return t >= 0 && t < steps ? table[t] : double(NAN);
}

/// x_t and target of contract add_noise.
template <class T>
struct Noise {
  using Widest = float;
  const float *x0, *eps;
  const int64_t* t;
  NoiseTables tables;
  T* x_t;
  float* target;

  struct Factors {
    float signal, noise, of_x0, of_eps;
  };
  bool aligned() const { return aligned16(x0, eps, x_t, target); }
  __device__ Factors of_sample(int64_t n) const {
    const auto of = [&](const double* table) { return float(at(table, tables.steps, t[n])); };
    return {of(tables.signal), of(tables.noise), of(tables.target_x0), of(tables.target_eps)};
  }
  template <int kWidth>
  __device__ void run(const Factors& f, int64_t i) const {
    const auto image = Pack<float, kWidth>::read(x0 + i), draw = Pack<float, kWidth>::read(eps + i);
    const auto sum = [](float a, float b) {
      return [=](float x, float z) { return a * x + b * z; };
    };
    map_packs<kWidth>(sum(f.signal, f.noise), x_t + i, image, draw);
    map_packs<kWidth>(sum(f.of_x0, f.of_eps), target + i, image, draw);
  }
};

__global__ void gather_kernel(const double* table, int64_t steps, const int64_t* t, float* y,
                              int64_t batch) {
  for_each_item(batch, [&](int64_t n) { y[n] = float(at(table, steps, t[n])); });
}

/// x of the next step, of contract sampler_step.
template <class T>
struct Step {
  using Widest = float;
  const float* x;
  const T* out;
  const float* z;  // may be null
  float* y;
  const SamplerCoefficients* c;

  struct Numbers {
    float from_x, from_out, clip, to_x0, to_x, to_out, sigma;
  };
  bool aligned() const { return aligned16(x, out, z, y); }
  __device__ Numbers of_sample(int64_t) const {
    return {float(c->x0_from_x), float(c->x0_from_out), float(c->clip), float(c->to_x0),
            float(c->to_x),      float(c->to_out),      float(c->sigma)};
  }
  template <int kWidth>
  __device__ void run(const Numbers& c, int64_t i) const {
    const auto without_noise = [=](float x, float out) {
      float x0 = c.from_x * x + c.from_out * out;
      x0 = x0 > c.clip ? c.clip : x0;  // NaN stays NaN
      x0 = x0 < -c.clip ? -c.clip : x0;
      return c.to_x0 * x0 + c.to_x * x + c.to_out * out;
    };
    const auto image = Pack<float, kWidth>::read(x + i);
    const auto answer = Pack<T, kWidth>::read(out + i);
    if (z == nullptr)
      map_packs<kWidth>(without_noise, y + i, image, answer);
    else
      map_packs<kWidth>(
          [=](float x, float out, float z) { return without_noise(x, out) + c.sigma * z; }, y + i,
          image, answer, Pack<float, kWidth>::read(z + i));
  }
};

}  // namespace

template <class T>
void add_noise(const acc_t<T>* x0, const acc_t<T>* eps, const int64_t* t, const NoiseTables& tables,
               T* x_t, acc_t<T>* target, int64_t batch, int64_t per_item) {
  run_by_sample("add_noise", Noise<T>{x0, eps, t, tables, x_t, target}, batch, per_item);
}

template <class A>
void gather_table(const double* table, int64_t steps, const int64_t* t, A* y, int64_t batch) {
  if (batch > 0)
    launch("gather_table", gather_kernel, blocks_for(batch), kThreads, 0, table, steps, t, y,
           batch);
}

template <class T>
void sampler_step(const acc_t<T>* x, const T* out, const acc_t<T>* z, acc_t<T>* y,
                  const SamplerCoefficients* c, int64_t n) {
  run_by_sample("sampler_step", Step<T>{x, out, z, y, c}, 1, n);
}

#define NOISETTE_INSTANTIATE(T)                                                                  \
  template void add_noise<T>(const float*, const float*, const int64_t*, const NoiseTables&, T*, \
                             float*, int64_t, int64_t);                                          \
  template void sampler_step<T>(const float*, const T*, const float*, float*,                    \
                                const SamplerCoefficients*, int64_t);
NOISETTE_INSTANTIATE(float)
NOISETTE_INSTANTIATE(bfloat16)
#undef NOISETTE_INSTANTIATE
template void gather_table<float>(const double*, int64_t, const int64_t*, float*, int64_t);

}  // namespace noisette::cuda
