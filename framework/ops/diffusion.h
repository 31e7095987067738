// The pointwise steps of diffusion training and sampling. Coefficients come from models/diffusion.
#pragma once
#include <vector>

#include "framework/core/tensor.h"
#include "kernels/diffusion.h"

namespace noisette {

/// What add_noise gathers by timestep: f64 tensors of one length, one entry per timestep.
struct NoiseSchedule {
  Tensor signal, noise, target_x0, target_eps;
};

struct NoisyBatch {
  Tensor x_t;     // what the network sees
  Tensor target;  // what it should answer
};

/// Noisy images and training targets in one pass.
///
///   x_t[n]    = signal[t] x0[n] + noise[t] eps[n],   t = t[n]
///   target[n] = target_x0[t] x0[n] + target_eps[t] eps[n]
///
/// x0, eps    [N, ...]   accumulator type of `dtype` (f32; f64 with f64)
/// t          [N]        i64; a timestep outside the schedule gives NaN
/// returns    x_t [N, ...] `dtype`, target [N, ...] dtype of x0
///
/// Not differentiable. Ho et al. 2020, eq. 4 and algorithm 1, arXiv:2006.11239.
NoisyBatch add_noise(const Tensor& x0, const Tensor& eps, const Tensor& t,
                     const NoiseSchedule& schedule, DType dtype);

/// One entry of a table per sample: loss weights by timestep.
///
///   y[n] = table[t[n]];   NaN for a timestep outside the table
///
/// table [steps] f64, t [N] i64 -> [N] f32 (or f64, as `dtype` says)
///
/// Not differentiable.
Tensor gather_table(const Tensor& table, const Tensor& t, DType dtype = DType::f32);

/// One sampler step.
///
///   x0 = clamp(x0_from_x x + x0_from_out out, -clip, clip)
///   y  = to_x0 x0 + to_x x + to_out out + sigma z
///
/// x        [...]   accumulator type of out: the image stays in f32 between steps
/// out      [...]   f32, bf16 (f64 on CPU): the network's output
/// z        [...]   dtype of x: standard normal; may be undefined when sigma is 0
/// numbers  [7]     f64: a row of sampler_numbers()
/// returns  [...]   dtype of x
///
/// Not differentiable.
Tensor sampler_step(const Tensor& x, const Tensor& out, const Tensor& z, const Tensor& numbers);
/// The same with numbers from the host; an Error where sigma wants noise and there is none.
Tensor sampler_step(const Tensor& x, const Tensor& out, const Tensor& z,
                    const SamplerCoefficients& coefficients);

/// The numbers of steps as a tensor: f64 [steps, 7].
Tensor sampler_numbers(const std::vector<SamplerCoefficients>& steps, Device device);

}  // namespace noisette
