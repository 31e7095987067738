// Matrix products.
#pragma once
#include "framework/core/tensor.h"
#include "kernels/activation.h"

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
/// residual  [..., out]  dtype of x, or [N, out], a row for each sample of x [N, ..., in]; may be
///                       absent
/// returns   [..., out]  dtype of x; sums in the accumulator type, rounded once
///
/// Gradient to x, weight, bias, residual. Keeps x and weight.
Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias,
              const Tensor& residual = {});

/// activation(linear(x, weight, bias, residual)) in one pass, with the same numbers.
///
///   y = f(s),   s[..., o] = bias[o] + residual[..., o] + sum_i x[..., i] * weight[o,i]
///
/// x, weight, bias, residual   as in linear
/// kind      silu, gelu, gelu_tanh or quick_gelu, framework/ops/activation.h
/// returns   [..., out]  dtype of x; s is rounded to it before f
///
/// Gradient to x, weight, bias, residual. Keeps x, weight and, where a gradient is wanted, s.
Tensor linear_activation(const Tensor& x, const Tensor& weight, const Tensor& bias, Activation kind,
                         const Tensor& residual = {});

/// geglu(linear(x, weight, bias)) in one pass, with the same numbers.
///
///   y[..., c] = s[..., c] * gelu(s[..., C + c])
///   s[..., o] = bias[o] + sum_i x[..., i] * weight[o,i]
///
/// x         [..., in]   f32, bf16 (f64 on CPU)
/// weight    [2 C, in]   dtype of x: values, then gates
/// bias      [2 C]       accumulator type of x; may be absent
/// returns   [..., C]    dtype of x; s is rounded to it before the gate
///
/// Gradient to x, weight, bias. Keeps x, weight and, where a gradient is wanted, s.
/// Shazeer 2020, "GLU Variants Improve Transformer", section 2, arXiv:2002.05202.
Tensor linear_geglu(const Tensor& x, const Tensor& weight, const Tensor& bias);

}  // namespace noisette
