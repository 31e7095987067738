// Matrix products.
#pragma once
#include "framework/core/tensor.h"

namespace noisette {

/// Which factors are given transposed.
struct MatmulOptions {
  bool trans_a = false;
  bool trans_b = false;
};

/// Matrix product, batched.
///
///   c[s,i,j] = sum_l A[s,i,l] * B[s,l,j]
///
/// a        [..., m, k]  f32, bf16 (f64 on CPU); [..., k, m] with trans_a
/// b        [..., k, n]  dtype of a; [..., n, k] with trans_b; the leading axes are those of a, or
///                       none: then b is used for the whole batch
/// returns  [..., m, n]  dtype of a; sums in the accumulator type, rounded once
///
/// Gradient to a and b. Keeps both.
Tensor matmul(const Tensor& a, const Tensor& b, const MatmulOptions& options = {});

/// Affine map of the last axis.
///
///   y[..., o] = bias[o] + residual[..., o] + sum_i x[..., i] * weight[o,i]
///
/// x         [..., in]   f32, bf16 (f64 on CPU)
/// weight    [out, in]   dtype of x
/// bias      [out]       accumulator type of x; may be absent
/// residual  [..., out]  dtype of x; may be absent
/// returns   [..., out]  dtype of x; sums in the accumulator type, rounded once
///
/// Gradient to x, weight, bias, residual. Keeps x and weight.
Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias,
              const Tensor& residual = {});

}  // namespace noisette
