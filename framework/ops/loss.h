// Losses, one number per sample.
#pragma once
#include "framework/core/tensor.h"

namespace noisette {

/// Weighted mean squared error of each sample.
///
///   loss[n] = weight[n] * mean over i of (x[n,i] - target[n,i])^2
///
/// x        [N, ...]   f32, bf16 (f64 on CPU)
/// target   [N, ...]   accumulator type of x;   weight [N] accumulator type of x
/// returns  [N]        accumulator type of x
///
/// Gradient to x. Keeps x, target, weight. Ho et al. 2020, eq. 14, arXiv:2006.11239.
Tensor weighted_mse(const Tensor& x, const Tensor& target, const Tensor& weight);

/// Cross entropy of each row against one right class.
///
///   loss[n] = log(sum over c of exp(x[n,c])) - x[n, label[n]]
///
/// x        [N, C]   f32, bf16 (f64 on CPU)
/// label    [N]      i64 or i32; a label outside [0, C) gives NaN
/// returns  [N]      accumulator type of x
///
/// Gradient to x. Keeps x, label.
Tensor cross_entropy(const Tensor& x, const Tensor& label);

}  // namespace noisette
