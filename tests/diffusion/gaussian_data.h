// Data whose optimal denoiser is known: x_0 ~ N(mean, variance). Every prediction is then affine in
// x_t.
#pragma once
#include <cmath>

#include "models/diffusion/objective.h"

namespace noisette::diffusion {

struct GaussianData {
  double mean = 0, variance = 1;

  /// Variance of x_t.
  double marginal(double alpha_bar) const { return alpha_bar * variance + 1 - alpha_bar; }

  /// E[x_0 | x_t].
  double x0(double x, double alpha_bar) const {
    const double a = std::sqrt(alpha_bar);
    return mean + a * variance * (x - a * mean) / marginal(alpha_bar);
  }

  /// The network output that minimises the expected squared error.
  double best_output(Target target, double x, double alpha_bar) const {
    const double a = std::sqrt(alpha_bar), b = std::sqrt(1 - alpha_bar);
    const double clean = x0(x, alpha_bar), eps = (x - a * clean) / b;
    const TargetMix mix = target_mix(target, alpha_bar);
    return mix.x0 * clean + mix.eps * eps;
  }

  /// The error that remains: Var[target | x_t], with Var[eps | x_t] = (a/b)^2 Var[x_0 | x_t].
  double best_loss(Target target, double alpha_bar) const {
    const double clean = variance * (1 - alpha_bar) / marginal(alpha_bar);
    const TargetMix mix = target_mix(target, alpha_bar);
    const double slope = mix.x0 - mix.eps * std::sqrt(alpha_bar / (1 - alpha_bar));
    return slope * slope * clean;
  }
};

}  // namespace noisette::diffusion
