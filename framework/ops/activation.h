// Pointwise activations.
#pragma once
#include "framework/core/tensor.h"

namespace noisette {

/// Sigmoid-weighted linear unit.
///
///   y = x * sigmoid(x)
///
/// x        any shape, f32, bf16 (f64 on CPU)
/// returns  shape and dtype of x
///
/// Gradient to x. Keeps x.
/// Elfwing et al. 2017, "Sigmoid-Weighted Linear Units", section 2, arXiv:1702.03118.
Tensor silu(const Tensor& x);

/// Gaussian error linear unit, exact.
///
///   y = x * Phi(x),   Phi the distribution function of the standard normal
///
/// x        any shape, f32, bf16 (f64 on CPU)
/// returns  shape and dtype of x
///
/// Gradient to x. Keeps x.
/// Hendrycks & Gimpel 2016, "Gaussian Error Linear Units", section 2, arXiv:1606.08415.
Tensor gelu(const Tensor& x);

/// GELU in the tanh approximation.
///
///   y = x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3)))
///
/// x        any shape, f32, bf16 (f64 on CPU)
/// returns  shape and dtype of x
///
/// Gradient to x. Keeps x.
/// Hendrycks & Gimpel 2016, section 2, arXiv:1606.08415.
Tensor gelu_tanh(const Tensor& x);

/// GELU in the sigmoid approximation, as in OpenAI's CLIP.
///
///   y = x * sigmoid(1.702 x)
///
/// x        any shape, f32, bf16 (f64 on CPU)
/// returns  shape and dtype of x
///
/// Gradient to x. Keeps x.
/// Hendrycks & Gimpel 2016, section 2, arXiv:1606.08415.
Tensor quick_gelu(const Tensor& x);

/// Gated GELU: the first half of the last axis, gated by the second.
///
///   y[..., c] = x[..., c] * gelu(x[..., C + c])
///
/// x        [..., 2 C]  f32, bf16 (f64 on CPU)
/// returns  [..., C]    dtype of x
///
/// Gradient to x. Keeps x.
/// Shazeer 2020, "GLU Variants Improve Transformer", section 2, arXiv:2002.05202.
Tensor geglu(const Tensor& x);

}  // namespace noisette
