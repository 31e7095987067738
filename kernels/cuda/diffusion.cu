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

/// Grid (blocks of an item, items).
template <class T>
__global__ void noise_kernel(const float* x0, const float* eps, const int64_t* t,
                             NoiseTables tables, T* x_t, float* target, int64_t batch,
                             int64_t per_item) {
  for (int64_t n = blockIdx.y; n < batch; n += gridDim.y) {
    const int64_t k = t[n];
    const float signal = float(at(tables.signal, tables.steps, k));
    const float noise = float(at(tables.noise, tables.steps, k));
    const float of_x0 = float(at(tables.target_x0, tables.steps, k));
    const float of_eps = float(at(tables.target_eps, tables.steps, k));
    for_each_item(per_item, [&](int64_t j) {
      const int64_t i = n * per_item + j;
      const float image = x0[i], draw = eps[i];
      store(x_t + i, signal * image + noise * draw);
      target[i] = of_x0 * image + of_eps * draw;
    });
  }
}

__global__ void gather_kernel(const double* table, int64_t steps, const int64_t* t, float* y,
                              int64_t batch) {
  for_each_item(batch, [&](int64_t n) { y[n] = float(at(table, steps, t[n])); });
}

struct Step {
  float from_x, from_out, clip, to_x0, to_x, to_out, sigma;
  explicit Step(const SamplerCoefficients& c)
      : from_x(float(c.x0_from_x)),
        from_out(float(c.x0_from_out)),
        clip(float(c.clip)),
        to_x0(float(c.to_x0)),
        to_x(float(c.to_x)),
        to_out(float(c.to_out)),
        sigma(float(c.sigma)) {}
  __device__ float operator()(float x, float out) const {
    float x0 = from_x * x + from_out * out;
    x0 = x0 > clip ? clip : x0;  // NaN stays NaN
    x0 = x0 < -clip ? -clip : x0;
    return to_x0 * x0 + to_x * x + to_out * out;
  }
  __device__ float operator()(float x, float out, float z) const {
    return (*this)(x, out) + sigma * z;
  }
};

}  // namespace

template <class T>
void add_noise(const acc_t<T>* x0, const acc_t<T>* eps, const int64_t* t, const NoiseTables& tables,
               T* x_t, acc_t<T>* target, int64_t batch, int64_t per_item) {
  if (batch * per_item == 0) return;
  dim3 grid = blocks_for(per_item);
  grid.y = unsigned(std::min<int64_t>(batch, 65535));
  launch("add_noise", noise_kernel<T>, grid, kThreads, 0, x0, eps, t, tables, x_t, target, batch,
         per_item);
}

template <class A>
void gather_table(const double* table, int64_t steps, const int64_t* t, A* y, int64_t batch) {
  if (batch > 0)
    launch("gather_table", gather_kernel, blocks_for(batch), kThreads, 0, table, steps, t, y,
           batch);
}

template <class T>
void sampler_step(const acc_t<T>* x, const T* out, const acc_t<T>* z, acc_t<T>* y,
                  const SamplerCoefficients& c, int64_t n) {
  if (z == nullptr)
    map("sampler_step", Step(c), n, y, x, out);
  else
    map("sampler_step", Step(c), n, y, x, out, z);
}

#define NOISETTE_INSTANTIATE(T)                                                                  \
  template void add_noise<T>(const float*, const float*, const int64_t*, const NoiseTables&, T*, \
                             float*, int64_t, int64_t);                                          \
  template void sampler_step<T>(const float*, const T*, const float*, float*,                    \
                                const SamplerCoefficients&, int64_t);
NOISETTE_INSTANTIATE(float)
NOISETTE_INSTANTIATE(bfloat16)
#undef NOISETTE_INSTANTIATE
template void gather_table<float>(const double*, int64_t, const int64_t*, float*, int64_t);

}  // namespace noisette::cuda
