// Normalisation over groups of channels or over the last axis.
#pragma once
#include "framework/core/tensor.h"

namespace noisette {

struct GroupNormOptions {
  double eps = 1e-5;
  bool silu = false;  // y = silu(norm(...)) in the same pass
  Tensor shift = {};  // [N, C], dtype of x: added to each pixel of its sample before the statistics
  bool repeat =
      false;  // ops that use y make it again from x for their gradient instead of keeping it
};

/// Group normalisation of an image batch.
///
///   z = x[n,p,c] + shift[n,c]
///   y = (z - mu[n,g]) * rstd[n,g] * weight[c] + bias[c],   g = c / (C / groups)
///   mu, rstd over the P * (C / groups) values of a group; rstd = 1 / sqrt(var + eps), var biased;
///   silu of y if asked
///
/// x        [N, ..., C]     f32, bf16 (f64 on CPU); P is the product of the middle axes
/// weight   [C], bias [C]   accumulator type of x (f32; f64 with f64)
/// groups   divides C;      eps > 0
/// returns  [N, ..., C]     dtype of x; statistics and sums in the accumulator type
///
/// Gradient to x, weight, bias, shift. Keeps x, shift, mu, rstd ([N, groups]).
/// Wu & He 2018, "Group Normalization", section 3, arXiv:1803.08494.
Tensor group_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, int64_t groups,
                  const GroupNormOptions& options = {});

/// Layer normalisation over the last axis.
///
///   y[r,c] = (x[r,c] - mu[r]) * rstd[r] * weight[c] + bias[c]
///
/// x        [..., C]        f32, bf16 (f64 on CPU)
/// weight   [C], bias [C]   accumulator type of x
/// returns  [..., C]        dtype of x
///
/// Gradient to x, weight, bias. Keeps x, mu, rstd ([rows]).
/// Ba et al. 2016, "Layer Normalization", section 3, arXiv:1607.06450.
Tensor layer_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, double eps = 1e-5);

}  // namespace noisette
