// What an AdamW update multiplies with, on every device. For the formulas see optimizer.h.
#pragma once
#include <algorithm>
#include <cmath>

#include "kernels/device.h"
#include "kernels/optimizer.h"

namespace noisette {

/// The numbers of one update in the arithmetic A of the buffers.
template <class A>
struct AdamWFactors {
  A grad, beta1, beta2, one_minus_beta1, one_minus_beta2, shrink, rate, root, eps, keep, take;

  NOISETTE_BOTH AdamWFactors(const UpdateNumbers& u, const AdamWOptions& o) {
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

}  // namespace noisette
