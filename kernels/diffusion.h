// The pointwise steps of diffusion training and sampling, contract. Images, noise and targets stay
// in acc_t<T>; what goes into and comes out of the network is T. Coefficients come from
// models/diffusion.
#pragma once
#include <cstdint>

#include "kernels/backends.h"
#include "kernels/bfloat16.h"

namespace noisette {

/// Tables of `steps` entries each, gathered by timestep; a timestep outside gives NaN.
struct NoiseTables {
  const double* signal = nullptr;
  const double* noise = nullptr;
  const double* target_x0 = nullptr;
  const double* target_eps = nullptr;
  int64_t steps = 0;
};

/// One sampler step. clip may be infinite. Kernels find it in their device's memory, so that a step
/// can be recorded and replayed with other numbers.
struct SamplerCoefficients {
  double x0_from_x = 0, x0_from_out = 0;
  double clip = 0;
  double to_x0 = 0, to_x = 0, to_out = 0, sigma = 0;
};

NOISETTE_BACKENDS(  // clang-format off

/// With k = t[n]:  x_t[n] = signal[k] x0[n] + noise[k] eps[n],   target[n] = target_x0[k] x0[n] +
/// target_eps[k] eps[n]
template <class T>
void add_noise(const acc_t<T>* x0, const acc_t<T>* eps, const int64_t* t, const NoiseTables& tables,
               T* x_t, acc_t<T>* target, int64_t batch, int64_t per_item);

/// y[n] = table[t[n]]; a timestep outside [0, steps) gives NaN.
template <class A>
void gather_table(const double* table, int64_t steps, const int64_t* t, A* y, int64_t batch);

/// x0 = clamp(x0_from_x x + x0_from_out out, -clip, clip);  y = to_x0 x0 + to_x x + to_out out +
/// sigma z. z may be null (sigma is not used then); y may be x.
template <class T>
void sampler_step(const acc_t<T>* x, const T* out, const acc_t<T>* z, acc_t<T>* y,
                  const SamplerCoefficients* c, int64_t n);

)  // clang-format on
}  // namespace noisette
